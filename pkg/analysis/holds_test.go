package analysis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func TestLevelsAreClassifiedByTheirHolds(t *testing.T) {
	for _, c := range []struct {
		passed, failed, starts int
		want                   analysis.Class
	}{
		{1, 0, 1, analysis.Lower},
		{0, 1, 1, analysis.Upper},
		{1, 1, 1, analysis.Undecided},
		{2, 1, 1, analysis.Lower},
		{0, 0, 1, analysis.Undecided},
		{1, 0, 3, analysis.Undecided},
		{2, 0, 3, analysis.Lower},
		{0, 2, 3, analysis.Upper},
		{1, 1, 3, analysis.Undecided},
		{1, 2, 3, analysis.Upper},
		{2, 0, 5, analysis.Undecided},
		{3, 2, 5, analysis.Lower},
		{2, 3, 5, analysis.Upper},
		{2, 2, 2, analysis.Undecided},
	} {
		if got := analysis.Classify(c.passed, c.failed, c.starts); got != c.want {
			t.Errorf("%d passed, %d failed, of %d: %s, want %s", c.passed, c.failed, c.starts, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // no side is preferred
		passed, failed, starts := rapid.IntRange(0, 20).Draw(t, "passed"), rapid.IntRange(0, 20).Draw(t, "failed"), rapid.IntRange(1, 20).Draw(t, "starts")
		mirror := map[analysis.Class]analysis.Class{analysis.Lower: analysis.Upper, analysis.Upper: analysis.Lower, analysis.Undecided: analysis.Undecided}
		if a, b := analysis.Classify(passed, failed, starts), analysis.Classify(failed, passed, starts); a != mirror[b] {
			t.Fatalf("%s, the other way round %s", a, b)
		}
	})
}

func TestWhatHoldsAboveAnUpperBoundWasLuck(t *testing.T) {
	levels := []analysis.Held{{Users: 100, Class: analysis.Lower}, {Users: 200, Class: analysis.Upper}, {Users: 300, Class: analysis.Lower}, {Users: 400, Class: analysis.Upper}}
	lower, upper := analysis.Bounds(levels)
	if lower == nil || lower.Users != 100 || upper == nil || upper.Users != 200 {
		t.Errorf("%+v, %+v", lower, upper)
	}
	if lower, upper = analysis.Bounds(levels[:1]); lower.Users != 100 || upper != nil {
		t.Errorf("%+v, %+v", lower, upper)
	}
}

// holding asks question for a hold of 600 users: it climbs in 6 s, settles for
// 4 s and is measured for 20.
func holding() (*experiment.Experiment, experiment.Trial) {
	e := question()
	e.Users.Settle, e.Users.Hold = experiment.Duration(4*time.Second), experiment.Duration(20*time.Second)
	e.Search.Preset = experiment.Standard
	return e, experiment.Trial{Limits: small, Hold: 600, Replicate: 1}
}

// heldBy returns what was seen in a hold, given what each second after the climb
// is like, the settling ones first.
func heldBy(trial experiment.Trial, second24 func(i int) measure.Window) measure.Result {
	var ws []measure.Window
	for i := range 30 {
		w := second(i, min(600, 100*(i+1)), min(600, 100*(i+1)), 20*time.Millisecond)
		if i >= 6 {
			w = second24(i)
		}
		ws = append(ws, w)
	}
	r := result(ws, measure.Exit{})
	r.Trial, r.Series.At = trial, 30*time.Second
	return r
}

// tardy returns a second of 600 requests of which some took two seconds.
func tardy(i, n int) measure.Window {
	w := second(i, 600, 600, 20*time.Millisecond)
	w.Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: uint64(600 - n)}, measure.Bucket{Value: 2 * time.Second, Count: uint64(n)})
	return w
}

func TestAHoldHasThreeOutcomes(t *testing.T) {
	e, trial := holding()
	for _, c := range []struct {
		name string
		late func(i int) int // requests, of 600 a second
		want analysis.Outcome
		says string
	}{
		{"all in time", func(int) int { return 0 }, analysis.Passed, ""},
		{"late while it settles", func(i int) int { return 600 * max(0, min(1, 10-i)) }, analysis.Passed, ""},
		{"late for two seconds", func(i int) int { return 100 * max(0, min(1, (i-14)*(17-i))) }, analysis.Breached, ""},
		{"late by the objective's measure", func(int) int { return 6 }, analysis.Inconclusive, "1% of 12,000 requests missed p99, of which 1% may: too near to tell"},
		{"late for one second", func(i int) int { return 100 * max(0, 1-(i-15)*(i-15)) }, analysis.Inconclusive, "0.833% of 12,000 requests missed p99"},
		{"some late now and then", func(i int) int { return i % 4 }, analysis.Passed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := analysis.Judge(e, heldBy(trial, func(i int) measure.Window { return tardy(i, c.late(i)) }))
			if v.Outcome != c.want || !strings.Contains(strings.Join(v.Warnings, "; "), c.says) {
				t.Fatalf("%s, %q", v.Outcome, v.Warnings)
			}
			if v.Outcome == analysis.Passed && (v.LastPass.Users != 600 || v.Confidence < 0.95) {
				t.Errorf("%+v, confidence %v", v.LastPass, v.Confidence)
			}
			if v.Outcome == analysis.Breached && (v.FirstFail.Users != 600 || v.LastPass != nil) {
				t.Errorf("last pass %+v, first fail %+v", v.LastPass, v.FirstFail)
			}
		})
	}
}

func TestAHoldOfFewRequestsShowsLittle(t *testing.T) {
	e, trial := holding()
	for n, want := range map[int]analysis.Outcome{1: analysis.Inconclusive, 5: analysis.Passed, 50: analysis.Passed} {
		v := analysis.Judge(e, heldBy(trial, func(i int) measure.Window { return second(i, 600, n, 20*time.Millisecond) }))
		if v.Outcome != want {
			t.Errorf("%d requests a second: %s, %q", n, v.Outcome, v.Warnings)
		}
		if said := strings.Contains(strings.Join(v.Warnings, "; "), "100 requests show errors with 63.4% confidence only"); said != (n == 5) {
			t.Errorf("%d requests a second: %q", n, v.Warnings)
		}
	}
}

// TestAHoldOfOneBadSpanFails checks that few requests, pooled to one span that is
// bad, don't leave a hold without two bad ones running undecided.
func TestAHoldOfOneBadSpanFails(t *testing.T) {
	e, trial := holding()
	e.Users.Hold = experiment.Duration(5 * time.Second)
	for took, want := range map[time.Duration]analysis.Outcome{2 * time.Second: analysis.Breached, 20 * time.Millisecond: analysis.Inconclusive} {
		r := heldBy(trial, func(i int) measure.Window { return second(i, 600, 4, took) })
		r.Series.Windows, r.Series.At = r.Series.Windows[:15], 18*time.Second
		if v := analysis.Judge(e, r); v.Outcome != want || len(v.Warnings) == 0 && want == analysis.Inconclusive {
			t.Errorf("answers in %v: %s, %q", took, v.Outcome, v.Warnings)
		}
	}
}

func TestADeathFailsAHoldWheneverItComes(t *testing.T) {
	e, trial := holding()
	for _, at := range []int{3, 8, 20} {
		r := heldBy(trial, func(i int) measure.Window { return tardy(i, 0) })
		r.Series.Windows, r.Series.At = r.Series.Windows[:at+1], time.Duration(at+1)*time.Second
		r.Exit = measure.Exit{Died: true, OOMKilled: true, OOMKills: 1, At: r.Loaded.Add(time.Duration(at)*time.Second + 500*time.Millisecond)}
		v := analysis.Judge(e, r)
		if v.Outcome != analysis.OOMKilled || v.LastPass != nil || v.FirstFail == nil || v.FirstFail.Users != min(600, 100*(at+1)) {
			t.Errorf("at %d s: %s, %+v, %+v", at, v.Outcome, v.LastPass, v.FirstFail)
		}
	}
}

// TestWatchAndJudgeAgreeOnHolds checks that a hold which is stopped early is
// judged as it was when it was stopped.
func TestWatchAndJudgeAgreeOnHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, trial := holding()
		from, n := rapid.IntRange(0, 40).Draw(t, "late from"), rapid.IntRange(0, 30).Draw(t, "late")
		r := heldBy(trial, func(i int) measure.Window { return tardy(i, n*max(0, min(1, i-from+1))) })
		for i := range r.Series.Windows {
			series := measure.Series{At: time.Duration(i+3) * time.Second, Windows: r.Series.Windows[:i+1]}
			v := analysis.Watch(e, trial, series)
			if v.Outcome == analysis.Open {
				continue
			}
			if i < 10 {
				t.Fatalf("decided at %d s, before anything is measured: %s", i, v.Outcome)
			}
			cut := r
			cut.Series = series
			if got := analysis.Judge(e, cut); got.Outcome != v.Outcome || got.FirstFail.Users != v.FirstFail.Users {
				t.Fatalf("stopped as %s, judged as %s", v.Outcome, got.Outcome)
			}
			return
		}
	})
}

// TestAServiceThatStallsWhileItSettlesFails checks that users who all wait, and
// so ask nothing while the hold is measured, are no lack of evidence.
func TestAServiceThatStallsWhileItSettlesFails(t *testing.T) {
	e, trial := holding()
	e.Users.Hold = experiment.Duration(5 * time.Second)
	stall := func(i int) measure.Window {
		w := second(i, 600, 0, 0)
		w.InFlight, w.Oldest = 600, time.Duration(i-6)*time.Second
		if i == 6 {
			w.Sent, w.Errors = 600, map[measure.Class]uint64{measure.Timeout: 600}
		}
		return w
	}
	r := heldBy(trial, stall)
	r.Series.Windows, r.Series.At = r.Series.Windows[:15], 17*time.Second
	if v := analysis.Judge(e, r); v.Outcome != analysis.Breached || v.FirstFail == nil || v.FirstFail.Users != 600 {
		t.Errorf("%s, %+v", v.Outcome, v.FirstFail)
	}
	well := heldBy(trial, func(i int) measure.Window {
		if i == 6 {
			return stall(i)
		}
		return tardy(i, 0)
	})
	well.Series.Windows, well.Series.At = well.Series.Windows[:15], 17*time.Second
	if v := analysis.Judge(e, well); v.Outcome != analysis.Passed {
		t.Errorf("one that got well while it settled: %s, %q", v.Outcome, v.Warnings)
	}
}

// verdictOf returns what a start shows at a level: a ramp where hold is 0.
func verdictOf(hold, replicate int, o analysis.Outcome, last, first int) analysis.Verdict {
	v := analysis.Verdict{Trial: experiment.Trial{Limits: small, Hold: hold, Replicate: replicate}, Outcome: o}
	if last > 0 {
		v.LastPass = &analysis.Level{Users: last}
	}
	if first > 0 {
		v.FirstFail, v.Breach, v.Cause = &analysis.Level{Users: first}, &analysis.Breach{Objective: "p99"}, &analysis.Cause{Label: analysis.CauseCPU}
	}
	return v
}

func TestWhatHoldsAndRampsSayTogether(t *testing.T) {
	passed, failed, oom, mute, never := analysis.Passed, analysis.Breached, analysis.OOMKilled, analysis.GeneratorLimited, analysis.NotReady
	ramp := verdictOf(0, 1, failed, 500, 520)
	for _, c := range []struct {
		name        string
		starts      []analysis.Verdict
		want        analysis.Outcome
		last, first int // users; 0: none
		proved      bool
	}{
		{"a ramp alone", []analysis.Verdict{ramp}, failed, 500, 520, false},
		{"both ends are held", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0), verdictOf(513, 1, failed, 0, 513)}, failed, 488, 513, true},
		{"only the lower one so far", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0)}, failed, 500, 520, false},
		{"the ramp was unlucky", []analysis.Verdict{ramp, verdictOf(950, 1, passed, 950, 0), verdictOf(1000, 1, mute, 0, 0)}, analysis.Inconclusive, 950, 0, false},
		{"and of two a third decides", []analysis.Verdict{ramp, verdictOf(1000, 1, passed, 1000, 0), verdictOf(1000, 2, passed, 1000, 0)}, passed, 1000, 0, true},
		{"one pass is no majority", []analysis.Verdict{ramp, verdictOf(1000, 1, passed, 1000, 0)}, analysis.Inconclusive, 1000, 0, false},
		{"the target doesn't hold after all", []analysis.Verdict{verdictOf(0, 1, passed, 1000, 0), verdictOf(1000, 1, failed, 0, 1000), verdictOf(1000, 2, failed, 0, 1000), verdictOf(950, 1, passed, 950, 0)}, failed, 950, 1000, true},
		{"died on its way up, below what was held", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0), verdictOf(513, 1, oom, 0, 40)}, oom, 488, 513, true},
		{"died on its way up, at once", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0), verdictOf(513, 1, oom, 0, 0)}, oom, 488, 513, true},
		{"died on its way up, near the level", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0), verdictOf(513, 1, oom, 0, 510)}, oom, 488, 510, true},
		{"one slow boot says nothing of the level", []analysis.Verdict{ramp, verdictOf(488, 1, passed, 488, 0), verdictOf(513, 1, never, 0, 0)}, failed, 500, 520, false},
		{"no level holds", []analysis.Verdict{verdictOf(0, 1, failed, 0, 30), verdictOf(29, 1, failed, 0, 29), verdictOf(1, 1, failed, 0, 1)}, failed, 0, 1, true},
		{"by a stricter objective the ramp says more", []analysis.Verdict{verdictOf(0, 1, failed, 300, 310), verdictOf(488, 1, failed, 0, 488)}, failed, 300, 310, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := question()
			e.Search.Preset = experiment.Standard
			cell := analysis.Conclude(e, c.starts, possible).Cells[0]
			users := func(l *analysis.Level) int {
				if l == nil {
					return 0
				}
				return l.Users
			}
			if cell.Outcome != c.want || users(cell.LastPass) != c.last || users(cell.FirstFail) != c.first || cell.Proved != c.proved {
				t.Errorf("%s, %d to %d, proved: %v; %q", cell.Outcome, users(cell.LastPass), users(cell.FirstFail), cell.Proved, cell.Warnings)
			}
		})
	}
}

func TestACertificateTakesAMajority(t *testing.T) {
	e, verdicts := squares("fp")
	e.Search.Preset = experiment.Certify
	rival, least := verdicts[0].Trial.Limits, verdicts[1].Trial.Limits
	for said, more := range map[string][]analysis.Verdict{
		"": nil,
		"it carried them in 2 of 2 fresh starts; of what is cheaper 1 CPU / 1G failed in 2 of 2": {start(least, 2, analysis.Passed, 1000), start(rival, 2, analysis.Breached, 900)},
	} {
		s := analysis.Conclude(e, append(slices.Clone(verdicts), more...), possible)
		if s.Minimal == nil || s.Minimal.Certificate != said {
			t.Errorf("%+v, want %q", s.Minimal, said)
		}
	}
	split := append(slices.Clone(verdicts), start(least, 2, analysis.Breached, 900), start(least, 3, analysis.Breached, 900))
	if s := analysis.Conclude(e, split, possible); s.Minimal != nil {
		t.Errorf("carried by one start of three, yet minimal: %+v", s.Minimal)
	}
}
