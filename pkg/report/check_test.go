package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/capacity"
	"sweep/pkg/experiment"
	"sweep/pkg/report"
)

// starts returns fresh starts that take so much CPU time, in milliseconds.
func starts(n int, cpu float64) []capacity.Start {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	var out []capacity.Start
	for range n {
		noise := math.Exp(0.01 * rng.NormFloat64())
		out = append(out, capacity.Start{Throughput: 9244, P99: 82.4 * noise, CPU: cpu * noise, Memory: 362 * noise})
	}
	return out
}

func redNight() report.Check {
	l := experiment.Limits{CPU: 2e9, Memory: 500 << 20, Image: "team/api:nightly"}
	old := l
	old.Image = "sha256:old"
	trials := []analysis.Verdict{
		{Trial: experiment.Trial{Limits: l, Hold: 10000, Replicate: 1}, Outcome: analysis.Breached, Breach: &analysis.Breach{Objective: "p99", Observed: "1.2s <&>\x00"}},
		{Trial: experiment.Trial{Limits: l, Hold: 10000, Replicate: 2}, Outcome: analysis.OOMKilled},
		{Trial: experiment.Trial{Limits: old, Hold: 10000, Replicate: 1}, Outcome: analysis.Passed},
	}
	base := capacity.Baseline{Starts: starts(12, 0.2)}
	return report.Check{
		Experiment: "prediction-api", File: "experiments/a,b:c.yaml", Run: "20261124T020000Z", Target: 10000, Unit: "users", Baseline: "2026-11-23",
		ImageID: "sha256:new", Took: 90 * time.Second, Host: capacity.Host{CPUs: 2, Memory: 8 << 30, Kernel: "6.18", Architecture: "amd64", Cgroup: "2", Engine: "29.9"},
		Verdict: capacity.Verdict{
			Outcome: capacity.Regressed, Reason: capacity.NotCarried, Sentence: "2 CPU / 500M no longer carries <10,000> users: 100 %\nred.", Next: "mend it",
			Starts: trials, Failed: 2, Minimal: l, Metrics: capacity.Compare(base.Starts, starts(3, 0.25)), Power: capacity.Power(capacity.Night{Baseline: base}),
			Cause: &analysis.Cause{Label: analysis.CauseMemory, Evidence: []string{"199 of 200 MiB", "\x1b[31mfaults"}},
		},
	}
}

func written(t *testing.T, write func(io.Writer, report.Check) error, k report.Check) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, k); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestANightIsToldInOneSentenceFirst(t *testing.T) {
	text := written(t, report.CheckText, redNight())
	for _, want := range []string{
		"CPU time per request   0.2 ms  0.251 ms   +27 %  +25 % to +29 %  0.0022", "p99", "cause: memory bound: 199 of 200 MiB; [31mfaults", "3 trials in 1m30s",
		"of tonight's service 0 carried 10,000 users, 2 failed", "To do: mend it.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.HasPrefix(text, "2 CPU / 500M no longer carries <10,000> users: 100 % red.\n") || strings.ContainsAny(text, "\x00\x1b") {
		t.Errorf("%q", text)
	}
	markdown := written(t, report.CheckMarkdown, redNight())
	if !strings.HasPrefix(markdown, "## ❌ prediction-api: regressed\n") || strings.Count(markdown, "\n| ") != 5 {
		t.Errorf("%s", markdown)
	}
}

func TestTheVerdictIsOneLineOfJSON(t *testing.T) {
	text := written(t, report.CheckJSON, redNight())
	var v struct {
		Schema, Verdict, Reason string
		Metrics                 []struct {
			Name  string
			Shift float64
		}
		Starts struct{ Failed int }
		Cause  struct{ Label string }
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil || strings.Count(text, "\n") != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	if v.Schema != "sweep.check/v1" || v.Verdict != "regressed" || v.Starts.Failed != 2 || len(v.Metrics) != 4 || math.Abs(v.Metrics[2].Shift-0.25) > 0.05 || v.Cause.Label != "memory_bound" {
		t.Errorf("%s", text)
	}
}

func TestJUnitHasACaseForEachCellAndOneForTheVerdict(t *testing.T) {
	type fault struct {
		Type string `xml:"type,attr"`
	}
	for _, c := range []struct {
		outcome          capacity.Outcome
		failures, errors int
	}{{capacity.Regressed, 2, 0}, {capacity.Inconclusive, 1, 1}, {capacity.Holds, 1, 0}} {
		k := redNight()
		k.Verdict.Outcome = c.outcome
		text := written(t, report.CheckJUnit, k)
		var suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Failure *fault `xml:"failure"`
				Error   *fault `xml:"error"`
			} `xml:"testcase"`
		}
		if err := xml.Unmarshal([]byte(text), &suite); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if suite.Tests != 3 || suite.Failures != c.failures || suite.Errors != c.errors || suite.Cases[2].Name != "verdict" || strings.ContainsAny(text, "\x00\x1b\uFFFD") {
			t.Errorf("%s: %s", c.outcome, text)
		}
	}
}

func TestAnAnnotationIsOneLine(t *testing.T) {
	got := report.Annotation(redNight())
	if !strings.HasPrefix(got, "::error file=experiments/a%2Cb%3Ac.yaml,title=sweep check prediction-api::2 CPU / 500M no longer carries <10,000> users: 100 %25 red.%0A") || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	calm := redNight()
	calm.Verdict = capacity.Verdict{Outcome: capacity.Holds, Sentence: "It holds."}
	if got := report.Annotation(calm); got != "" {
		t.Errorf("%q", got)
	}
}
