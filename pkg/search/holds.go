package search

import (
	"math"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// A ramp finds where a cell fails, holds prove it: each is a fresh start that
// is kept at one level. Levels stand on a scale whose steps are the precision
// that is asked for, from the target down, so that the same cell is always asked
// at the same levels, and two levels beside each other are a bracket that is
// narrow enough.
//
//	users   1,000 .. 5,987  6,302  6,634  6,983 .. 9,500  10,000
//	                 lower  upper          \___ steps of 5 % ___/
//	                 (held) (didn't hold)
//
// The search begins at the level to which the ramp points. If it holds, the next
// one up is tried, then the second, the fourth; if it doesn't, likewise down; and
// between a level that holds and one that doesn't it bisects. So a ramp that was
// right costs two holds, and one that was wrong a few more.

// scale returns the levels at which an experiment holds, the highest first.
func scale(e *experiment.Experiment) []int {
	levels := []int{e.Users.Target}
	for exact := float64(e.Users.Target); levels[len(levels)-1] > 1; {
		exact *= 1 - float64(e.Search.Precision)
		next := min(levels[len(levels)-1]-1, int(math.Round(exact)))
		levels = append(levels, max(1, next))
	}
	return levels
}

// mostUntold is how many holds of a level may tell nothing before it is given
// up, and mostLevels how many levels of a cell may be: then its bracket stays as
// it is.
const (
	mostUntold = 2
	mostLevels = 1
)

// nextLevel returns the level to hold next, or false where the bracket is narrow
// enough. found is the level to which the ramp points.
func nextLevel(scale []int, held []analysis.Held, starts, found int) (users int, ok bool) {
	lower, upper := analysis.Bounds(held)
	between := func(users int) bool {
		return (lower == nil || users > lower.Users) && (upper == nil || users < upper.Users)
	}
	var open []int // what can be asked next, the highest first
	untold := 0
	for _, users := range scale {
		i := slices.IndexFunc(held, func(h analysis.Held) bool { return h.Users == users })
		switch {
		case !between(users):
		case i < 0:
			open = append(open, users)
		case held[i].Class != analysis.Undecided: // above an upper bound, or below a lower one
		case held[i].Untold > mostUntold || held[i].Passed+held[i].Failed > 2*starts:
			untold++
		default: // what was begun goes first
			return users, true
		}
	}
	if len(open) == 0 || untold > mostLevels {
		return 0, false
	}
	var at int
	switch {
	case lower == nil && upper == nil:
		if at = slices.IndexFunc(open, func(users int) bool { return users <= found }); at < 0 {
			at = len(open) - 1
		}
	case upper == nil:
		at = len(open) - stride(held, analysis.Lower)
	case lower == nil:
		at = stride(held, analysis.Upper) - 1
	default:
		at = len(open) / 2
	}
	return open[max(0, min(at, len(open)-1))], true
}

// stride returns how many steps to go on from levels that were all of one kind:
// twice as many after each.
func stride(held []analysis.Held, kind analysis.Class) int {
	n := 0
	for _, h := range held {
		if h.Class == kind {
			n++
		}
	}
	return 1 << min(max(0, n-1), 20)
}

// next returns the next hold of a cell at a level, or its next ramp where that is
// 0.
func next(c analysis.Cell, users int) experiment.Trial {
	t := experiment.Trial{Limits: c.Trial.Limits, Hold: users, Replicate: 1}
	for _, v := range c.Starts {
		if v.Trial.Hold == users {
			t.Replicate = max(t.Replicate, v.Trial.Replicate+1)
		}
	}
	return t
}

// provable reports whether holds can say more of a cell than its ramp did. They
// can't of one that never got ready, or of which nothing is known.
func provable(c analysis.Cell) bool {
	tells := func(v analysis.Verdict) bool { return v.Outcome.Known() && v.Outcome != analysis.NotReady }
	return c.Why == "" && c.Outcome != analysis.NotReady && slices.ContainsFunc(c.Starts, tells)
}

// bracket returns the hold that a cell's bracket needs next.
func bracket(e *experiment.Experiment, scale []int, c analysis.Cell) (experiment.Trial, bool) {
	if !provable(c) {
		return experiment.Trial{}, false
	}
	users, ok := nextLevel(scale, c.Levels, e.Search.Repeats, pointsTo(c.Starts))
	return next(c, users), ok
}

// pointsTo returns at which level the last ramp suggests that the capacity is:
// where, between the last pass and the first fail, what was observed meets its
// limit if its logarithm grows evenly. What died, or failed at once, has no such
// course: then it is the last pass.
func pointsTo(starts []analysis.Verdict) int {
	found := 0
	for _, v := range starts {
		last, first := v.LastPass, v.FirstFail
		switch {
		case v.Trial.Hold != 0 || first == nil && last == nil:
			continue
		case last == nil:
			found = first.Users
			continue
		}
		found = last.Users
		course := last.Margin < 0 && first != nil && first.Margin > 0 && !math.IsInf(last.Margin, 0) && !math.IsInf(first.Margin, 0)
		if course && v.Outcome == analysis.Breached && first.Users > last.Users {
			found += int(float64(first.Users-last.Users) * last.Margin / (last.Margin - first.Margin))
		}
	}
	return found
}

// proofs returns the holds that come next, one of each cell that needs any. Of
// a frontier only those cells are proved to fail that no bigger one shows to.
func proofs(e *experiment.Experiment, cells []analysis.Cell) []experiment.Trial {
	if !e.Search.Holds() {
		return nil
	}
	var out []experiment.Trial
	levels := scale(e)
	for _, c := range cells {
		if Frontier(e) && c.Outcome.Failed() && analysis.Covered(cells, c) {
			continue
		}
		if t, ok := bracket(e, levels, c); ok {
			out = append(out, t)
		}
	}
	return out
}
