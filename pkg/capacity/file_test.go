package capacity

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

func contract() Contract {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), noise: [4]float64{0.001, 0.03, 0.02, 0.01}, host: 1}
	b := w.baseline(3)
	b.Host = Host{2, 8 << 30, "6.18", "amd64", "1", "20.10"}
	b.Sweep, b.Run, b.Image, b.ImageID, b.Digests = "v1", "20261124T020000Z", "team/api:nightly", "sha256:0123", []string{"team/api@sha256:4567"}
	b.Cells = []Cell{
		{experiment.Limits{CPU: 5e8, Memory: 200 << 20}, "breached", 5917, 6001, false},
		{experiment.Limits{CPU: 1e9, Memory: 200 << 20, Env: experiment.VariablesOf(map[string]string{"MODE": `a "b": # c`})}, "passed", 10000, 0, true},
	}
	other := b
	other.Host.CPUs = 4
	return Contract{Experiment: "prediction-api", Question: "0123abcd", Target: 10000, Unit: "users", Objective: "p99 <= 1s, errors <= 1%", Baselines: []Baseline{b, other}}
}

func TestAContractIsReadAsItIsWritten(t *testing.T) {
	text := contract().YAML()
	read, err := Parse("capacity.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if again := read.YAML(); string(again) != string(text) {
		t.Errorf("written again it is another text:\n%s", cmp.Diff(string(text), string(again)))
	}
	if a, b := contract(), read; a.Baselines[0].Cells[1] != b.Baselines[0].Cells[1] || a.Baselines[1].Host != b.Baselines[1].Host || b.Baselines[0].Minimal.CPU != 1e9 {
		t.Errorf("%+v", read)
	}
	if lines := strings.Count(string(text), "\n"); lines > 60 {
		t.Errorf("%d lines are no short file", lines)
	}
}

func TestAContractIsReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"a key nobody knows": {"target:", "targets:", `capacity.yaml:6:1: unknown field "targets"`},
		"another version":    {"version: 1", "version: 2", "this sweep reads 1"},
		"uneven lists":       {"errors: [0, 0, 0]", "errors: [0]", "aren't equally long"},
		"no amount":          {"errors: [0, 0, 0]", "errors: [0, 0, -1]", "value 3 of a list is no amount"},
		"no such amount":     {"memory: 200M", "memory: 200 potatoes", "capacity.yaml"},
		"twice the host":     {"cpus: 4", "cpus: 2", "is there twice"},
		"no YAML":            {"baselines:", "baselines: [", "capacity.yaml:"},
		"no image":           {`image_id: "sha256:0123"`, `image_id: ""`, "image_id: is missing"},
	} {
		text := strings.Replace(string(contract().YAML()), c.old, c.new, 1)
		if _, err := Parse("capacity.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostsAreTheSameWhereTheyMeasureTheSame(t *testing.T) {
	h := Host{2, 8 << 30, "6.18", "amd64", "1", "20.10"}
	less := h
	less.Memory -= h.Memory / 100
	half, more, newer := h, h, h
	half.Memory /= 2
	more.CPUs = 4
	newer.Kernel = "6.19"
	if !h.Same(less) || h.Same(half) || h.Same(more) || h.Same(newer) {
		t.Error("wrong")
	}
	for version, want := range map[string]string{"6.18.44-fc-v669": "6.18", "20.10.24+dfsg1": "20.10", "29.9": "29.9", "": ""} {
		if got := minor(version); got != want {
			t.Errorf("%s: %s", version, got)
		}
	}
}

func TestAContractIsOfAQuestionWhateverTheImage(t *testing.T) {
	parse := func(image, wait string) *experiment.Experiment {
		e, err := experiment.Parse("x.yaml", []byte(`{version: 1, name: x, service: {image: "`+image+`", port: 80}, request: {path: /}, matrix: {cpus: [1], memory: [64M]}, users: {target: 10, ramp: 1s, wait: {constant: `+wait+`}}}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	c := Of(parse("api:1", "1s"))
	if why := c.Asks(parse("api:2", "1s")); why != "" {
		t.Errorf("another image: %s", why)
	}
	if why := c.Asks(parse("api:1", "2s")); !strings.Contains(why, "have changed") {
		t.Errorf("another load: %q", why)
	}
}

func TestABaselineGrowsWithNightsThatHeld(t *testing.T) {
	b := contract().Baselines[0]
	own := []Start{b.Starts[0].rounded(), b.Starts[1].rounded(), b.Starts[2].rounded()}
	b.Starts = own
	other := []Start{{100, 1, 1, 1, 0}, {101, 1, 1, 1, 0}}
	if got := b.Grown(own, other).Starts; len(got) != 5 || got[4] != other[1] {
		t.Errorf("%+v", got)
	}
	var many []Start
	for i := range 40 {
		many = append(many, Start{100 + float64(i), 1, 1, 1, 0})
	}
	if got := b.Grown(many).Starts; len(got) != mostStarts || got[mostStarts-1] != own[2] {
		t.Errorf("%d", len(got))
	}
}

func TestABaselineIsMadeOfStartsThatCarryTheTarget(t *testing.T) {
	l := experiment.Limits{CPU: 1e9, Memory: 64 << 20}
	e, err := experiment.Parse("x.yaml", []byte(`{version: 1, name: x, service: {image: api, port: 80}, request: {path: /}, matrix: {cpus: [1], memory: [64M]}, users: {target: 1000, ramp: 1s}, search: {preset: quick}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), factor: [4]float64{1, 1, 1, 1}}
	for _, c := range []struct {
		name, script string
		reason       Reason
		starts       int
	}{
		{"all", "ppppp", Updated, 4}, // after the ramp
		{"one failed", "pfpppp", Updated, 4},
		{"two failed", "ppfpf", Unsteady, 0},
		{"too few told anything", "pvvvv", Unmeasured, 0},
		{"nothing is viable", "f", NothingViable, 0},
	} {
		all := []analysis.Verdict{}
		for i, r := range c.script {
			trial, more := experiment.Trial{Limits: l, Replicate: 1}, true
			if i > 0 {
				trial, _, more = Collect(l, 1000, 4, all)
			}
			if !more {
				break
			}
			w.old, w.void = 0, 0
			switch r {
			case 'f':
				w.old = 1
			case 'v':
				w.void = 1
			}
			all = append(all, w.start(trial))
		}
		b, v := Agree(e, analysis.Conclude(e, all, func(experiment.Limits) string { return "" }), all, 4)
		if v.Reason != c.reason || v.Outcome == Holds && len(b.Starts) != c.starts || v.Sentence == "" {
			t.Errorf("%s: %s with %d starts: %s", c.name, v.Reason, len(b.Starts), v.Sentence)
		}
	}
}
