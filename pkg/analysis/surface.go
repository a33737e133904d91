package analysis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Analyse judges every trial of a run and answers the experiment.
func Analyse(e *experiment.Experiment, host measure.Host, results []measure.Result) Surface {
	return ConcludeOn(host, e, JudgeAll(e, results))
}

// ConcludeOn answers the experiment from the verdicts of trials on a host, whose
// own warnings come first.
func ConcludeOn(host measure.Host, e *experiment.Experiment, verdicts []Verdict) Surface {
	s := Conclude(e, verdicts, func(l experiment.Limits) string { return Impossible(l, host) })
	s.Warnings = append(slices.Clone(host.Warnings), s.Warnings...)
	return s
}

// JudgeAll judges trials one by one.
func JudgeAll(e *experiment.Experiment, results []measure.Result) []Verdict {
	verdicts := make([]Verdict, len(results))
	for i, r := range results {
		verdicts[i] = Judge(e, r)
	}
	return verdicts
}

// Conclude answers the experiment from the verdicts of trials. impossible says
// why the host can't run a cell, or nothing where it can.
func Conclude(e *experiment.Experiment, verdicts []Verdict, impossible func(experiment.Limits) string) Surface {
	s := Surface{Experiment: e.Name, Target: e.Users.Target, Objective: e.Objective}
	s.Cells = scale(Confirm(Cells(e, verdicts, impossible)))
	s.Models, s.Cells = predict(e, s.Cells)
	s.Warnings = upside(inversions(s.Cells))
	s.Frontier = frontier(s.Cells)
	s.Minimal, s.Answer = answer(s, e.Users.Unit())
	if s.Minimal != nil {
		s.Minimal.Certificate = certificate(s.Cells, s.Minimal.Limits, s.Target)
	}
	return s
}

// Cells returns what is known of every cell that is asked for, and of what was
// measured besides, by CPUs, then memory, then setting: what its starts say together, or
// what follows for it from others.
func Cells(e *experiment.Experiment, verdicts []Verdict, impossible func(experiment.Limits) string) []Cell {
	all := experiment.Matrix{List: e.Matrix.Cells()}
	starts := map[experiment.Limits][]Verdict{}
	for _, v := range verdicts {
		all.List = append(all.List, v.Trial.Limits)
		starts[v.Trial.Limits] = append(starts[v.Trial.Limits], v)
	}
	var out []Cell
	for _, l := range all.Cells() {
		c := Cell{PriceHour: e.Price.Of(l), Starts: starts[l], Trials: len(starts[l]), Measured: len(starts[l]) > 0}
		if c.Measured {
			slices.SortStableFunc(c.Starts, func(a, b Verdict) int {
				return cmp.Or(cmp.Compare(a.Trial.Hold, b.Trial.Hold), cmp.Compare(a.Trial.Replicate, b.Trial.Replicate))
			})
			c.judge(e)
		} else {
			c.Trial, c.Outcome, c.Why = experiment.Trial{Limits: l, Replicate: 1}, NotMeasured, impossible(l)
		}
		out = append(out, c)
	}
	infer(out, inversions(out))
	return out
}

// Cheaper orders cells by price. Where two cost the same, the one with fewer
// CPUs, then with less memory comes first, so that a cell within another always
// does. Settings cost nothing: of the same limits neither is the cheaper one.
func Cheaper(a, b Cell) int {
	return cmp.Or(cmp.Compare(a.PriceHour, b.PriceHour), cmp.Compare(a.Trial.Limits.CPU, b.Trial.Limits.CPU),
		cmp.Compare(a.Trial.Limits.Memory, b.Trial.Limits.Memory))
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

// Settings returns the settings of cells, in order.
func Settings(cells []Cell) []experiment.Setting {
	return slices.SortedFunc(maps.Keys(bySetting(cells)), experiment.Setting.Compare)
}

func bySetting(cells []Cell) map[experiment.Setting][]Cell {
	out := map[experiment.Setting][]Cell{}
	for _, c := range cells {
		s := c.Trial.Limits.Setting()
		out[s] = append(out[s], c)
	}
	return out
}

// Of returns the cells of one setting.
func Of(cells []Cell, s experiment.Setting) []Cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Trial.Limits.Setting() != s })
}

// frontier returns the measured cells that carry the target while every cell
// within them is known not to: of each setting its own.
func frontier(cells []Cell) []experiment.Limits {
	var out []experiment.Limits
	for _, c := range cells {
		doubtful := slices.ContainsFunc(cells, func(d Cell) bool {
			return !fails(d) && d.Trial.Limits != c.Trial.Limits && d.Trial.Limits.Within(c.Trial.Limits)
		})
		if c.Outcome == Passed && !doubtful {
			out = append(out, c.Trial.Limits)
		}
	}
	return out
}

// fails reports whether a cell is known not to carry the target: by its own
// failure, or by that of one which grants at least as much.
func fails(c Cell) bool {
	return c.Outcome.Failed() || c.Inferred == InferredFailed
}

// answer names the minimal viable configuration, and says in one sentence what
// was found, in the unit of the load. It is a measured one; and there is none to
// name while a cheaper cell isn't known to fail.
func answer(s Surface, unit string) (*Minimal, string) {
	within := conditions(s.Objective)
	load := Thousands(s.Target) + " " + unit
	measured := slices.DeleteFunc(slices.Clone(s.Cells), func(c Cell) bool { return !c.Measured })
	best, cheapest := least(s.Cells)
	if best == nil {
		return nil, unviable(s, measured, load, within)
	}
	if doubt := doubted(s.Cells, *cheapest); len(doubt) > 0 {
		return nil, fmt.Sprintf("%s carries %s %s, but whether it is the least isn't known: %s.", cheapest.Trial.Limits, load, within+agreeing(*cheapest), reasons(doubt))
	}
	within, beside := within+agreeing(*best), besides(*best, *cheapest)
	m := &Minimal{
		Limits: best.Trial.Limits, PriceHour: best.PriceHour, PricePerMillion: best.PricePerMillion(),
		Headroom: float64(best.LastPass.Users) / float64(s.Target),
	}
	if slices.ContainsFunc(s.Cells, func(c Cell) bool { return Cheaper(c, *cheapest) < 0 && !c.Measured }) {
		return m, fmt.Sprintf("%s is the least of %d configurations that carries %s %s; %s, and the cheaper ones that weren't grant no more than one that failed%s.",
			best.Trial.Limits, len(s.Cells), load, within, wereMeasured(len(measured)), beside)
	}
	if len(measured) == 1 {
		return m, fmt.Sprintf("%s, the only configuration measured, carries %s %s.", best.Trial.Limits, load, within)
	}
	return m, fmt.Sprintf("%s is the least of %d measured configurations that carries %s %s%s.", best.Trial.Limits, len(measured), load, within, beside)
}

// samePrice is the share by which prices may differ and count as the same: list
// prices aren't what anybody pays to the percent.
const samePrice = 0.02

// roomiest returns the cell with the largest margin of those that passed and
// cost the same as the cheapest of them. A cell that grants all that another
// grants which passed is never less than it, whatever the price of the rest, and
// whatever their settings: those cost nothing.
func roomiest(passed []Cell, cheapest Cell) Cell {
	alike := slices.DeleteFunc(slices.Clone(passed), func(c Cell) bool {
		grants := c.Trial.Limits.Bare()
		return c.PriceHour > (1+samePrice)*cheapest.PriceHour || slices.ContainsFunc(passed, func(d Cell) bool {
			less := d.Trial.Limits.Bare()
			return less != grants && less.Within(grants)
		})
	})
	return slices.MinFunc(alike, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.LastPass.Margin, b.LastPass.Margin), Cheaper(a, b))
	})
}

// besides says which cell was passed over for one with a larger margin, or
// nothing.
func besides(best, cheapest Cell) string {
	switch {
	case best.Trial.Limits == cheapest.Trial.Limits:
		return ""
	case best.Trial.Limits.Bare() == cheapest.Trial.Limits.Bare():
		return fmt.Sprintf("; %s carries them too, but is nearer to its limit", cheapest.Trial.Limits)
	}
	return fmt.Sprintf("; %s costs %.1f %% less, but is nearer to its limit", cheapest.Trial.Limits, 100*(1-cheapest.PriceHour/best.PriceHour))
}

// agreeing says in how many starts a cell passed, where it was started more
// than once.
func agreeing(c Cell) string {
	if len(c.Deciding) <= 1 {
		return ""
	}
	return fmt.Sprintf(", in %d of %d starts", c.Passes(), len(c.Deciding))
}

func wereMeasured(n int) string {
	if n == 1 {
		return "1 was measured"
	}
	return fmt.Sprintf("%d were measured", n)
}

// unviable is the answer where no cell carries the target.
func unviable(s Surface, measured []Cell, load, within string) string {
	unknown := slices.DeleteFunc(slices.Clone(s.Cells), fails)
	switch {
	case len(unknown) > 0:
		return fmt.Sprintf("Which configuration carries %s %s isn't known: %s.", load, within, reasons(unknown))
	case len(measured) < len(s.Cells):
		return fmt.Sprintf("None of %d configurations carries %s %s%s; %s, and the others grant no more than one that failed.",
			len(s.Cells), load, within, best(measured), wereMeasured(len(measured)))
	case len(measured) == 1:
		return fmt.Sprintf("%s, the only configuration measured, doesn't carry %s %s%s.", measured[0].Trial.Limits, load, within, best(measured))
	default:
		return fmt.Sprintf("None of the %d measured configurations carries %s %s%s.", len(measured), load, within, best(measured))
	}
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
			why = cmp.Or(c.Stopped, "its windows bear out no answer")
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
