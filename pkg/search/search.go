// Package search decides which trial comes next. It is a pure function of what
// is known so far, so a sweep that was interrupted goes on where it stopped.
//
// Exhaustive runs every cell of the matrix. Frontier runs as few as it takes to
// know the cheapest that carries the load; what becomes of the others it leaves
// to package analysis to infer, or not to know.
package search

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Frontier reports whether the experiment asks for no more cells than show the
// cheapest that carries the load. Otherwise it asks for all.
func Frontier(e *experiment.Experiment) bool { return e.Search.Strategy == "frontier" }

// ramps returns how many ramps each cell is asked for: where holds prove what a
// ramp finds, one.
func ramps(e *experiment.Experiment) int {
	if e.Search.Holds() {
		return 1
	}
	return e.Search.Repeats
}

// Plan returns every ramp of an exhaustive search, in order: cell by cell, by
// CPUs, then memory, then setting. Where each is started several times, they come
// in blocks with one start of every cell, in an order that the seed shuffles: so
// what changes on the host meanwhile befalls all cells alike.
func Plan(e *experiment.Experiment) []experiment.Trial {
	var trials []experiment.Trial
	for block := range ramps(e) {
		cells := e.Matrix.Cells()
		if ramps(e) > 1 {
			shuffle(e, block, cells)
		}
		for _, l := range cells {
			trials = append(trials, experiment.Trial{Limits: l, Replicate: block + 1})
		}
	}
	return trials
}

func shuffle[T any](e *experiment.Experiment, block int, items []T) {
	rng := rand.New(rand.NewPCG(uint64(e.Search.Seed), uint64(block)))
	rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
}

// Next returns the next trial, and whether there is one, given the verdicts of
// those that were run, in any order. impossible says why the host can't run a
// cell, or nothing where it can.
//
// First come the cells that the strategy asks for, then what an inversion puts
// in doubt, then the holds that prove each bracket, then those that certify the
// answer. Whatever a later one turns over, the search goes on from there.
func Next(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) (experiment.Trial, bool) {
	verdicts = asked(e, verdicts)
	if t, ok := nextCell(e, verdicts, impossible); ok {
		return t, true
	}
	cells := analysis.Cells(e, verdicts, impossible)
	for _, trials := range [][]experiment.Trial{doubted(e, cells), proofs(e, cells), certifying(e, cells)} {
		if trials = runnable(trials, impossible); len(trials) > 0 {
			return takeTurns(e, cells, trials), true
		}
	}
	return experiment.Trial{}, false
}

// runnable returns the trials that the host can run: a cell may have been
// measured elsewhere.
func runnable(trials []experiment.Trial, impossible func(experiment.Limits) string) []experiment.Trial {
	return slices.DeleteFunc(trials, func(t experiment.Trial) bool { return impossible(t.Limits) != "" })
}

// nextCell returns the next ramp that the strategy asks for.
func nextCell(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) (experiment.Trial, bool) {
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
	l := s.cells[s.open[s.next()]]
	last := 0
	for _, v := range s.starts[l] {
		last = max(last, v.Trial.Replicate)
	}
	return experiment.Trial{Limits: l, Replicate: last + 1}, true
}

// takeTurns returns one of the trials: of the cell that has had the fewest
// starts, and of those any, by the seed. So cells are interleaved, and what
// changes on the host meanwhile befalls all alike.
func takeTurns(e *experiment.Experiment, cells []analysis.Cell, trials []experiment.Trial) experiment.Trial {
	starts := func(t experiment.Trial) int { return cellOf(cells, t).Trials }
	fewest := starts(slices.MinFunc(trials, func(a, b experiment.Trial) int { return cmp.Compare(starts(a), starts(b)) }))
	trials = slices.DeleteFunc(slices.Clone(trials), func(t experiment.Trial) bool { return starts(t) > fewest })
	shuffle(e, fewest, trials)
	return trials[0]
}

// cellOf returns the cell of a trial.
func cellOf(cells []analysis.Cell, t experiment.Trial) analysis.Cell {
	return cells[slices.IndexFunc(cells, func(c analysis.Cell) bool { return c.Trial.Limits == t.Limits })]
}

// mostAgain is how many starts may be made to be sure of a cell.
const mostAgain = 5

// again returns the next start that makes sure whether a cell carries the
// target, or false where that is certain, or can't be found out.
func again(e *experiment.Experiment, c analysis.Cell) (experiment.Trial, bool) {
	starts := 0
	for _, v := range c.Starts {
		if v.Trial.Hold == 0 || v.Trial.Hold == e.Users.Target {
			starts++
		}
	}
	switch {
	case c.Why != "" || c.Certain(e.Users.Target) || starts >= mostAgain:
		return experiment.Trial{}, false
	case !e.Search.Holds() || starts == 0 || c.Outcome == analysis.NotReady:
		return next(c, 0), true
	default:
		return next(c, e.Users.Target), true
	}
}

// doubted returns fresh starts of cells of which one failed though it grants
// all that the other grants, which passed: chance, or an inversion. Then as many
// starts may have passed as failed, and one more decides.
func doubted(e *experiment.Experiment, cells []analysis.Cell) []experiment.Trial {
	var out []experiment.Trial
	inverted := analysis.Inverted(cells)
	for _, c := range cells {
		passed, failed := c.At(e.Users.Target)
		tied := passed == failed && passed > 0 && passed+failed > e.Search.Repeats
		if tied || slices.Contains(inverted, c.Trial.Limits) {
			if t, ok := again(e, c); ok {
				out = append(out, t)
			}
		}
	}
	return out
}

// certifying returns fresh starts that show that the answer is the least: of
// the minimal cell, of its rivals, and, of each setting, of that with the most
// CPUs and the least memory, where more resources are likeliest to carry less.
func certifying(e *experiment.Experiment, cells []analysis.Cell) []experiment.Trial {
	least := analysis.Least(cells)
	if e.Search.Preset != experiment.Certify || least == nil {
		return nil
	}
	var out []experiment.Trial
	for _, c := range append(analysis.Rivals(cells, least.Trial.Limits), *least) {
		if t, ok := again(e, c); ok {
			out = append(out, t)
		}
	}
	for _, setting := range analysis.Settings(cells) {
		guard := slices.MaxFunc(analysis.Of(cells, setting), func(a, b analysis.Cell) int {
			return cmp.Or(cmp.Compare(a.Trial.Limits.CPU, b.Trial.Limits.CPU), cmp.Compare(b.Trial.Limits.Memory, a.Trial.Limits.Memory))
		})
		if guard.Why == "" && !guard.Measured {
			out = append(out, next(guard, 0))
		}
	}
	return out
}

// Work is how many trials are still to be run.
type Work struct {
	Ramps, Holds int
	Bound        Bound
}

// Trials returns how many there are in all.
func (w Work) Trials() int { return w.Ramps + w.Holds }

// Bound says how well Work is known.
type Bound string

// How well Work is known.
const (
	Exactly Bound = ""
	AtMost  Bound = "at most" // fewer where outcomes make some needless
	About   Bound = "about"   // what ramps find decides how many holds there are
)

// bothEnds is how many levels of a cell are held where its ramp was right.
const bothEnds = 2

// Left returns what is still to be run. With a frontier it is how many ramps at
// most, as long as starts tell something and those of a cell agree: where they
// don't, it is started once more, and may stay undecided; what an inversion puts
// in doubt is started again besides. Of holds it is how many there are where
// every ramp was right, and every cell without one fails.
func Left(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) Work {
	verdicts = asked(e, verdicts)
	w := Work{Ramps: len(remaining(e, verdicts, impossible))}
	if Frontier(e) {
		w.Ramps, w.Bound = rampsLeft(e, verdicts, impossible), AtMost
	}
	cells := analysis.Cells(e, verdicts, impossible)
	doubts := runnable(doubted(e, cells), impossible)
	if len(doubts) > 0 {
		w.Bound = About
	}
	if !e.Search.Holds() {
		w.Ramps += len(doubts)
		return w
	}
	w.Bound = About
	w.Holds = len(doubts) + bothEnds*e.Search.Repeats*w.Ramps
	for _, t := range runnable(proofs(e, cells), impossible) {
		lower, upper := analysis.Bounds(cellOf(cells, t).Levels)
		w.Holds += e.Search.Repeats // the other end, or one between them
		if lower == nil && upper == nil {
			w.Holds += (bothEnds - 1) * e.Search.Repeats
		}
	}
	if e.Search.Preset == experiment.Certify {
		w.Holds += certifyingLeft(e, cells)
	}
	return w
}

// certifyingLeft returns about how many holds certify the answer: of the minimal
// cell and of two rivals, as long as it isn't known.
func certifyingLeft(e *experiment.Experiment, cells []analysis.Cell) int {
	const unknown = 1 + 2*2
	switch {
	case !slices.ContainsFunc(cells, func(c analysis.Cell) bool {
		return c.Why == "" && !c.Outcome.Failed() && c.Inferred != analysis.InferredFailed
	}):
		return 0 // nothing is left that could be it
	case analysis.Least(cells) == nil:
		return unknown
	}
	return len(certifying(e, cells))
}

func rampsLeft(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) int {
	s := look(e, verdicts, impossible)
	if len(s.open) == 0 {
		return 0
	}
	n := len(s.open)
	switch {
	case s.upset:
	case len(s.expect) > 0: // the way isn't the one that was foreseen
		n = min(n, 1+s.lines(s.open))
	default:
		n = s.most(s.position)
	}
	begun := count(s.starts[s.cells[s.open[s.next()]]])
	return n*ramps(e) - begun.passes - begun.fails
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
		return !cells[v.Trial.Limits]
	})
}

// remaining returns what an exhaustive search still has to run. Where holds are
// to follow, a ramp that told nothing is run once more.
func remaining(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) []experiment.Trial {
	known, ramped, told := map[experiment.Trial]bool{}, map[experiment.Limits]int{}, map[experiment.Limits]bool{}
	for _, v := range verdicts {
		l := v.Trial.Limits
		known[v.Trial], told[l] = true, told[l] || v.Outcome.Known()
		if v.Trial.Hold == 0 {
			ramped[l]++
		}
	}
	plan := Plan(e)
	for _, l := range e.Matrix.Cells() {
		if e.Search.Holds() && ramped[l] == 1 && !told[l] {
			plan = append(plan, experiment.Trial{Limits: l, Replicate: ramps(e) + 1})
		}
	}
	return slices.DeleteFunc(plan, func(t experiment.Trial) bool { return known[t] || impossible(t.Limits) != "" })
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

	starts map[experiment.Limits][]analysis.Verdict // the ramps
	upset  bool                                     // more was seen to carry less: then less can be inferred than the board foresees
	expect map[experiment.Limits]bool               // whether a trusted model expects a cell to carry the load
}

// next returns the place among the open cells of the one to run next. There must
// be one. Where a trusted model expects a cell to be the cheapest that carries
// the load, that one is it, unless it could make the way longer than it is at
// worst.
func (s sight) next() int {
	for k, i := range s.open {
		if !s.viable || !s.expect[s.cells[i]] {
			continue
		}
		if max(s.lines(s.cheaper(s.open, k)), s.lines(s.without(s.open, k))) < s.lines(s.open) {
			return k
		}
		break
	}
	return s.choose(s.position)
}

// look makes out what is open. A cell that isn't settled counts as not run.
func look(e *experiment.Experiment, verdicts []analysis.Verdict, impossible func(experiment.Limits) string) sight {
	s := sight{starts: map[experiment.Limits][]analysis.Verdict{}}
	verdicts = asked(e, verdicts)
	for _, v := range verdicts {
		if v.Trial.Hold == 0 {
			s.starts[v.Trial.Limits] = append(s.starts[v.Trial.Limits], v)
		}
	}
	settled := slices.DeleteFunc(verdicts, func(v analysis.Verdict) bool {
		return !count(s.starts[v.Trial.Limits]).settled(ramps(e))
	})
	cells := analysis.Cells(e, settled, impossible)
	s.upset, s.expect = analysis.Upset(cells), analysis.Expect(e, cells)
	slices.SortStableFunc(cells, analysis.Cheaper) // by setting where limits are the same
	s.board, s.position = newBoard(cells)
	for i, c := range cells {
		switch {
		case c.Outcome == analysis.Passed:
			if !s.viable {
				s.open = s.cheaper(append(s.open, i), len(s.open))
			}
			s.position = s.passed(s.position, i)
		case c.Outcome.Failed():
			if r, ok := lacking(c.Verdict); ok {
				s.position = s.failed(s.position, i, r)
			}
		case !s.viable && !c.Measured && c.Why == "" && c.Inferred == "":
			s.open = append(s.open, i)
		}
	}
	return s
}
