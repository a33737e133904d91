package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"sweep/pkg/experiment"
)

// Passes returns how many of the starts that decide the cell passed.
func (c Cell) Passes() int {
	return count(c.Deciding, func(v Verdict) bool { return v.Outcome == Passed })
}

// Fails returns how many of the starts that decide the cell failed.
func (c Cell) Fails() int {
	return count(c.Deciding, func(v Verdict) bool { return v.Outcome.Failed() })
}

// Agree returns how many of the starts that decide the cell say what it says.
func (c Cell) Agree() int {
	return count(c.Deciding, func(v Verdict) bool { return agrees(v, c.Outcome) })
}

func count(starts []Verdict, is func(Verdict) bool) (n int) {
	for _, v := range starts {
		if is(v) {
			n++
		}
	}
	return n
}

// agrees reports whether a start comes down on the same side as a cell.
func agrees(v Verdict, o Outcome) bool {
	if !o.Known() || !v.Outcome.Known() {
		return o.Known() == v.Outcome.Known()
	}
	return o.Failed() == v.Outcome.Failed()
}

// judge judges a cell by all of its starts: what holds prove of it goes before
// what ramps found.
func (c *Cell) judge(e *experiment.Experiment) {
	var ramps []Verdict
	for _, v := range c.Starts {
		c.PeakMemory = max(c.PeakMemory, v.PeakMemory)
		if v.Trial.Hold == 0 {
			ramps = append(ramps, v)
		}
	}
	c.Levels = Levels(e, c.Starts)
	found, peak := Verdict{Outcome: Inconclusive}, c.PeakMemory
	if len(ramps) > 0 {
		found = joint(ramps)
	}
	c.Verdict, c.Deciding = found, ramps
	if v, deciding, ok := proved(e, c.Starts, c.Levels, found); ok && (e.Search.Holds() || len(ramps) < len(c.Starts)) {
		c.Verdict, c.Deciding = v, deciding
		c.Proved = count(deciding, func(v Verdict) bool { return v.Trial.Hold > 0 }) > 0 || v.Outcome == Passed
		passes, fails := c.Passes(), c.Fails()
		if passes > 0 && fails > 0 {
			c.Warnings = append([]string{divided(deciding, passes, fails)}, c.Warnings...)
		}
	}
	c.PeakMemory = peak
	c.Warnings = append(slices.Clone(c.Warnings), c.gaps()...)
	c.Trial.Limits, c.Trial.Replicate = c.Starts[0].Trial.Limits, max(1, c.Trial.Replicate)
}

// gaps tells of the levels within the bracket of which holds told nothing: it is
// wider for them.
func (c *Cell) gaps() []string {
	lower, upper := Bounds(c.Levels)
	var out []string
	for _, h := range c.Levels {
		within := (lower == nil || h.Users > lower.Users) && (upper == nil || h.Users < upper.Users)
		if within && h.Class == Undecided && h.Untold > h.Passed+h.Failed {
			out = append(out, fmt.Sprintf("%d of %d starts that held %s told nothing: %s",
				h.Untold, h.Passed+h.Failed+h.Untold, Thousands(h.Users), untold(c.Starts, h.Users)))
		}
	}
	return out
}

// untold says why the last hold of a level told nothing.
func untold(starts []Verdict, users int) string {
	why := string(Inconclusive)
	for _, v := range starts {
		if v.Trial.Hold != users || v.Outcome.Known() {
			continue
		}
		why = strings.ReplaceAll(string(v.Outcome), "_", " ")
		if v.Outcome == Inconclusive && len(v.Warnings) > 0 {
			why = v.Warnings[0]
		}
	}
	return why
}

// joint judges a cell by its ramps. The majority of those that tell anything
// decides; where as many passed as failed, nobody knows, nor where
// starts that were stopped too soon could have turned it ([Again]). Of the starts
// that agree with it the worst speaks for the cell, so that nothing is claimed
// which one of them didn't bear out: its last pass is the least of theirs, its
// first fail too, and its peak of memory the most.
func joint(starts []Verdict) Verdict {
	if len(starts) == 1 {
		return starts[0]
	}
	passes := count(starts, func(v Verdict) bool { return v.Outcome == Passed })
	fails := count(starts, func(v Verdict) bool { return v.Outcome.Failed() })
	said := slices.DeleteFunc(slices.Clone(starts), func(v Verdict) bool {
		return passes+fails > 0 && !v.Outcome.Known() || passes > fails && v.Outcome.Failed() || fails > passes && v.Outcome == Passed
	})
	v := slices.MinFunc(said, worse)
	v.LastPass, v.Warnings = said[0].LastPass, nil
	for _, other := range said {
		if compareLevels(other.LastPass, v.LastPass) < 0 {
			v.LastPass = other.LastPass
		}
		v.PeakMemory = max(v.PeakMemory, other.PeakMemory)
	}
	stops := slices.DeleteFunc(slices.Clone(starts), func(v Verdict) bool { return v.Stopped == "" })
	if passes+fails > 0 && max(passes, fails)-min(passes, fails) <= len(stops) { // one way or the other, had those run on
		v.Outcome, v.Breach, v.Cause = Inconclusive, nil, nil
		if len(stops) > 0 {
			v.Stopped = stops[0].Stopped
		}
	}
	if passes+fails < len(starts) || passes > 0 && fails > 0 {
		v.Warnings = []string{divided(starts, passes, fails)}
	}
	for _, start := range starts {
		for _, w := range start.Warnings {
			v.Warnings = append(v.Warnings, fmt.Sprintf("start %d: %s", start.Trial.Replicate, w))
		}
	}
	return v
}

// worse orders starts by how little they carried: a failure first, then the
// level at which it came, then the last that held.
func worse(a, b Verdict) int {
	failure := func(v Verdict) int {
		if v.Outcome.Failed() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(failure(a), failure(b)), compareLevels(a.FirstFail, b.FirstFail),
		compareLevels(a.LastPass, b.LastPass), cmp.Compare(a.Trial.Replicate, b.Trial.Replicate))
}

// compareLevels orders levels by users. No level is the least: such a start
// carried nobody, or failed before anybody came.
func compareLevels(a, b *Level) int {
	if a == nil || b == nil {
		return cmp.Compare(min(1, level(a)), min(1, level(b)))
	}
	return cmp.Or(cmp.Compare(a.Users, b.Users), cmp.Compare(a.Throughput, b.Throughput))
}

func level(l *Level) int {
	if l == nil {
		return 0
	}
	return 1
}

// divided says how starts that aren't of one mind came out.
func divided(starts []Verdict, passes, fails int) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{passes, "passed"}, {fails, "failed"}, {len(starts) - passes - fails, "told nothing"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return fmt.Sprintf("of %d starts %s", len(starts), strings.Join(parts, ", "))
}

// Spread is what the ramps of one cell carried, from the least to the most.
type Spread struct {
	Low, High  int     // users
	Starts     int     // at least 2
	Confidence float64 // that the median of all starts that could be made lies in it, 0 to 1
}

// Spread returns what the cell's ramps that failed carried, or nil where fewer
// than two did. Each of n starts lies below or above the median by the same
// chance, so that all of them lie on one side of it with 2^(1-n): the
// distribution of order statistics, whatever that of the starts is.
func (c Cell) Spread() *Spread {
	var users []int
	for _, v := range c.Starts {
		if v.Trial.Hold == 0 && v.Outcome.Failed() && v.LastPass != nil {
			users = append(users, v.LastPass.Users)
		}
	}
	n := len(users)
	if n <= 1 {
		return nil
	}
	return &Spread{slices.Min(users), slices.Max(users), n, 1 - math.Pow(2, float64(1-n))}
}
