package analysis

import (
	"fmt"
	"slices"

	"sweep/pkg/experiment"
)

// An inversion is a measured cell that failed though one within it passed:
// granting more carried less. Workers that follow the CPUs, or a bigger heap,
// can do that; so can chance.
type inversion struct{ passed, failed Cell }

func inversions(cells []Cell) []inversion {
	var out []inversion
	for _, f := range cells {
		for _, p := range cells {
			if f.Outcome.Failed() && p.Outcome == Passed && p.Trial.Limits.Within(f.Trial.Limits) {
				out = append(out, inversion{p, f})
			}
		}
	}
	return out
}

// has reports whether l is one of the two cells. From such nothing follows for
// others.
func (v inversion) has(l experiment.Limits) bool {
	return l == v.passed.Trial.Limits || l == v.failed.Trial.Limits
}

// touches reports whether l lies on a line along which the inversion was seen:
// for cells that differ in CPUs the rows of their memory, for cells that differ
// in memory the columns of their CPUs, of their setting alone.
func (v inversion) touches(l experiment.Limits) bool {
	p, f := v.passed.Trial.Limits, v.failed.Trial.Limits
	if l.Setting() != p.Setting() {
		return false
	}
	row := p.CPU != f.CPU && (l.Memory == p.Memory || l.Memory == f.Memory)
	column := p.Memory != f.Memory && (l.CPU == p.CPU || l.CPU == f.CPU)
	return row || column
}

// infer fills in what follows for cells that tell nothing themselves: a cell
// within one that failed fails, and one that contains one that passed passes.
// Nothing follows for cells that the host can't run, nor near an inversion.
func infer(cells []Cell, upsets []inversion) {
	var told []Cell
	for _, c := range cells {
		if c.Outcome.Known() && !slices.ContainsFunc(upsets, func(v inversion) bool { return v.has(c.Trial.Limits) }) {
			told = append(told, c)
		}
	}
	for i := range cells {
		c := &cells[i]
		l := c.Trial.Limits
		if c.Outcome.Known() || c.Why != "" || slices.ContainsFunc(upsets, func(v inversion) bool { return v.touches(l) }) {
			continue
		}
		for _, d := range told {
			switch from := d.Trial.Limits; {
			case d.Outcome == Passed && from.Within(l):
				c.Inferred, c.From = InferredPassed, from
			case d.Outcome.Failed() && l.Within(from):
				c.Inferred, c.From = InferredFailed, from
			}
		}
	}
}

// upside says of each cell that failed which one within it passed.
func upside(upsets []inversion) []string {
	var out []string
	for i, v := range upsets {
		if i > 0 && upsets[i-1].failed.Trial.Limits == v.failed.Trial.Limits {
			continue // one is enough
		}
		out = append(out, fmt.Sprintf("%s failed, though it grants all that %s grants, which passed: nothing is inferred from these two, nor for cells beside them",
			v.failed.Trial.Limits, v.passed.Trial.Limits))
	}
	return out
}

// Upset reports whether a cell failed though one within it passed.
func Upset(cells []Cell) bool { return len(inversions(cells)) > 0 }

// Covered reports whether a cell's failure follows from that of a bigger one.
func Covered(cells []Cell, c Cell) bool {
	return slices.ContainsFunc(cells, func(d Cell) bool {
		return d.Outcome.Failed() && d.Trial.Limits != c.Trial.Limits && c.Trial.Limits.Within(d.Trial.Limits)
	})
}

// Inverted returns the measured cells that are part of an inversion.
func Inverted(cells []Cell) []experiment.Limits {
	var out []experiment.Limits
	for _, v := range inversions(cells) {
		for _, l := range []experiment.Limits{v.passed.Trial.Limits, v.failed.Trial.Limits} {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}
