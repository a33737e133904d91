package search_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/search"
)

// withSettings gives an experiment a further axis: so many numbers of workers.
func withSettings(e *experiment.Experiment, n int) *experiment.Experiment {
	e.Matrix.Env = map[string][]string{"WORKERS": nil}
	for i := range n {
		e.Matrix.Env["WORKERS"] = append(e.Matrix.Env["WORKERS"], strconv.Itoa(i))
	}
	return e
}

// truth is a boundary for each number of workers.
type truth [][]int

func (tr truth) carries(l experiment.Limits) bool {
	workers, _ := strconv.Atoi(l.Environment()["WORKERS"])
	return carries(l, tr[workers])
}

// expect compares what is said of each cell with the truth, and the answer.
func (tr truth) expect(t fataler, e *experiment.Experiment, known []analysis.Verdict) {
	s := analysis.Conclude(e, known, possible)
	slices.SortStableFunc(s.Cells, analysis.Cheaper)
	var want *analysis.Cell
	for i, c := range s.Cells {
		is := tr.carries(c.Trial.Limits)
		if is && want == nil {
			want = &s.Cells[i]
		}
		if c.Outcome.Known() && (c.Outcome == analysis.Passed) != is || c.Inferred != "" && (c.Inferred == analysis.InferredPassed) != is {
			t.Fatalf("%v: %s is said to be %s (%s)", tr, c.Trial.Limits, c.Outcome, c.Inferred)
		}
	}
	if (s.Minimal == nil) != (want == nil) || want != nil && (s.Minimal.Limits.Bare() != want.Trial.Limits.Bare() || !tr.carries(s.Minimal.Limits)) {
		t.Fatalf("%v: minimal %+v, want %v: %s", tr, s.Minimal, want, s.Answer)
	}
	if want == nil && (len(known) != len(tr) || !strings.HasPrefix(s.Answer, "None of ")) {
		t.Fatalf("%v: nothing is viable, but after %d trials: %s", tr, len(known), s.Answer)
	}
}

// TestFrontierFindsTheCheapestOfAllSettings tries every pair of boundaries: two
// grids of which neither tells anything of the other.
func TestFrontierFindsTheCheapestOfAllSettings(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	causes := []analysis.Label{analysis.CauseUnknown, analysis.CauseCPU, analysis.CauseOOM}
	const grids = 2
	for name, price := range prices {
		for _, size := range [][2]int{{1, 1}, {2, 1}, {2, 2}, {2, 3}, {3, 2}} {
			cpus, memory := size[0], size[1]
			e := withSettings(gridOf(cpus, memory, price), grids)
			promised, worst := search.Left(e, nil, possible).Trials(), 0
			if bound := grids*(cpus+memory-1) + 1; promised > bound {
				t.Errorf("%s: %d of %dx%d promise at most %d trials, more than %d", name, grids, cpus, memory, promised, bound)
			}
			boundaries(cpus, memory, func(one []int) {
				one = slices.Clone(one)
				boundaries(cpus, memory, func(other []int) {
					tr := truth{one, other}
					known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
						if tr.carries(trial.Limits) {
							return verdict(trial, analysis.Passed, "")
						}
						return verdict(trial, analysis.Breached, causes[rng.IntN(len(causes))])
					})
					worst = max(worst, len(known))
					tr.expect(t, e, known)
				})
			})
			if worst > promised {
				t.Errorf("%s: %d of %dx%d took %d trials, promised at most %d", name, grids, cpus, memory, worst, promised)
			}
		}
	}
}

// TestEveryTrialKeepsThePromiseWithSettings runs it on matrices with holes, with
// up to three settings.
func TestEveryTrialKeepsThePromiseWithSettings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := withSettings(gridOf(rapid.IntRange(1, 4).Draw(t, "CPUs"), rapid.IntRange(1, 4).Draw(t, "memory"),
			rapid.SampledFrom([]experiment.Price{{CPUHour: 100, GiBHour: 1}, {CPUHour: 1, GiBHour: 10.24}, {CPUHour: 1}}).Draw(t, "price")),
			rapid.IntRange(1, 3).Draw(t, "settings"))
		cells := e.Matrix.Cells()
		e.Matrix.Exclude = rapid.SliceOfNDistinct(rapid.SampledFrom(cells), 0, len(cells)-1, rapid.ID).Draw(t, "holes")
		var tr truth
		for range e.Matrix.Env["WORKERS"] {
			tooFew := make([]int, 4)
			for i, most := 0, 4; i < len(tooFew); i++ {
				most = rapid.IntRange(0, most).Draw(t, "too few")
				tooFew[i] = most
			}
			tr = append(tr, tooFew)
		}
		left := search.Left(e, nil, possible).Trials()
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			if tr.carries(trial.Limits) {
				return verdict(trial, analysis.Passed, "")
			}
			return verdict(trial, analysis.OOMKilled, analysis.CauseOOM)
		})
		for i := range known {
			now := search.Left(e, known[:i+1], possible).Trials()
			if now >= left {
				t.Fatalf("%d trials are left after %d, %d before", now, i+1, left)
			}
			left = now
		}
		if left != 0 {
			t.Fatalf("%d trials are left at the end", left)
		}
		checkClaims(t, analysis.Conclude(e, known, possible))
	})
}

// TestOneGridOfEachSetting tells what settings cost of trials.
func TestOneGridOfEachSetting(t *testing.T) {
	price := experiment.DefaultPrice()
	for settings, most := range map[int]int{1: 5, 2: 9, 3: 12} {
		if got := search.Left(withSettings(gridOf(4, 4, price), settings), nil, possible).Trials(); got != most {
			t.Errorf("%d settings of 4x4 promise at most %d trials, not %d", settings, got, most)
		}
	}
}

func TestEachSettingIsGuarded(t *testing.T) {
	e := withSettings(gridOf(2, 2, prices["a CPU costs two steps"]), 2)
	e.Search.Preset, e.Search.Precision = experiment.Certify, 0.1
	tr := truth{{2, 1}, {2, 2}} // the least is 2 CPU and 2 steps with the first
	known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
		if tr.carries(trial.Limits) {
			return verdict(trial, analysis.Passed, "")
		}
		return verdict(trial, analysis.Breached, analysis.CauseUnknown)
	})
	s := analysis.Conclude(e, known, possible)
	if s.Minimal == nil || s.Minimal.Limits.String() != "2 CPU / 200M with WORKERS=0" || s.Minimal.Certificate == "" {
		t.Fatalf("%+v: %s", s.Minimal, s.Answer)
	}
	for _, c := range s.Cells {
		if l := c.Trial.Limits; l.CPU == 2e9 && l.Memory == step && !c.Measured {
			t.Errorf("%s wasn't measured", l)
		}
	}
}
