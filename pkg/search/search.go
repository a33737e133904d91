// Package search decides which trial comes next. It is a pure function of what
// is known so far, so a sweep that was interrupted goes on where it stopped.
//
// Exhaustive runs every cell of the matrix. Frontier runs as few as it takes to
// know the cheapest that carries the load; what becomes of the others it leaves
// to package analysis to infer, or not to know.
package search

import (
	"math/rand/v2"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Frontier reports whether the experiment asks for no more cells than show the
// cheapest that carries the load. Otherwise it asks for all.
func Frontier(e *experiment.Experiment) bool { return e.Search.Strategy == "frontier" }

// Plan returns every trial that an exhaustive search runs, in order: cell by
// cell, by CPUs, then memory. Where each is started several times, they come in
// blocks with one start of every cell, in an order that the seed shuffles: so
// what changes on the host meanwhile befalls all cells alike.
func Plan(e *experiment.Experiment) []experiment.Trial {
	var trials []experiment.Trial
	for block := range e.Search.Repeats {
		cells := e.Matrix.Cells()
		if e.Search.Repeats > 1 {
			rng := rand.New(rand.NewPCG(uint64(e.Search.Seed), uint64(block)))
			rng.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
		}
		for _, l := range cells {
			trials = append(trials, experiment.Trial{Limits: l, Replicate: block + 1})
		}
	}
	return trials
}

// Next returns the next trial, and whether there is one, given the verdicts of
// those that were run, in any order. impossible says why the host can't run a
// cell, or nothing where it can.
func Next(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) (experiment.Trial, bool) {
	if !Frontier(e) {
		left := remaining(e, verdicts, impossible)
		if len(left) == 0 {
			return experiment.Trial{}, false
		}
		return left[0], true
	}
	s := look(e, verdicts, impossible)
	if len(s.open) == 0 {
		return experiment.Trial{}, false
	}
	l := s.cells[s.open[s.choose(s.position)]]
	last := 0
	for _, v := range s.starts[l] {
		last = max(last, v.Trial.Replicate)
	}
	return experiment.Trial{Limits: l, Replicate: last + 1}, true
}

// Left returns how many trials are still to be run. With a frontier it is how
// many at most, as long as starts tell something and those of a cell agree: where
// they don't, it is started once more, and may stay undecided.
func Left(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) int {
	if !Frontier(e) {
		return len(remaining(e, verdicts, impossible))
	}
	s := look(e, verdicts, impossible)
	if len(s.open) == 0 {
		return 0
	}
	n := len(s.open)
	if !s.upset {
		n = s.most(s.position)
	}
	begun := count(s.starts[s.cells[s.open[s.choose(s.position)]]])
	return n*e.Search.Repeats - begun.passes - begun.fails
}

// Recorded returns how many of the trials that the experiment asks for, or that
// its search chose, were run.
func Recorded(e *experiment.Experiment, verdicts []analysis.Verdict) int {
	return len(asked(e, verdicts))
}

// asked returns the verdicts on cells of the matrix.
func asked(e *experiment.Experiment, verdicts []analysis.Verdict) []analysis.Verdict {
	cells := map[experiment.Limits]bool{}
	for _, l := range e.Matrix.Cells() {
		cells[l] = true
	}
	return slices.DeleteFunc(slices.Clone(verdicts), func(v analysis.Verdict) bool {
		return !cells[v.Trial.Limits] || !Frontier(e) && v.Trial.Replicate > e.Search.Repeats
	})
}

// remaining returns what an exhaustive search still has to run.
func remaining(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) []experiment.Trial {
	known := map[experiment.Trial]bool{}
	for _, v := range verdicts {
		known[v.Trial] = true
	}
	return slices.DeleteFunc(Plan(e), func(t experiment.Trial) bool { return known[t] || impossible(t.Limits) != "" })
}

// A tally counts how a cell's starts came out.
type tally struct{ starts, passes, fails int }

func count(starts []analysis.Verdict) tally {
	t := tally{starts: len(starts)}
	for _, v := range starts {
		switch {
		case v.Outcome == analysis.Passed:
			t.passes++
		case v.Outcome.Failed():
			t.fails++
		}
	}
	return t
}

// settled reports whether a frontier starts a cell no more: a majority of the
// starts that are asked for agrees; or as many told something, more of them this
// than that; or one more than asked for was made.
func (t tally) settled(repeats int) bool {
	told := t.passes+t.fails >= repeats && t.passes != t.fails
	return 2*max(t.passes, t.fails) > repeats || told || t.starts > repeats
}

// A sight is what a frontier sees of an experiment.
type sight struct {
	*board
	position

	starts map[experiment.Limits][]analysis.Verdict
	upset  bool // more was seen to carry less: then less can be inferred than the board foresees
}

// look makes out what is open. A cell that isn't settled counts as not run.
func look(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) sight {
	s := sight{position: newPosition(), starts: map[experiment.Limits][]analysis.Verdict{}}
	verdicts = asked(e, verdicts)
	for _, v := range verdicts {
		s.starts[v.Trial.Limits] = append(s.starts[v.Trial.Limits], v)
	}
	settled := slices.DeleteFunc(verdicts, func(v analysis.Verdict) bool {
		return !count(s.starts[v.Trial.Limits]).settled(e.Search.Repeats)
	})
	cells := analysis.Cells(e, settled, impossible)
	s.upset = analysis.Upset(cells)
	slices.SortFunc(cells, analysis.Cheaper)
	s.board = newBoard(cells)
	for i, c := range cells {
		switch {
		case c.Outcome == analysis.Passed:
			s.passed(c.Trial.Limits)
		case c.Outcome.Failed():
			if r, ok := lacking(c.Verdict); ok {
				s.failed(c.Trial.Limits, r)
			}
		case !s.viable && !c.Measured && c.Why == "" && c.Inferred == "":
			s.open = append(s.open, i)
		}
	}
	return s
}
