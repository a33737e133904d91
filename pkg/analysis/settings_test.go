package analysis_test

import (
	"slices"
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// with returns limits with a number of workers.
func with(l experiment.Limits, workers string) experiment.Limits {
	l.Env = experiment.VariablesOf(map[string]string{"WORKERS": workers})
	return l
}

// beside returns an experiment of two settings, drawn as squares draws them,
// and what was seen of each.
func beside(one, two []string) (*experiment.Experiment, []analysis.Verdict) {
	e, verdicts := squares(one...)
	other, more := squares(two...)
	for i := range e.Matrix.List {
		e.Matrix.List[i] = with(e.Matrix.List[i], "1")
	}
	for i := range verdicts {
		verdicts[i].Trial.Limits = with(verdicts[i].Trial.Limits, "1")
	}
	for _, l := range other.Matrix.List {
		e.Matrix.List = append(e.Matrix.List, with(l, "2"))
	}
	for _, v := range more {
		v.Trial.Limits = with(v.Trial.Limits, "2")
		verdicts = append(verdicts, v)
	}
	return e, verdicts
}

func TestNothingFollowsForAnotherSetting(t *testing.T) {
	for _, c := range []struct {
		name                 string
		one, two             []string
		followsOne, follows2 []string
		inversion            bool
	}{
		{"one failed", []string{"..", ".f"}, []string{"..", ".."}, []string{"..", "Ff"}, []string{"..", ".."}, false},
		{"one passed, less failed", []string{"..", "p."}, []string{".f", ".."}, []string{"PP", "pP"}, []string{"Ff", "FF"}, false},
		{"an inversion", []string{"...", ".p.f"}, []string{"...", "..f."}, []string{"...", ".p.f"}, []string{"...", "FFf."}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := analysis.Conclude(withVerdicts(beside(c.one, c.two)))
			settings := analysis.Settings(s.Cells)
			one, two := sketched(analysis.Of(s.Cells, settings[0]), 2), sketched(analysis.Of(s.Cells, settings[1]), 2)
			if !slices.Equal(one, c.followsOne) || !slices.Equal(two, c.follows2) {
				t.Errorf("follows %q and %q, want %q and %q", one, two, c.followsOne, c.follows2)
			}
			if (len(s.Warnings) > 0) != c.inversion {
				t.Errorf("warns %q", s.Warnings)
			}
		})
	}
}

func withVerdicts(e *experiment.Experiment, verdicts []analysis.Verdict) (*experiment.Experiment, []analysis.Verdict, func(experiment.Limits) string) {
	return e, verdicts, possible
}

func TestTheLeastOfAllSettings(t *testing.T) {
	const load = " 1,000 users with p99 <= 1s and errors <= 1%"
	for _, c := range []struct {
		name     string
		one, two []string
		answer   string
		minimal  string
	}{
		{"the cheaper one", []string{"fp"}, []string{"pp"}, "1 CPU / 1G with WORKERS=2 is the least of 4 measured configurations that carries" + load + ".", "1 CPU / 1G with WORKERS=2"},
		{"a cheaper one isn't known", []string{".p"}, []string{"fp"}, "2 CPU / 1G with WORKERS=1 carries" + load + ", but whether it is the least isn't known: 1 CPU / 1G with WORKERS=1 (not measured yet).", ""},
		{"the same limits needn't be known", []string{"f."}, []string{"fp"}, "2 CPU / 1G with WORKERS=2 is the least of 3 measured configurations that carries" + load + ".", "2 CPU / 1G with WORKERS=2"},
		{"none", []string{"ff"}, []string{".f"}, "None of 4 configurations carries" + load + "; the most was 1,000 on 1 CPU / 1G with WORKERS=1; 3 were measured, and the others grant no more than one that failed.", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := analysis.Conclude(withVerdicts(beside(c.one, c.two)))
			got := ""
			if s.Minimal != nil {
				got = s.Minimal.Limits.String()
			}
			if s.Answer != c.answer || got != c.minimal {
				t.Errorf("minimal %q, %s\nwant %q, %s", got, s.Answer, c.minimal, c.answer)
			}
		})
	}
}

func TestOfTheSameLimitsTheRoomiestSettingIsTheLeast(t *testing.T) {
	e, verdicts := beside([]string{"p."}, []string{"pp"})
	e.Price.GiBHour = 0
	for i := range verdicts {
		v := &verdicts[i]
		v.LastPass.Margin = -0.1
		switch v.Trial.Limits {
		case with(experiment.Limits{CPU: 1e9, Memory: experiment.GiB}, "2"):
			v.LastPass.Margin = -0.5
		case with(experiment.Limits{CPU: 2e9, Memory: experiment.GiB}, "2"):
			v.LastPass.Margin = -0.9 // grants more: never less, whatever its setting
		}
	}
	e.Price.CPUHour = 0 // all of them cost the same
	s := analysis.Conclude(e, verdicts, possible)
	want := "1 CPU / 1G with WORKERS=2 is the least of 3 measured configurations that carries 1,000 users with p99 <= 1s and errors <= 1%" +
		"; 1 CPU / 1G with WORKERS=1 carries them too, but is nearer to its limit."
	if s.Answer != want {
		t.Errorf("got %s\nwant %s", s.Answer, want)
	}
	if len(s.Frontier) != 2 {
		t.Errorf("the frontier is %v, want one cell of each setting", s.Frontier)
	}
}

func TestCausesAreHeldAgainstTheSameSetting(t *testing.T) {
	less, more := experiment.Limits{CPU: 1e9, Memory: experiment.GiB}, experiment.Limits{CPU: 1e9, Memory: 2 * experiment.GiB}
	cell := func(l experiment.Limits, users int) analysis.Cell {
		v := start(l, 1, analysis.OOMKilled, users)
		v.Cause = &analysis.Cause{Label: analysis.CauseOOM}
		return analysis.Cell{Verdict: v, Measured: true}
	}
	got := analysis.Confirm([]analysis.Cell{cell(with(less, "1"), 100), cell(with(more, "2"), 200)})
	if why := got[0].Cause; why.ConfirmedBy != "" || len(why.Evidence) > 0 {
		t.Errorf("held against another setting: %+v", why)
	}
	got = analysis.Confirm([]analysis.Cell{cell(with(less, "1"), 100), cell(with(more, "1"), 200), cell(with(more, "2"), 50)})
	if why := got[0].Cause; why.ConfirmedBy != "1 CPU / 2G with WORKERS=1: +100 %" {
		t.Errorf("held against %+v", why)
	}
}

// TestEachSettingHasItsModel checks that nothing is learnt across settings: an
// answer of the second costs five times as much.
func TestEachSettingHasItsModel(t *testing.T) {
	quick, slow := machine{demand: 0.001, base: 40, each: 0.1}, machine{demand: 0.005, base: 40, each: 0.1}
	var results []measure.Result
	var cells []experiment.Limits
	for workers, m := range map[string]machine{"1": quick, "2": slow} {
		for _, cpus := range []float64{0.1, 0.2, 0.3} {
			r := m.run(cellAt(cpus, 500))
			r.Trial.Limits = with(r.Trial.Limits, workers)
			results = append(results, r)
		}
		cells = append(cells, with(cellAt(0.25, 500), workers))
	}
	s := analysis.Analyse(asked(cells...), measure.Host{}, results)
	for workers, m := range map[string]machine{"1": quick, "2": slow} {
		l := with(cellAt(0.25, 500), workers)
		p, want := predicted(t, s, l), m.carries(l)
		if p == nil || float64(p.Users) < 0.9*want || float64(p.Users) > 1.1*want {
			t.Errorf("%s: got %+v, want %.0f; model %+v", l, p, want, s.Models[l.Setting()])
		}
	}
	if !strings.Contains(s.Answer, "with WORKERS=") {
		t.Errorf("the answer names no setting: %s", s.Answer)
	}
}
