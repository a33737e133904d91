package analysis

import (
	"fmt"
	"slices"
	"strings"

	"sweep/pkg/experiment"
)

// That a configuration is the least is certain once it has carried the target
// on several fresh starts, and each cell of the following has failed on as
// many: those cheaper cells that no other cheaper one contains. As long as
// more resources never carry less, every cheaper cell lies within one of them,
// of its setting.
// The one that people forget is that with less CPU and the most memory.

// certifies is how many fresh starts must agree: two, which are the most of
// three.
const certifies = 2

// Rivals returns the cells that must be known to fail for l to be the least:
// the greatest of the cheaper ones that the host can run.
func Rivals(cells []Cell, l experiment.Limits) []Cell {
	i := slices.IndexFunc(cells, func(c Cell) bool { return c.Trial.Limits == l })
	if i < 0 {
		return nil
	}
	cheaper := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return Cheaper(c, cells[i]) >= 0 || c.Why != "" || c.Outcome == Passed })
	return slices.DeleteFunc(slices.Clone(cheaper), func(c Cell) bool {
		return slices.ContainsFunc(cheaper, func(d Cell) bool {
			return d.Trial.Limits != c.Trial.Limits && c.Trial.Limits.Within(d.Trial.Limits)
		})
	})
}

// At returns how many fresh starts of a cell carried the target, and how many
// didn't: its ramps, and its holds of the target.
func (c Cell) At(target int) (passed, failed int) { return atTarget(c.Starts, target) }

func atTarget(starts []Verdict, target int) (passed, failed int) {
	for _, v := range starts {
		switch {
		case v.Trial.Hold != 0 && (v.Trial.Hold != target || v.Outcome == NotReady):
		case v.Outcome == Passed:
			passed++
		case v.Outcome.Failed():
			failed++
		}
	}
	return passed, failed
}

// Certain reports whether the starts of a cell that had to carry the target
// agree well enough.
func (c Cell) Certain(target int) bool {
	passed, failed := c.At(target)
	return passed != failed && max(passed, failed) >= certifies
}

// certificate says on what the claim rests that a cell is the least, or
// nothing where it isn't certified.
func certificate(cells []Cell, l experiment.Limits, target int) string {
	i := slices.IndexFunc(cells, func(c Cell) bool { return c.Trial.Limits == l })
	if i < 0 || !cells[i].Certain(target) {
		return ""
	}
	passed, failed := cells[i].At(target)
	if failed > passed {
		return ""
	}
	text := fmt.Sprintf("it carried them in %d of %d fresh starts", passed, passed+failed)
	var rivals []string
	for _, c := range Rivals(cells, l) {
		if passed, failed = c.At(target); !c.Certain(target) || failed < passed {
			return ""
		}
		rivals = append(rivals, fmt.Sprintf("%s failed in %d of %d", c.Trial.Limits, failed, passed+failed))
	}
	if len(rivals) == 0 {
		if slices.ContainsFunc(cells, func(c Cell) bool { return Cheaper(c, cells[i]) < 0 }) {
			return ""
		}
		return text + ", and nothing is cheaper"
	}
	return text + "; of what is cheaper " + strings.Join(rivals, ", ")
}

// Least returns the cell that is the minimal viable configuration, or nil where
// none carries the target, or a cheaper one isn't known to fail.
func Least(cells []Cell) *Cell {
	best, cheapest := least(cells)
	if best == nil || len(doubted(cells, *cheapest)) > 0 {
		return nil
	}
	return best
}

// least returns the cell that is the minimal viable configuration as long as
// every cheaper one fails, and the cheapest that passed, which costs as good as
// the same. Both are nil where none passed.
func least(cells []Cell) (best, cheapest *Cell) {
	passed := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return c.Outcome != Passed })
	if len(passed) == 0 {
		return nil, nil
	}
	first := slices.MinFunc(passed, Cheaper)
	roomy := roomiest(passed, first)
	return &roomy, &first
}

// doubted returns the cells that are cheaper than one, and not known to fail.
func doubted(cells []Cell, than Cell) []Cell {
	return slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return Cheaper(c, than) >= 0 || fails(c) })
}
