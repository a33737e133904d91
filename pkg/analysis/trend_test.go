package analysis_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// aNight is the i-th night of a service that holds.
func aNight(i int, p99 float64) analysis.Night {
	cell := experiment.Limits{CPU: 2e9, Memory: 500 * experiment.MiB}
	return analysis.Night{
		Schema: analysis.NightSchema, Time: time.Date(2026, 9, 1+i, 1, 30, 0, 0, time.UTC), Run: strconv.Itoa(i), Experiment: "api",
		Host: analysis.Machine{Fingerprint: "aa"}, Verdict: analysis.Holds, Minimal: cell, Target: 1000,
		Cells:   []analysis.NightCell{{Limits: cell, Outcome: analysis.Passed, LastPass: new(1000)}},
		Metrics: &analysis.NightMetrics{Throughput: 900 + float64(i%3), P99: p99, Starts: 3},
	}
}

func only(t *testing.T, nights []analysis.Night) analysis.Trend {
	t.Helper()
	all := analysis.Trends(nights)
	if len(all) != 1 {
		t.Fatalf("%d trends", len(all))
	}
	return all[0]
}

func TestAShiftIsOfOneMetricAndIsTold(t *testing.T) {
	var nights []analysis.Night
	for i := range 40 {
		p99 := 20 + float64(i%5)/10
		if i >= 25 {
			p99 *= 1.5
		}
		nights = append(nights, aNight(i, p99))
	}
	got := only(t, nights)
	if len(got.Shifts) != 1 || got.Shifts[0].Metric != analysis.MetricP99 || got.Shifts[0].Night != 25 || !got.Shifts[0].Worse() ||
		math.Abs(got.Shifts[0].Share()-0.5) > 0.02 {
		t.Errorf("%+v", got.Shifts)
	}
	for _, s := range got.Spells {
		if s.Noise != 0.05 || s.Metric != analysis.MetricP99 && len(s.Nights) != 40 {
			t.Errorf("%+v", s)
		}
	}
}

// Two machines that take turns are two series, neither of which changes, and a
// night that says nothing is in none.
func TestMachinesAndInvalidNightsAreApart(t *testing.T) {
	var nights []analysis.Night
	for i := range 60 {
		n := aNight(i, 20)
		if i%2 == 1 {
			n.Host.Fingerprint, n.Metrics.P99 = "bb", 35
		}
		if i%7 == 0 {
			n.Verdict, n.Metrics.P99 = analysis.NightInconclusive, 900
		}
		nights = append(nights, n)
	}
	got := only(t, nights)
	if len(got.Shifts) > 0 || len(got.Turns) > 0 {
		t.Errorf("%+v %+v", got.Shifts, got.Turns)
	}
	for _, s := range got.Spells {
		for _, i := range s.Nights {
			if i%7 == 0 || i%2 != s.Nights[0]%2 {
				t.Errorf("%s: night %d is in the spell of night %d", s.Metric, i, s.Nights[0])
			}
		}
	}
}

func TestAnotherCellIsATurn(t *testing.T) {
	var nights []analysis.Night
	for i := range 30 {
		n := aNight(i, 20)
		if i >= 15 {
			n.Minimal.CPU, n.Metrics.P99 = 1e9, 60
		}
		if i >= 20 {
			n.Question = "another"
		}
		nights = append(nights, n)
	}
	got := only(t, nights)
	if len(got.Shifts) > 0 || len(got.Turns) != 2 || got.Turns[0].Night != 15 || !got.Turns[0].Cell || got.Turns[0].Minimal.CPU != 1e9 ||
		got.Turns[1].Night != 20 || got.Turns[1].Cell {
		t.Errorf("%+v %+v", got.Shifts, got.Turns)
	}
}

func TestTrendsAreByExperimentAndTime(t *testing.T) {
	other := aNight(3, 1)
	other.Experiment = "aaa"
	again := aNight(1, 77)
	got := analysis.Trends([]analysis.Night{aNight(2, 1), aNight(1, 1), other, aNight(0, 1), again})
	if len(got) != 2 || got[0].Experiment != "aaa" || len(got[1].Nights) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, n := range got[1].Nights {
		if n.Run != strconv.Itoa(i) {
			t.Errorf("night %d is %s", i, n.Run)
		}
	}
	if got[1].Nights[1].Metrics.P99 != 77 {
		t.Error("of one run the first counts, not the last")
	}
}

func TestMachines(t *testing.T) {
	a, b := analysis.MachineOf("2 CPUs, 8 GiB"), analysis.MachineOf("4 CPUs, 8 GiB")
	if a != analysis.MachineOf("2 CPUs, 8 GiB") || len(a.Fingerprint) != 8 || a.Fingerprint == b.Fingerprint || a.Words != "2 CPUs, 8 GiB" {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestANightSawItsStarts(t *testing.T) {
	n := aNight(1, 1)
	tonight, rival := n.Minimal, experiment.Limits{CPU: 1e9, Memory: 500 * experiment.MiB}
	tonight.Image = "api:tonight"
	start := func(l experiment.Limits, o analysis.Outcome, p99 time.Duration) analysis.Verdict {
		v := analysis.Verdict{Trial: experiment.Trial{Limits: l, Hold: 1000}, Outcome: o, CPUSecondsPerRequest: 0.002, PeakMemory: 300 * experiment.MiB}
		level := &analysis.Level{Users: 1000, Throughput: 950, P99: p99}
		if o == analysis.Passed {
			v.LastPass = level
		} else {
			v.FirstFail = level
		}
		return v
	}
	ms := time.Millisecond
	n.Saw([]analysis.Verdict{
		start(tonight, analysis.Passed, 20*ms), start(tonight, analysis.HostLimited, 900*ms), start(tonight, analysis.Passed, 30*ms),
		start(rival, analysis.Breached, 2000*ms), start(tonight, analysis.Passed, 22*ms),
	}, tonight)
	want := analysis.NightMetrics{Throughput: 950, P99: 22, CPUSecondsPerRequest: 0.002, PeakMemory: 300 * 1024 * 1024, Starts: 3}
	if n.Trials != 5 || n.Metrics == nil || *n.Metrics != want {
		t.Errorf("%d trials, %+v", n.Trials, n.Metrics)
	}
	if c := n.Capacity(); c == nil || c.Limits != n.Minimal || *c.LastPass != 1000 || c.FirstFail != nil || c.Outcome != analysis.Passed || !c.Proved {
		t.Errorf("%+v", c)
	}
	if len(n.Cells) != 2 || n.Cells[1].LastPass != nil || *n.Cells[1].FirstFail != 1000 || n.Cells[1].Outcome != analysis.Breached {
		t.Errorf("%+v", n.Cells)
	}
	n.Saw([]analysis.Verdict{start(tonight, analysis.HostLimited, ms)}, tonight)
	if c := n.Capacity(); n.Metrics != nil || c == nil || c.LastPass != nil || c.FirstFail != nil || c.Proved || c.Outcome != analysis.HostLimited {
		t.Errorf("%+v %+v", n.Metrics, c)
	}
}

func TestWhatIsNoNight(t *testing.T) {
	if err := aNight(1, 1).Check(); err != nil {
		t.Error(err)
	}
	refused := aNight(1, 1) // one that had nothing to check
	refused.Verdict, refused.Minimal, refused.Cells, refused.Metrics = analysis.NightInconclusive, experiment.Limits{}, nil, nil
	if err := refused.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*analysis.Night){
		"format":     func(n *analysis.Night) { n.Schema = "sweep.night/v2" },
		"experiment": func(n *analysis.Night) { n.Experiment = "" },
		"time":       func(n *analysis.Night) { n.Time = time.Time{} },
		"cell":       func(n *analysis.Night) { n.Minimal.CPU = 0 },
		"verdict":    func(n *analysis.Night) { n.Verdict = "fine" },
		"-1":         func(n *analysis.Night) { n.Cells[0].FirstFail = new(-1) },
		"NaN":        func(n *analysis.Night) { n.Metrics.P99 = math.NaN() },
	} {
		n := aNight(1, 1)
		change(&n)
		if err := n.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
