package analysis

import (
	"cmp"
	"fmt"
	"slices"

	"sweep/pkg/experiment"
)

// Class is what the holds of one level say of it together.
type Class string

// The classes of a level.
const (
	Undecided Class = "undecided"
	Lower     Class = "lower" // it holds: a lower bound of the capacity
	Upper     Class = "upper" // it doesn't: an upper bound
)

// Classify says what holds of one level, all of them equally long, say of it
// together, where the majority of starts is to decide. It is the load
// classification of MLRsearch (RFC 9971, "Multiple Loss Ratio Search", appendix
// A) with an exceed ratio of one half and a goal duration of so many holds: a
// level is decided as soon as what is still missing couldn't change it.
func Classify(passed, failed, starts int) Class {
	const exceed = 0.5
	whole := float64(max(starts, passed+failed) | 1) // odd: a tie decides nothing
	pessimistic := whole-float64(passed) <= exceed*whole
	optimistic := float64(failed) <= exceed*whole
	switch {
	case pessimistic && optimistic:
		return Lower
	case !pessimistic && !optimistic:
		return Upper
	default:
		return Undecided
	}
}

// Held is a level at which holds were run.
type Held struct {
	Users  int
	Passed int // holds that did
	Failed int // likewise
	Untold int // holds that told nothing
	Class  Class
}

// Levels returns what the starts of one cell prove of each level, the lowest
// first. A ramp that passed has held the target, if it did so for as long as a
// hold would. That a start didn't get ready tells nothing of the level.
func Levels(e *experiment.Experiment, starts []Verdict) []Held {
	at := map[int]*Held{}
	for _, v := range starts {
		users := v.Trial.Hold
		if users == 0 {
			if v.Outcome != Passed || planned(e.Users, 0) < e.Users.HoldLength().Std() {
				continue // a ramp finds, a hold proves
			}
			users = e.Users.Target
		}
		h := at[users]
		if h == nil {
			h = &Held{Users: users}
			at[users] = h
		}
		switch {
		case v.Outcome == Passed:
			h.Passed++
		case v.Outcome.Failed() && v.Outcome != NotReady:
			h.Failed++
		default:
			h.Untold++
		}
	}
	var out []Held
	for _, h := range at {
		h.Class = Classify(h.Passed, h.Failed, e.Search.Repeats)
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Held) int { return cmp.Compare(a.Users, b.Users) })
	return out
}

// Bounds returns the least level that doesn't hold, and the greatest below it
// that does: what holds above an upper bound was luck (the relevant bounds of
// RFC 9971). Either is nil where there is none.
func Bounds(levels []Held) (lower, upper *Held) {
	for i, h := range levels {
		switch h.Class {
		case Lower:
			lower = &levels[i]
		case Upper:
			return lower, &levels[i]
		case Undecided:
		}
	}
	return lower, nil
}

// proved returns what holds say of a cell, given what they say of its levels and
// what its ramps say; false where they say nothing yet.
func proved(e *experiment.Experiment, starts []Verdict, levels []Held, found Verdict) (v Verdict, deciding []Verdict, ok bool) {
	lower, upper := Bounds(levels)
	passed, failed := atTarget(starts, e.Users.Target)
	var ramp *Level // at which it failed
	if found.Outcome.Failed() {
		ramp = found.FirstFail
	}
	switch {
	case upper != nil && lower == nil && ramp != nil && found.LastPass != nil && ramp.Users <= upper.Users:
		return found, nil, false // the ramp's bracket says more
	case upper != nil:
		v, deciding = failedLevel(e, starts, lower, upper)
	case lower == nil:
		return found, nil, false
	case lower.Users >= e.Users.Target && passed > failed:
		v, deciding = worstPass(e, starts, lower), startsAt(e, starts, lower.Users)
		v.Warnings = append(slices.Clone(v.Warnings), unlucky(e, found, lower)...)
	case ramp != nil && lower.Users >= ramp.Users: // where the cell does fail isn't known yet
		v = Verdict{Trial: found.Trial, Outcome: Inconclusive, LastPass: worstPass(e, starts, lower).LastPass}
		v.Warnings = append(slices.Clone(found.Warnings), unlucky(e, found, lower)...)
	default:
		return found, nil, false
	}
	return v, deciding, true
}

// unlucky says that a ramp failed below a level which held.
func unlucky(e *experiment.Experiment, found Verdict, lower *Held) []string {
	if !found.Outcome.Failed() {
		return nil
	}
	return []string{fmt.Sprintf("a ramp failed at %s, but a fresh start held %s", failedAt(found, e), Thousands(lower.Users))}
}

// worstPass returns the start that held a level with the least to spare.
func worstPass(e *experiment.Experiment, starts []Verdict, at *Held) Verdict {
	return slices.MinFunc(those(startsAt(e, starts, at.Users), func(o Outcome) bool { return o == Passed }), worse)
}

// failedLevel returns the verdict of a cell that doesn't hold upper, and the
// starts that decide it.
func failedLevel(e *experiment.Experiment, starts []Verdict, lower, upper *Held) (v Verdict, deciding []Verdict) {
	deciding = startsAt(e, starts, upper.Users)
	failed := those(deciding, func(o Outcome) bool { return o.Failed() && o != NotReady })
	v = slices.MinFunc(failed, worse)
	v.Cause, v.LastPass = blamed(v, append(failed, starts...)), nil
	most := 0
	if lower != nil {
		v.LastPass, most = worstPass(e, starts, lower).LastPass, lower.Users
	}
	if v.FirstFail == nil || v.FirstFail.Users <= most { // it died on the way up, below what was held before
		level, text := Level{}, "at once"
		if v.FirstFail != nil {
			level, text = *v.FirstFail, "at "+failedAt(v, e)
		}
		level.Users = upper.Users
		v.FirstFail = &level
		v.Warnings = append(slices.Clone(v.Warnings), fmt.Sprintf("on its way to %s it failed %s already", Thousands(upper.Users), text))
	}
	return v, deciding
}

// startsAt returns the starts that held a level, a ramp that held the target
// among them.
func startsAt(e *experiment.Experiment, starts []Verdict, users int) []Verdict {
	return slices.DeleteFunc(slices.Clone(starts), func(v Verdict) bool {
		ramp := v.Trial.Hold == 0 && v.Outcome == Passed && users == e.Users.Target
		return v.Trial.Hold != users && !ramp
	})
}

// those returns the starts whose outcome fits.
func those(starts []Verdict, fits func(Outcome) bool) []Verdict {
	return slices.DeleteFunc(slices.Clone(starts), func(v Verdict) bool { return !fits(v.Outcome) })
}

func failedAt(v Verdict, e *experiment.Experiment) string {
	if v.FirstFail == nil {
		return "once"
	}
	return Thousands(v.FirstFail.Users) + " " + e.Users.Unit()
}

// blamed returns the cause that most of a cell's failed starts name. A hold
// shows what is short for long, a ramp how it came to that; neither is always
// clearer. Where as many name one as another, the first of them stands.
func blamed(v Verdict, starts []Verdict) *Cause {
	votes, seen := map[Label]int{}, map[experiment.Trial]bool{}
	all := 0
	for _, s := range starts {
		if s.Cause == nil || !s.Outcome.Failed() || s.Cause.Label == CauseUnknown || seen[s.Trial] {
			continue
		}
		seen[s.Trial] = true
		votes[s.Cause.Label]++
		all++
	}
	best := v.Cause
	for _, s := range starts {
		if s.Cause != nil && votes[s.Cause.Label] > 0 && (best == nil || votes[s.Cause.Label] > votes[best.Label]) {
			best = s.Cause
		}
	}
	if best == nil || all == votes[best.Label] {
		return best
	}
	told := *best
	told.Evidence = append(slices.Clone(best.Evidence), fmt.Sprintf("%d of %d failed starts say so", votes[best.Label], all))
	return &told
}
