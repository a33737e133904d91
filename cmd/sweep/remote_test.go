package main

import (
	"path/filepath"
	"strings"
	"testing"

	"sweep/pkg/engine/enginetest"
)

// docker's own command makes the context, so that its store is what it writes.
func TestASweepOfAnEngineElsewhere(t *testing.T) {
	second := enginetest.Start(t)
	second.Load(t, "sweep/predictor:dev")
	b := newBench(t)

	if o := b.run([]string{"DOCKER_HOST=" + second.Socket}, "run", "small.yaml", "--fresh"); o.code != 0 || !strings.Contains(o.out, "passed") {
		t.Errorf("over its own socket: exit %d\n%s%s", o.code, o.out, o.err)
	}
	b.ask("CPUS=0.3") // else everything is recorded
	s := b.sweep("DOCKER_HOST="+second.TCP, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH="+second.Certificates)
	if len(s.Cells) != 2 || s.Cells[1].Outcome != "passed" || s.Minimal == nil {
		t.Errorf("over TLS got %+v", s)
	}
	if left := docker(t, "--host", second.Socket, "ps", "--all", "--quiet") +
		docker(t, "--host", second.Socket, "images", "--quiet", "--filter", "label=sweep.dir"); left != "" {
		t.Errorf("left there:\n%s", left)
	}

	config := filepath.Join(b.dir, "docker")
	t.Setenv("DOCKER_CONFIG", config)
	docker(t, "context", "create", "elsewhere", "--docker", "host="+second.TCP+
		",ca="+filepath.Join(second.Certificates, "ca.pem")+",cert="+filepath.Join(second.Certificates, "cert.pem")+",key="+filepath.Join(second.Certificates, "key.pem"))
	env := []string{"DOCKER_HOST=unix:///nonexistent"}
	for _, test := range []struct {
		command   string
		code      int
		out, errs string
	}{
		{"plan small.yaml --context elsewhere", 0, "0.3 CPU / 100M", ""},
		{"run small.yaml --context elsewhere", 0, "passed", "Everything is recorded"},
		{"restore --context elsewhere", 0, "nothing to put back", ""},
		{"restore --context elsewher", 1, "", `docker has no context "elsewher" (--context); did you mean elsewhere?`},
	} {
		o := b.run(env, strings.Fields(test.command)...)
		if o.code != test.code || !strings.Contains(o.out, test.out) || !strings.Contains(o.err, test.errs) || strings.Contains(o.out, "didn't answer") {
			t.Errorf("%s: exit %d\n%s%s", test.command, o.code, o.out, o.err)
		}
	}
	if again := (runOptions{file: "small.yaml", results: "results", context: "elsewhere"}).again(); again != "sweep run small.yaml --context elsewhere" {
		t.Errorf("the command that continues is %q", again)
	}
}
