package engine

import (
	"slices"
	"testing"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/experiment"
)

func TestACellSetsVariablesAndImage(t *testing.T) {
	s := &Service{spec: Spec{
		Subject: &Subject{blueprint: blueprint.FromImage("1"), Images: map[string]Image{"y": {Ref: "y", ID: "2"}}},
		Env:     map[string]experiment.Value{"LIMIT": experiment.Literal("a")},
	}}
	l := experiment.Limits{CPU: 5e8, Memory: experiment.GiB}
	if c := s.under(l, s.spec.Subject.of(l)).Config; c.Image != "1" || !slices.Equal(c.Env, []string{"LIMIT=a"}) {
		t.Errorf("as it is: image %s, %q", c.Image, c.Env)
	}
	l.Env, l.Image = experiment.VariablesOf(map[string]string{"WORKERS": "${cpus}", "A": "1 2"}), "y"
	if c := s.under(l, s.spec.Subject.of(l)).Config; c.Image != "2" || !slices.Equal(c.Env, []string{"A=1 2", "LIMIT=a", "WORKERS=0.5"}) {
		t.Errorf("set: image %s, %q", c.Image, c.Env)
	}
}
