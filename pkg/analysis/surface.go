package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Analyse judges every trial of a run and answers the experiment.
func Analyse(e *experiment.Experiment, host measure.Host, results []measure.Result) Surface {
	s := Surface{Experiment: e.Name, Target: e.Users.Target, Objective: e.Objective}
	for _, l := range cells(e, results) {
		s.Cells = append(s.Cells, cell(e, host, l, results))
	}
	s.Frontier = frontier(s.Cells)
	s.Minimal, s.Answer = answer(s, e.Users.Unit())
	return s
}

// cells returns what is asked for, and what was measured besides.
func cells(e *experiment.Experiment, results []measure.Result) []experiment.Limits {
	all := experiment.Matrix{List: e.Matrix.Cells()}
	for _, r := range results {
		all.List = append(all.List, r.Trial.Limits)
	}
	return all.Cells()
}

func cell(e *experiment.Experiment, host measure.Host, l experiment.Limits, results []measure.Result) Cell {
	c := Cell{PriceHour: e.Price.Of(l)}
	for _, r := range results {
		if r.Trial.Limits == l {
			c.Trials++
			c.Measured = true
			c.Verdict = Judge(e, r)
		}
	}
	if !c.Measured {
		c.Trial, c.Outcome, c.Why = experiment.Trial{Limits: l, Replicate: 1}, NotMeasured, Impossible(l, host)
	}
	return c
}

// Impossible says why a host can't run a cell, or nothing where it can.
func Impossible(l experiment.Limits, host measure.Host) string {
	switch {
	case host.CPUs > 0 && l.CPU.Float() > float64(host.CPUs):
		return fmt.Sprintf("the host has only %d CPUs", host.CPUs)
	case host.Memory > 0 && l.Memory > host.Memory:
		return fmt.Sprintf("the host has only %.0fM of memory", host.Memory.MiB())
	default:
		return ""
	}
}

// frontier returns the cells that carry the target while none within them does.
func frontier(cells []Cell) []experiment.Limits {
	var out []experiment.Limits
	for _, c := range cells {
		beaten := slices.ContainsFunc(cells, func(d Cell) bool {
			return d.Outcome == Passed && d.Trial.Limits != c.Trial.Limits && d.Trial.Limits.Within(c.Trial.Limits)
		})
		if c.Outcome == Passed && !beaten {
			out = append(out, c.Trial.Limits)
		}
	}
	return out
}

// answer names the minimal viable configuration, and says in one sentence what
// was found, in the unit of the load. There is none to name while a cheaper cell isn't known to fail.
func answer(s Surface, unit string) (*Minimal, string) {
	within := conditions(s.Objective)
	load := Thousands(s.Target) + " " + unit
	measured := slices.DeleteFunc(slices.Clone(s.Cells), func(c Cell) bool { return !c.Measured })
	passed := slices.DeleteFunc(slices.Clone(measured), func(c Cell) bool { return c.Outcome != Passed })
	if len(passed) == 0 {
		return nil, unviable(s, measured, load, within)
	}
	best := slices.MinFunc(passed, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.PriceHour, b.PriceHour), cmp.Compare(a.Trial.Limits.CPU, b.Trial.Limits.CPU))
	})
	if doubt := cheaperUnknown(s.Cells, best); len(doubt) > 0 {
		return nil, fmt.Sprintf("%s carries %s %s, but whether it is the least isn't known: %s.", best.Trial.Limits, load, within, reasons(doubt))
	}
	m := &Minimal{Limits: best.Trial.Limits, PriceHour: best.PriceHour, Headroom: float64(best.LastPass.Users) / float64(s.Target)}
	if len(measured) == 1 {
		return m, fmt.Sprintf("%s, the only configuration measured, carries %s %s.", best.Trial.Limits, load, within)
	}
	return m, fmt.Sprintf("%s is the least of %d measured configurations that carries %s %s.", best.Trial.Limits, len(measured), load, within)
}

// unviable is the answer where no cell carries the target.
func unviable(s Surface, measured []Cell, load, within string) string {
	unknown := slices.DeleteFunc(slices.Clone(s.Cells), func(c Cell) bool { return c.Outcome.Known() || surelyFails(s.Cells, c) })
	if len(unknown) > 0 {
		return fmt.Sprintf("Which configuration carries %s %s isn't known: %s.", load, within, reasons(unknown))
	}
	if len(measured) == 1 {
		return fmt.Sprintf("%s, the only configuration measured, doesn't carry %s %s%s.", measured[0].Trial.Limits, load, within, best(measured))
	}
	return fmt.Sprintf("None of the %d measured configurations carries %s %s%s.", len(measured), load, within, best(measured))
}

// best names the cell that carried the most.
func best(cells []Cell) string {
	users := func(c Cell) int {
		if c.LastPass == nil {
			return 0
		}
		return c.LastPass.Users
	}
	top := slices.MaxFunc(cells, func(a, b Cell) int { return cmp.Compare(users(a), users(b)) })
	if users(top) == 0 {
		return "; none carried any"
	}
	return fmt.Sprintf("; the most was %s on %s", Thousands(users(top)), top.Trial.Limits)
}

// cheaperUnknown returns the cells that could still turn out to be viable for
// less.
func cheaperUnknown(cells []Cell, best Cell) []Cell {
	var out []Cell
	for _, c := range cells {
		if !c.Outcome.Known() && c.PriceHour < best.PriceHour && !surelyFails(cells, c) {
			out = append(out, c)
		}
	}
	return out
}

// surelyFails reports whether a cell that grants at least as much failed.
func surelyFails(cells []Cell, c Cell) bool {
	return slices.ContainsFunc(cells, func(d Cell) bool {
		return d.Outcome.Failed() && c.Trial.Limits.Within(d.Trial.Limits)
	})
}

// reasons says why cells aren't known.
func reasons(cells []Cell) string {
	var parts []string
	for _, c := range cells {
		why := c.Why
		switch c.Outcome {
		case GeneratorLimited:
			why = "the generator was the limit"
		case HostLimited:
			why = "the host was the limit"
		case Inconclusive:
			why = "its windows bear out no answer"
		case NotMeasured:
			if why == "" {
				why = "not measured yet"
			}
		case Open, Passed, Breached, OOMKilled, Crashed, NotReady:
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", c.Trial.Limits, why))
	}
	return strings.Join(parts, ", ")
}

// conditions puts the objective in words: "with p99 <= 1s and errors <= 1%".
func conditions(o experiment.Objective) string {
	parts := strings.Split(o.String(), ", ")
	if n := len(parts); n > 1 {
		parts = append(parts[:n-2], parts[n-2]+" and "+parts[n-1])
	}
	return "with " + strings.Join(parts, ", ")
}
