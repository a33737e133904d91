package search_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/search"
)

// proving asks for holds on one cell.
func proving(target, repeats int, precision experiment.Share) *experiment.Experiment {
	e := gridOf(1, 1, experiment.Price{CPUHour: 1})
	e.Users.Target = target
	e.Search = experiment.Search{Strategy: "exhaustive", Preset: experiment.Standard, Precision: precision, Repeats: repeats, Seed: 1}
	return e
}

// held is what a service of some capacity shows in a trial; its ramp passes
// found last.
func held(e *experiment.Experiment, t experiment.Trial, capacity, found int) analysis.Verdict {
	asked := t.Hold
	if asked == 0 {
		asked = e.Users.Target
		if found < asked {
			return failed(t, found, min(found+1, asked))
		}
	} else if asked > capacity {
		return failed(t, 0, asked)
	}
	return analysis.Verdict{Trial: t, Outcome: analysis.Passed, LastPass: &analysis.Level{Users: asked}}
}

func failed(t experiment.Trial, last, first int) analysis.Verdict {
	v := verdict(t, analysis.Breached, analysis.CauseCPU)
	v.FirstFail = &analysis.Level{Users: first}
	if last > 0 {
		v.LastPass = &analysis.Level{Users: last}
	}
	return v
}

func answered(e *experiment.Experiment, known []analysis.Verdict) analysis.Cell {
	return analysis.Conclude(e, known, possible).Cells[0]
}

// TestTheBracketIsHeldAndHoldsTheTruth checks that whatever the ramp found, both
// ends of the bracket were held, it holds the capacity, and is as narrow as was
// asked for.
func TestTheBracketIsHeldAndHoldsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		precision := experiment.Share(rapid.IntRange(1, 30).Draw(t, "precision")) / 100
		target := rapid.IntRange(1, 20_000).Draw(t, "target")
		e := proving(target, rapid.SampledFrom([]int{1, 3}).Draw(t, "repeats"), precision)
		capacity, found := rapid.IntRange(0, target).Draw(t, "capacity"), rapid.IntRange(0, target-1).Draw(t, "found")
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return held(e, trial, capacity, found) })
		c := answered(e, known)
		if capacity == target {
			if c.Outcome != analysis.Passed || c.LastPass.Users != target || !c.Proved {
				t.Fatalf("%s, %+v", c.Outcome, c.LastPass)
			}
			return
		}
		if c.Outcome != analysis.Breached || !c.Proved || c.FirstFail.Users <= capacity {
			t.Fatalf("%s, first fail %+v", c.Outcome, c.FirstFail)
		}
		last, first := 0, c.FirstFail.Users
		if c.LastPass != nil {
			last = c.LastPass.Users
		}
		if last > capacity || first-last > 1 && float64(first-last) > float64(precision)*float64(first)+1 {
			t.Fatalf("%d to %d, for a capacity of %d", last, first, capacity)
		}
	})
}

func TestARampThatWasRightCostsTwoHolds(t *testing.T) {
	for _, c := range []struct{ capacity, found, holds int }{
		{6200, 6150, 2},
		{6200, 6250, 3},     // a step too high
		{6200, 7000, 5},     // it overshot
		{6200, 5000, 7},     // it failed early
		{10_000, 6200, 6},   // it failed, but all are carried: of two that disagree a third decides
		{10_000, 10_000, 0}, // the ramp held the target
		{0, 6200, 9},        // nothing holds
	} {
		e := proving(10_000, 1, 0.05)
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return held(e, trial, c.capacity, c.found) })
		if holds := len(known) - 1; holds > c.holds {
			t.Errorf("a capacity of %d, of which the ramp found %d, took %d holds, not %d", c.capacity, c.found, holds, c.holds)
		}
	}
}

// TestTheSameServiceIsAskedAtTheSameLevels checks that ramps which differ a
// little end in the same bracket.
func TestTheSameServiceIsAskedAtTheSameLevels(t *testing.T) {
	brackets := map[[2]int]bool{}
	for found := 5800; found < 6500; found += 50 {
		e := proving(10_000, 1, 0.05)
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return held(e, trial, 6200, found) })
		c := answered(e, known)
		brackets[[2]int{c.LastPass.Users, c.FirstFail.Users}] = true
	}
	if len(brackets) != 1 {
		t.Errorf("brackets %v", brackets)
	}
}

// TestHoldsThatDisagreeEnd checks that whatever holds say, the search ends, and
// claims no level as held that most of its holds didn't.
func TestHoldsThatDisagreeEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := proving(rapid.IntRange(1, 2000).Draw(t, "target"), rapid.IntRange(1, 4).Draw(t, "repeats"), 0.05)
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "luck"), 1))
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			if rng.IntN(6) == 0 {
				return verdict(trial, analysis.HostLimited, "")
			}
			return held(e, trial, rng.IntN(2*e.Users.Target), rng.IntN(e.Users.Target))
		})
		c := answered(e, known)
		lower, upper := analysis.Bounds(c.Levels)
		if c.Proved && upper != nil && (c.FirstFail == nil || c.FirstFail.Users != upper.Users || upper.Failed <= upper.Passed) {
			t.Fatalf("first fail %+v of %+v", c.FirstFail, c.Levels)
		}
		if c.Proved && lower != nil && upper != nil && (c.LastPass.Users != lower.Users || lower.Users >= upper.Users || lower.Passed <= lower.Failed) {
			t.Fatalf("last pass %+v of %+v", c.LastPass, c.Levels)
		}
	})
}

func TestCellsTakeTurns(t *testing.T) {
	e := gridOf(3, 1, experiment.Price{CPUHour: 1})
	e.Search = experiment.Search{Strategy: "exhaustive", Preset: experiment.Standard, Precision: 0.05, Repeats: 3, Seed: 1}
	known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return held(e, trial, 500, 500) })
	starts := map[experiment.Limits]int{}
	for _, v := range known {
		starts[v.Trial.Limits]++
		for _, n := range starts {
			if len(starts) == 3 && n < starts[v.Trial.Limits]-1 {
				t.Fatalf("%v were run before another's next", starts)
			}
		}
	}
}

// TestCertifyShowsThatTheLeastIsTheLeast runs it on every boundary of a grid:
// what is named minimal has carried the target twice, and each of its rivals has
// failed twice.
func TestCertifyShowsThatTheLeastIsTheLeast(t *testing.T) {
	for name, price := range prices {
		for _, strategy := range []string{"exhaustive", "frontier"} {
			boundaries(3, 4, func(tooFew []int) {
				e := gridOf(3, 4, price)
				e.Search = experiment.Search{Strategy: strategy, Preset: experiment.Certify, Precision: 0.05, Repeats: 1, Seed: 1}
				known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
					if carries(trial.Limits, tooFew) {
						return held(e, trial, e.Users.Target, e.Users.Target)
					}
					return held(e, trial, 700, 700)
				})
				s := analysis.Conclude(e, known, possible)
				if viable := carries(experiment.Limits{CPU: 3e9, Memory: 4 * step}, tooFew); !viable {
					if s.Minimal != nil {
						t.Fatalf("%s is minimal, but none is viable", s.Minimal.Limits)
					}
					return
				}
				checkAnswer(t, e, known, tooFew)
				if s.Minimal.Certificate == "" {
					t.Fatalf("%s, %s: %s isn't certified", name, strategy, s.Minimal.Limits)
				}
				for _, c := range analysis.Rivals(s.Cells, s.Minimal.Limits) {
					if _, failed := c.At(e.Users.Target); failed < 2 {
						t.Fatalf("%s, %s: %s failed %d times only", name, strategy, c.Trial.Limits, failed)
					}
				}
			})
		}
	}
}

// TestAnInversionIsRunAgain checks that one that was chance vanishes, and one
// that lasts is told.
func TestAnInversionIsRunAgain(t *testing.T) {
	for _, c := range []struct {
		preset string
		lasts  bool
	}{{experiment.Quick, false}, {experiment.Quick, true}, {experiment.Standard, false}, {experiment.Standard, true}} {
		e := gridOf(2, 1, experiment.Price{CPUHour: 1})
		e.Search = experiment.Search{Strategy: "exhaustive", Preset: c.preset, Precision: 0.05, Repeats: 1, Seed: 1}
		starts := map[experiment.Limits]int{}
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			starts[trial.Limits]++
			if trial.Limits.CPU == 2e9 && (c.lasts || starts[trial.Limits] == 1) {
				return held(e, trial, 700, 700)
			}
			return held(e, trial, 1000, 1000)
		})
		s := analysis.Conclude(e, known, possible)
		if got := len(s.Warnings) > 0; got != c.lasts {
			t.Errorf("%+v: warnings %q", c, s.Warnings)
		}
		if passed := s.Cells[1].Outcome == analysis.Passed; passed == c.lasts || s.Cells[1].Trials < 2 {
			t.Errorf("%+v: %s after %d starts", c, s.Cells[1].Outcome, s.Cells[1].Trials)
		}
	}
}

func TestWhatIsLeftIsToldByKind(t *testing.T) {
	e := proving(1000, 1, 0.05)
	if w := search.Left(e, nil, possible); w != (search.Work{Ramps: 1, Holds: 2, Bound: search.About}) {
		t.Errorf("at first %+v are left", w)
	}
	known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return held(e, trial, 500, 500) })
	if w := search.Left(e, known, possible); w.Trials() != 0 {
		t.Errorf("at last %+v are left", w)
	}
}

// TestARampPointsBetweenItsBounds checks that a wide bracket is begun where the
// observed meets its limit.
func TestARampPointsBetweenItsBounds(t *testing.T) {
	e := proving(450, 1, 0.03)
	ramp := failed(experiment.Trial{Limits: e.Matrix.Cells()[0], Replicate: 1}, 271, 361)
	ramp.LastPass.Margin, ramp.FirstFail.Margin = -0.15, 0.26
	for outcome, want := range map[analysis.Outcome]int{analysis.Breached: 303, analysis.OOMKilled: 268} {
		ramp.Outcome = outcome
		if next, _ := search.Next(e, []analysis.Verdict{ramp}, possible); next.Hold != want {
			t.Errorf("after a ramp that %s comes %s, want a hold of %d", outcome, next.Slug(), want)
		}
	}
}

// TestARampWithoutACourseIsNoGuess checks that a ramp of which nothing failed
// before points to its last pass, however infinitely far that was from a limit.
func TestARampWithoutACourseIsNoGuess(t *testing.T) {
	e := proving(1000, 1, 0.05)
	ramp := failed(experiment.Trial{Limits: e.Matrix.Cells()[0], Replicate: 1}, 667, 800)
	ramp.LastPass.Margin, ramp.FirstFail.Margin = math.Inf(-1), 1
	if next, _ := search.Next(e, []analysis.Verdict{ramp}, possible); next.Hold != 663 {
		t.Errorf("comes %s", next.Slug())
	}
}

// TestALevelThatTellsNothingIsGoneRound checks that a bracket is found around a
// level whose holds never tell anything, and that a cell is given up where there
// is another.
func TestALevelThatTellsNothingIsGoneRound(t *testing.T) {
	for _, c := range []struct{ mute, most, trials int }{{1, 640, 6}, {5, 2000, 9}} {
		e := proving(1000, 1, 0.05)
		silent := map[int]bool{}
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			if trial.Hold > 0 && trial.Hold >= 600 && trial.Hold < c.most && (silent[trial.Hold] || len(silent) < c.mute) {
				silent[trial.Hold] = true
				return verdict(trial, analysis.Inconclusive, "")
			}
			return held(e, trial, 640, 640)
		})
		if len(known) > c.trials {
			t.Errorf("%d mute levels took %d trials", c.mute, len(known))
		}
		if cell := answered(e, known); c.mute == 1 && (!cell.Proved || cell.LastPass == nil || cell.LastPass.Users != 599 || cell.FirstFail.Users != 663) {
			t.Errorf("%+v", cell.Levels)
		}
	}
}

// TestARampThatToldNothingIsRunOnceMore checks it where holds are to follow.
func TestARampThatToldNothingIsRunOnceMore(t *testing.T) {
	e := proving(1000, 1, 0.05)
	known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict { return verdict(trial, analysis.GeneratorLimited, "") })
	if len(known) != 2 {
		t.Errorf("%d trials", len(known))
	}
}
