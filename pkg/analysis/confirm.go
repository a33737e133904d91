package analysis

import (
	"fmt"
	"slices"

	"sweep/pkg/experiment"
)

// confirmGain is how much more users a cell with more of what was short must
// carry at least.
const confirmGain = 0.10

// Confirm holds each cell's cause against its neighbours: who says that memory
// was short says that more of it carries more users. A cause that is borne out
// gets the neighbour by which; one that isn't gets evidence against it. Causes
// of which the limits say nothing, and those without a neighbour that was
// measured with the same setting, stay as they are. The cells that are given aren't changed.
//
//	memory
//	  ^   also   both
//	  |  (1)     (2)       (1) confirms or refutes a cell that memory bounds.
//	  |  cell    other     Where it isn't measured, (2) confirms it, if (3)
//	  |          (3)       shows that the other limit alone doesn't help.
//	  +-----------------> CPUs
func Confirm(cells []Cell) []Cell {
	out := slices.Clone(cells)
	for i, c := range out {
		if c.Cause == nil || !c.Outcome.Failed() {
			continue
		}
		more, other, ok := resource(c.Cause.Label)
		if !ok {
			continue
		}
		tried := *c.Cause
		tried.Evidence = slices.Clone(tried.Evidence)
		intervene(&tried, c, Of(cells, c.Trial.Limits.Setting()), more, other)
		out[i].Cause = &tried
	}
	return out
}

// amount is how much of a resource limits grant.
type amount func(experiment.Limits) int64

// resource returns of what a cause says that it was short, and what else
// limits grant; false where a cause isn't of any limit.
func resource(l Label) (short, other amount, ok bool) {
	cpu := func(l experiment.Limits) int64 { return int64(l.CPU) }
	memory := func(l experiment.Limits) int64 { return int64(l.Memory) }
	switch l {
	case CauseOOM, CauseMemory, CauseLeak:
		return memory, cpu, true
	case CauseCPU, CauseBursts:
		return cpu, memory, true
	case CauseCrash, CauseBacklog, CauseConcurrency, CauseDownstream, CauseApplication, CauseNotReady, CauseGenerator, CauseHost, CauseUnknown:
	}
	return nil, nil, false
}

// intervene looks for the neighbours and says what they carry.
func intervene(cause *Cause, c Cell, cells []Cell, short, other amount) {
	mine := c.Trial.Limits
	same := nearest(cells, func(l experiment.Limits) bool { return short(l) > short(mine) && other(l) == other(mine) })
	both := nearest(cells, func(l experiment.Limits) bool { return short(l) > short(mine) && other(l) > other(mine) })
	if same != nil {
		gain, told := gained(c, *same)
		switch {
		case gain >= confirmGain:
			cause.ConfirmedBy = fmt.Sprintf("%s: %s", same.Trial.Limits, told)
		case same.Outcome != Passed: // which might have carried more than it was asked to
			cause.Evidence = append(cause.Evidence, fmt.Sprintf("refuted by %s: %s", same.Trial.Limits, told))
		}
		return
	}
	if both == nil {
		return
	}
	control := nearest(cells, func(l experiment.Limits) bool {
		return short(l) == short(mine) && other(l) == other(both.Trial.Limits)
	})
	if control == nil {
		return
	}
	gain, told := gained(c, *both)
	if alone, little := gained(c, *control); gain >= confirmGain && alone < confirmGain && control.Outcome != Passed {
		cause.ConfirmedBy = fmt.Sprintf("%s: %s, while %s: %s", both.Trial.Limits, told, control.Trial.Limits, little)
	}
}

// nearest returns the smallest measured cell that fits and of which something
// is known, or nil.
func nearest(cells []Cell, fits func(experiment.Limits) bool) *Cell {
	var found *Cell
	for i, c := range cells {
		l := c.Trial.Limits
		if !c.Measured || !c.Outcome.Known() || !fits(l) {
			continue
		}
		if found == nil || l.Compare(found.Trial.Limits) < 0 {
			found = &cells[i]
		}
	}
	return found
}

// gained returns how much more users b carries than a, as a share of a's, and
// in words. From nothing to something is all the gain there is. With more memory
// a leak lasts for more requests, of however many users.
func gained(a, b Cell) (share float64, told string) {
	leaks := a.Cause != nil && a.Cause.Label == CauseLeak
	carries := func(c Cell) int {
		last := c.LastPass
		if leaks { // a hold's requests tell of its length
			for _, v := range c.Starts {
				if v.Trial.Hold == 0 {
					last = v.LastPass
				}
			}
		}
		switch {
		case last == nil:
			return 0
		case leaks:
			return int(last.Requests)
		}
		return last.Users
	}
	unit := ""
	if leaks {
		unit = " requests"
	}
	before, after := carries(a), carries(b)
	if before == 0 {
		return min(1, float64(after)), Thousands(after) + unit + " instead of none"
	}
	share = float64(after)/float64(before) - 1
	return share, fmt.Sprintf("%+.0f %%", 100*share) + unit
}
