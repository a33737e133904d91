package search_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/search"
)

const step = 100 * experiment.MiB

// Prices by what they do: an hour of a CPU against that of a step of memory.
var prices = map[string]experiment.Price{
	"a CPU costs more than all memory": {CPUHour: 100, GiBHour: 1},
	"memory costs more than all CPUs":  {CPUHour: 1, GiBHour: 1000},
	"a step of either costs the same":  {CPUHour: 1, GiBHour: 10.24},
	"a CPU costs two steps":            {CPUHour: 2, GiBHour: 10.24},
	"memory costs nothing":             {CPUHour: 1},
	"everything costs nothing":         {},
}

func gridOf(cpus, memory int, price experiment.Price) *experiment.Experiment {
	e := &experiment.Experiment{
		Name: "grid", Users: experiment.Users{Target: 1000}, Objective: experiment.DefaultObjective(),
		Search: experiment.Search{Strategy: "frontier", Repeats: 1}, Price: price,
	}
	for i := range cpus {
		e.Matrix.CPUs = append(e.Matrix.CPUs, experiment.CPUs(i+1)*1e9)
	}
	for j := range memory {
		e.Matrix.Memory = append(e.Matrix.Memory, experiment.Bytes(j+1)*step)
	}
	return e
}

// boundaries calls f with every monotone boundary of a grid: for each number
// of CPUs, how many steps of memory are too few.
func boundaries(cpus, memory int, f func(tooFew []int)) {
	tooFew := make([]int, cpus)
	var descend func(i, most int)
	descend = func(i, most int) {
		if i == cpus {
			f(tooFew)
			return
		}
		for n := 0; n <= most; n++ {
			tooFew[i] = n
			descend(i+1, n)
		}
	}
	descend(0, memory)
}

func carries(l experiment.Limits, tooFew []int) bool {
	return int(l.Memory/step) > tooFew[int(l.CPU/1e9)-1]
}

func verdict(t experiment.Trial, o analysis.Outcome, why analysis.Label) analysis.Verdict {
	v := analysis.Verdict{Trial: t, Outcome: o}
	if o == analysis.Passed {
		v.LastPass = &analysis.Level{Users: 1000}
	}
	if o.Failed() {
		v.FirstFail, v.Cause = &analysis.Level{Users: 500}, &analysis.Cause{Label: why}
	}
	return v
}

// explore runs a search to its end, against a service that answers.
func explore(t fataler, e *experiment.Experiment, known []analysis.Verdict, impossible func(experiment.Limits) string, answer func(experiment.Trial) analysis.Verdict) []analysis.Verdict {
	for range 10_000 {
		next, ok := search.Next(e, known, impossible)
		if !ok {
			return known
		}
		if slices.ContainsFunc(known, func(v analysis.Verdict) bool { return v.Trial == next }) {
			t.Fatalf("%v comes twice", next)
		}
		known = append(known, answer(next))
	}
	t.Fatalf("no end")
	return nil
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func bisections(n int) int { return bits.Len(uint(n - 1)) }

func TestFrontierFindsTheCheapestForEveryBoundary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	causes := []analysis.Label{analysis.CauseUnknown, analysis.CauseCPU, analysis.CauseOOM}
	for name, price := range prices {
		for cpus := 1; cpus <= 6; cpus++ {
			for memory := 1; memory <= 6; memory++ {
				e := gridOf(cpus, memory, price)
				promised, worst := search.Left(e, nil, possible).Trials(), 0
				if bound := cpus + memory - 1; promised > bound && cpus+memory > 2 {
					t.Errorf("%s: %dx%d promises at most %d trials, more than %d", name, cpus, memory, promised, bound)
				}
				if most := 1 + bisections(cpus) + bisections(memory); strings.HasPrefix(name, "a CPU costs more") && promised > most {
					t.Errorf("%s: %dx%d promises at most %d trials, more than %d", name, cpus, memory, promised, most)
				}
				boundaries(cpus, memory, func(tooFew []int) {
					known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
						if carries(trial.Limits, tooFew) {
							return verdict(trial, analysis.Passed, "")
						}
						return verdict(trial, analysis.Breached, causes[rng.IntN(len(causes))])
					})
					worst = max(worst, len(known))
					checkAnswer(t, e, known, tooFew)
				})
				if worst > promised {
					t.Errorf("%s: %dx%d took %d trials, promised at most %d", name, cpus, memory, worst, promised)
				}
			}
		}
	}
}

// checkAnswer compares an answer with the truth.
func checkAnswer(t *testing.T, e *experiment.Experiment, known []analysis.Verdict, tooFew []int) {
	t.Helper()
	s := analysis.Conclude(e, known, possible)
	slices.SortFunc(s.Cells, analysis.Cheaper)
	var want *experiment.Limits
	for _, c := range s.Cells {
		truth := carries(c.Trial.Limits, tooFew)
		if truth && want == nil {
			want = &c.Trial.Limits
		}
		if c.Outcome.Known() && (c.Outcome == analysis.Passed) != truth || c.Inferred != "" && (c.Inferred == analysis.InferredPassed) != truth {
			t.Fatalf("%v: %s is said to be %s (%s)", tooFew, c.Trial.Limits, c.Outcome, c.Inferred)
		}
	}
	if (s.Minimal == nil) != (want == nil) || want != nil && s.Minimal.Limits != *want {
		t.Fatalf("%v: minimal %+v, want %v: %s", tooFew, s.Minimal, want, s.Answer)
	}
	if want == nil && (len(known) != 1 || !strings.HasPrefix(s.Answer, "None of ") && len(s.Cells) > 1) {
		t.Fatalf("nothing is viable, but after %d trials: %s", len(known), s.Answer)
	}
	for _, l := range s.Frontier {
		if !carries(l, tooFew) {
			t.Fatalf("%v: %s is on the frontier", tooFew, l)
		}
		for _, m := range e.Matrix.Cells() {
			if m != l && m.Within(l) && carries(m, tooFew) {
				t.Fatalf("%v: %s is on the frontier, but so is %s", tooFew, l, m)
			}
		}
	}
}

func TestFrontierTakesFewTrials(t *testing.T) {
	for _, c := range []struct {
		cpus, memory int
		price        experiment.Price
		most         int
	}{
		{4, 4, experiment.Price{CPUHour: 0.04048, GiBHour: 0.004445}, 5},
		{8, 8, experiment.Price{CPUHour: 0.04048, GiBHour: 0.004445}, 7},
		{4, 4, experiment.Price{CPUHour: 1, GiBHour: 10.24}, 7},
		{8, 8, experiment.Price{CPUHour: 1, GiBHour: 10.24}, 15},
		{8, 8, experiment.Price{CPUHour: 1, GiBHour: 7.7}, 15},
		{20, 20, experiment.Price{CPUHour: 1, GiBHour: 10.24}, 40}, // too many to try out: the bound that always holds
	} {
		if got := search.Left(gridOf(c.cpus, c.memory, c.price), nil, possible).Trials(); got > c.most || c.cpus == 20 && got != c.most {
			t.Errorf("%dx%d at %+v: at most %d trials, want %d", c.cpus, c.memory, c.price, got, c.most)
		}
	}
}

// anExperiment draws a matrix: a grid, or one with so many holes that only a
// list of cells is left.
func anExperiment(t *rapid.T) *experiment.Experiment {
	price := rapid.SampledFrom([]experiment.Price{{CPUHour: 100, GiBHour: 1}, {CPUHour: 1, GiBHour: 10.24}, {CPUHour: 3, GiBHour: 10}, {CPUHour: 1}}).Draw(t, "price")
	e := gridOf(5-rapid.IntRange(0, 4).Draw(t, "fewer CPUs"), 5-rapid.IntRange(0, 4).Draw(t, "less memory"), price)
	all := e.Matrix.Cells()
	holes := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, len(all)-1, rapid.ID).Draw(t, "holes")
	e.Matrix.Exclude = holes
	e.Search.Repeats = rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "repeats")
	e.Search.Seed = 1
	return e
}

var outcomes = []analysis.Outcome{
	analysis.Passed, analysis.Breached, analysis.OOMKilled, analysis.Crashed, analysis.NotReady,
	analysis.GeneratorLimited, analysis.HostLimited, analysis.Inconclusive,
}

// checkClaims demands that an answer says nothing that no measurement bears
// out, whatever the service did.
func checkClaims(t *rapid.T, s analysis.Surface) {
	find := func(l experiment.Limits) analysis.Cell {
		return s.Cells[slices.IndexFunc(s.Cells, func(c analysis.Cell) bool { return c.Trial.Limits == l })]
	}
	upset := analysis.Upset(s.Cells)
	if upset != (len(s.Warnings) > 0) {
		t.Fatalf("more carried less: %v, but the warnings are %q", upset, s.Warnings)
	}
	for _, c := range s.Cells {
		if c.Inferred == "" {
			continue
		}
		from := find(c.From)
		if c.Outcome.Known() || c.Why != "" || !from.Outcome.Known() ||
			c.Inferred == analysis.InferredFailed && (!from.Outcome.Failed() || !c.Trial.Limits.Within(c.From)) ||
			c.Inferred == analysis.InferredPassed && (from.Outcome != analysis.Passed || !c.From.Within(c.Trial.Limits)) {
			t.Fatalf("%s (%s) is inferred to have %s from %s, which %s", c.Trial.Limits, c.Outcome, c.Inferred, c.From, from.Outcome)
		}
		for _, f := range s.Cells {
			for _, p := range s.Cells {
				if f.Outcome.Failed() && p.Outcome == analysis.Passed && p.Trial.Limits.Within(f.Trial.Limits) && onOneLine(c, p, f) {
					t.Fatalf("%s is inferred beside the inversion of %s and %s", c.Trial.Limits, p.Trial.Limits, f.Trial.Limits)
				}
			}
		}
	}
	if m := s.Minimal; m != nil {
		best := find(m.Limits)
		if !best.Measured || best.Outcome != analysis.Passed || best.Passes() <= best.Fails() {
			t.Fatalf("minimal %s: %+v", m.Limits, best)
		}
		for _, c := range s.Cells {
			if analysis.Cheaper(c, best) < 0 && !c.Outcome.Failed() && c.Inferred != analysis.InferredFailed {
				t.Fatalf("minimal %s, but %s is %s", m.Limits, c.Trial.Limits, c.Outcome)
			}
		}
	}
	if strings.HasPrefix(s.Answer, "None of ") {
		for _, c := range s.Cells {
			if !c.Outcome.Failed() && c.Inferred != analysis.InferredFailed {
				t.Fatalf("%s, but %s is %s", s.Answer, c.Trial.Limits, c.Outcome)
			}
		}
	}
}

// onOneLine reports whether a cell lies in a row or column along which p and f
// differ.
func onOneLine(c, p, f analysis.Cell) bool {
	l, a, b := c.Trial.Limits, p.Trial.Limits, f.Trial.Limits
	switch {
	case a.Memory == b.Memory:
		return l.Memory == a.Memory
	case a.CPU == b.CPU:
		return l.CPU == a.CPU
	default:
		return l.Memory == a.Memory || l.Memory == b.Memory || l.CPU == a.CPU || l.CPU == b.CPU
	}
}

// TestFrontierNeverClaimsMoreThanWasMeasured runs it on services of any kind:
// noisy, not monotone at all, with cells that tell nothing or can't be run,
// and continues runs of whatever was recorded before.
func TestFrontierNeverClaimsMoreThanWasMeasured(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anExperiment(t)
		cells := e.Matrix.Cells()
		barred := rapid.SampledFrom([]experiment.CPUs{3e9, 9e9, 9e9}).Draw(t, "the host's CPUs")
		impossible := func(l experiment.Limits) string {
			if l.CPU > barred {
				return "the host is too small"
			}
			return ""
		}
		causes := rapid.SampledFrom([]analysis.Label{analysis.CauseUnknown, analysis.CauseCPU, analysis.CauseOOM, analysis.CauseMemory})
		possibly := outcomes
		mute := rapid.Bool().Draw(t, "some starts tell nothing")
		if !mute {
			possibly = outcomes[:2]
		}
		answer := func(trial experiment.Trial) analysis.Verdict {
			return verdict(trial, rapid.SampledFrom(possibly).Draw(t, "outcome"), causes.Draw(t, "cause"))
		}
		var before []analysis.Verdict
		for _, l := range rapid.SliceOfDistinct(rapid.SampledFrom(cells), rapid.ID).Draw(t, "recorded before") {
			before = append(before, answer(experiment.Trial{Limits: l, Replicate: 1}))
		}
		promised := search.Left(e, before, impossible).Trials()
		known := explore(t, e, before, impossible, answer)
		starts, more := map[experiment.Limits]int{}, 0
		for _, v := range known {
			if starts[v.Trial.Limits] >= e.Search.Repeats {
				more++
			}
			const again = 5 // of a cell in an inversion
			if starts[v.Trial.Limits]++; starts[v.Trial.Limits] > max(again, e.Search.Repeats+1) {
				t.Fatalf("%s was started %d times", v.Trial.Limits, starts[v.Trial.Limits])
			}
			if len(before) == 0 && impossible(v.Trial.Limits) != "" {
				t.Fatalf("%s was run", v.Trial.Limits)
			}
		}
		upset := false // then cells are started again besides
		for i := range known {
			upset = upset || analysis.Upset(analysis.Cells(e, known[:i+1], impossible))
		}
		if took := len(known) - len(before); !mute && !upset && took > promised+more {
			t.Fatalf("took %d trials, promised at most %d", took, promised)
		}
		checkClaims(t, analysis.Conclude(e, known, impossible))
	})
}

// TestFrontierIsRightOnAnyMatrix runs it on services whose starts are all
// right, but for some that tell nothing: the answer is the truth, or that it
// isn't known; and trials keep to what was promised.
func TestFrontierIsRightOnAnyMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anExperiment(t)
		tooFew := make([]int, 5)
		most := 5
		for i := range tooFew {
			most = rapid.IntRange(0, most).Draw(t, "too few")
			tooFew[i] = most
		}
		mute := map[experiment.Limits]bool{}
		for _, l := range rapid.SliceOfN(rapid.SampledFrom(e.Matrix.Cells()), 0, 2).Draw(t, "mute") {
			mute[l] = true
		}
		causes := rapid.SampledFrom([]analysis.Label{analysis.CauseUnknown, analysis.CauseCPU, analysis.CauseOOM})
		silent, promised := 0, search.Left(e, nil, possible).Trials()
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			switch {
			case mute[trial.Limits]:
				silent++
				return verdict(trial, analysis.GeneratorLimited, "")
			case carries(trial.Limits, tooFew):
				return verdict(trial, analysis.Passed, "")
			default:
				return verdict(trial, analysis.Breached, causes.Draw(t, "cause"))
			}
		})
		if silent == 0 && len(known) > promised {
			t.Fatalf("took %d trials, promised at most %d", len(known), promised)
		}
		s := analysis.Conclude(e, known, possible)
		checkClaims(t, s)
		slices.SortFunc(s.Cells, analysis.Cheaper)
		at := slices.IndexFunc(s.Cells, func(c analysis.Cell) bool { return carries(c.Trial.Limits, tooFew) })
		if s.Minimal != nil && s.Minimal.Limits != s.Cells[at].Trial.Limits {
			t.Fatalf("minimal %s, want %s", s.Minimal.Limits, s.Cells[at].Trial.Limits)
		}
		if silent == 0 && (s.Minimal == nil) != (at < 0) {
			t.Fatalf("%d: %s", at, s.Answer)
		}
	})
}

// TestEveryTrialKeepsThePromise checks that what is left never grows on the
// way, so that "trial 3 of at most 7" stays true.
func TestEveryTrialKeepsThePromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anExperiment(t)
		tooFew := make([]int, 5)
		for i, most := 0, 5; i < 5; i++ {
			most = rapid.IntRange(0, most).Draw(t, "too few")
			tooFew[i] = most
		}
		left := search.Left(e, nil, possible).Trials()
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			if carries(trial.Limits, tooFew) {
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
	})
}

func TestAMajorityOfStartsDecides(t *testing.T) {
	for told, want := range map[string]string{ // of two
		"pp": "passed", "ff": "breached", "pf": "", "pfp": "passed", "pff": "breached", "upp": "passed", "upf": "inconclusive", "p": "", "uu": "",
	} {
		expectMajority(t, 2, told, want)
	}
	for told, want := range map[string]string{ // of three
		"pp": "passed", "ff": "breached", "pfp": "passed", "pff": "breached",
		"up": "", "uuuu": "inconclusive", "uupf": "inconclusive", "uupp": "passed", "uuuf": "breached", "p": "", "pf": "", "upf": "",
	} {
		expectMajority(t, 3, told, want)
	}
}

// expectMajority plays starts that passed, failed or told nothing, and expects
// that the cell then is what is wanted, or, where nothing is, that it is started
// again.
func expectMajority(t *testing.T, repeats int, told, want string) {
	t.Helper()
	one := gridOf(1, 1, experiment.Price{CPUHour: 1})
	one.Search.Repeats = repeats
	var known []analysis.Verdict
	for i, c := range told {
		trial, ok := search.Next(one, known, possible)
		if !ok || trial.Replicate != i+1 {
			t.Errorf("%s: after %d starts comes %v", told, i, trial)
		}
		known = append(known, verdict(trial, map[rune]analysis.Outcome{'p': analysis.Passed, 'f': analysis.Breached, 'u': analysis.Inconclusive}[c], analysis.CauseUnknown))
	}
	if next, ok := search.Next(one, known, possible); ok != (want == "") {
		t.Errorf("%s: then comes %v, %v", told, next, ok)
	}
	if s := analysis.Conclude(one, known, possible); want != "" && string(s.Cells[0].Outcome) != want {
		t.Errorf("%s: %s, want %s", told, s.Cells[0].Outcome, want)
	}
}

// TestWhatFailedForMemoryIsNotGivenCPUs checks the way that the search takes: a
// cell that adds nothing of what another failed for goes last, and then only
// because the answer needs to know that it fails.
func TestWhatFailedForMemoryIsNotGivenCPUs(t *testing.T) {
	e, tooFew := gridOf(6, 6, prices["a CPU costs two steps"]), []int{4, 4, 4, 4, 4, 4}
	for label, want := range map[analysis.Label]string{
		analysis.CauseUnknown: "6/6 3/6 1/6 1/4 2/3 1/5",
		analysis.CauseMemory:  "6/6 3/6 1/6 1/4 1/5 2/2",
		analysis.CauseOOM:     "6/6 3/6 1/6 1/4 1/5 2/2",
	} {
		var way []string
		known := explore(t, e, nil, possible, func(trial experiment.Trial) analysis.Verdict {
			way = append(way, fmt.Sprintf("%d/%d", trial.Limits.CPU/1e9, trial.Limits.Memory/step))
			if carries(trial.Limits, tooFew) {
				return verdict(trial, analysis.Passed, "")
			}
			return verdict(trial, analysis.OOMKilled, label)
		})
		if got := strings.Join(way, " "); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
		checkAnswer(t, e, known, tooFew)
	}
}
