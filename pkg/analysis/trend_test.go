package analysis_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
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
	h := measure.Host{Engine: "20.10.24+dfsg1", Kernel: "6.18.44-fc", Architecture: "x86_64", CgroupVersion: "1", CPUs: 2, Memory: 7956 * experiment.MiB}
	same := h
	same.Engine, same.Kernel, same.Memory = "20.10.5", "6.18.2-other", 7950*experiment.MiB
	a, b := analysis.MachineOf(h), analysis.MachineOf(same)
	if a != b || len(a.Fingerprint) != 8 || !strings.Contains(a.Words, "2 CPUs, 8 GiB, x86_64, Linux 6.18, cgroup 1, engine 20.10") {
		t.Errorf("%+v %+v", a, b)
	}
	for name, change := range map[string]func(*measure.Host){
		"CPUs": func(h *measure.Host) { h.CPUs = 4 }, "memory": func(h *measure.Host) { h.Memory *= 2 },
		"kernel": func(h *measure.Host) { h.Kernel = "6.19.0" }, "cgroups": func(h *measure.Host) { h.CgroupVersion = "2" },
		"nothing known": func(h *measure.Host) { *h = measure.Host{} },
	} {
		other := h
		change(&other)
		if got := analysis.MachineOf(other); got.Fingerprint == a.Fingerprint {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhatIsNoNight(t *testing.T) {
	if err := aNight(1, 1).Check(); err != nil {
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
