package experiment_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sweep/pkg/experiment"
)

// measured is an experiment whose answers were waited for, for ten seconds.
func measured() *experiment.Experiment {
	second := experiment.Duration(time.Second)
	return &experiment.Experiment{
		Name:    "api",
		Request: experiment.Request{Timeout: experiment.Duration(10 * time.Second)},
		Users:   experiment.Users{Target: 10, Wait: experiment.Wait{Constant: &second}},
	}
}

func TestParseObjective(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"alone":                 {"{errors: 0.5%, p95: 300ms}", "p95 <= 300ms, errors <= 0.5%"},
		"with the environment":  {"p99: ${NONE:-2s}", "p99 <= 2s"},
		"under its key":         {"objective: {p50: 10s}\nother: [1, {x: y}]\n", "p50 <= 10s"},
		"of an experiment":      {"version: 1\nname: x\nservice: {image: '${UNSET}'}\nobjective: {goodput: 90%}\n", "goodput >= 90%"},
		"of one that has none":  {"version: 1\nname: x\n", "p99 <= 1s, errors <= 1%"},
		"of one that has it {}": {"version: 1\nobjective: {}\n", "p99 <= 1s, errors <= 1%"},
	} {
		o, err := experiment.ParseObjective("o.yaml", []byte(c.src), environment, measured())
		if err != nil || o.String() != c.want {
			t.Errorf("%s: %s, %v", name, o, err)
		}
	}
}

func TestFaultsOfAnObjective(t *testing.T) {
	impatient := measured()
	impatient.Request.Timeout = experiment.Duration(500 * time.Millisecond)
	hasty := measured()
	hasty.Users.Wait = experiment.Wait{}
	const timeout = "can't be judged: the timeout of api was "
	for name, c := range map[string]struct {
		e    *experiment.Experiment
		src  string
		want []string
	}{
		"keys, units and limits, all at once": {
			measured(), "errs: 1%\np99: 3\np95: 11s\np50: 0s\n",
			[]string{"o.yaml:1:1: errs: is not known here; did you mean errors? Allowed: errors, p50, ", `o.yaml:2:6: p99: "3" is not a length of time`, "o.yaml:3:6: p95: 11s " + timeout + "10s, ", "o.yaml:4:6: p50: must be more than 0"},
		},
		"under its key":                     {measured(), "name: x\nobjective:\n  p95: 11s\n  p9: 1s\n", []string{"o.yaml:3:8: objective.p95: 11s " + timeout, "o.yaml:4:3: objective.p9: is not known here; did you mean p90?"}},
		"the default, where it can't be":    {impatient, "version: 1\n", []string{"o.yaml:1:1: objective.p99: 1s " + timeout + "500ms"}},
		"two places":                        {measured(), "objective: {p95: 1s}\np99: 1s\n", []string{"o.yaml:2:1: p99: stands beside objective and isn't read"}},
		"goodput of users who never waited": {hasty, "goodput: 90%", []string{"o.yaml:1:10: goodput: can't be judged: the users of api didn't wait"}},
		"nothing":                           {measured(), "{}", []string{"o.yaml:1:1: asks for nothing; write such as {errors: 1%, p99: 1s}"}},
		"an empty file":                     {measured(), "", []string{"o.yaml:1:1: is empty"}},
		"no map":                            {measured(), "[1]", []string{"o.yaml:1:1: is a list, but must be a map of errors, p50"}},
		"a scalar for an objective":         {measured(), "objective: 3s", []string{"o.yaml:1:12: objective: is a single value, but must be a map of errors"}},
		"an unknown variable":               {measured(), "p99: ${NONE}", []string{"o.yaml:1:6: p99: "}},
	} {
		_, err := experiment.ParseObjective("o.yaml", []byte(c.src), environment, c.e)
		faults := experiment.Faults(nil)
		if !errors.As(err, &faults) || len(faults) != len(c.want) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range c.want {
			if got := faults[i].Error(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s\nwant %s", name, got, want)
			}
		}
	}
}

func TestTheDefaultPriceHasASource(t *testing.T) {
	if e := parse(t, minimal("request: {path: /}")); e.Price.Source() == "" || e.Price != experiment.DefaultPrice() {
		t.Errorf("%+v", e.Price)
	}
	if e := parse(t, minimal("request: {path: /}", "price: {cpu_hour: 1}")); e.Price.Source() != "" {
		t.Errorf("a price of the file's own has the source %s", e.Price.Source())
	}
}
