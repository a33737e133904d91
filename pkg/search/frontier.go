package search

import (
	"encoding/binary"
	"math"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// The frontier search looks for the cheapest cell that carries the load, and
// takes it that more resources never carry less: a failed cell settles all
// within it, one that passed settles all that cost as much or more. What is left
// is open. The biggest cell goes first: if it fails, nothing is viable. From
// then on the search bisects: it runs the open cell after which, however it
// ends, the fewest stay open.
//
// Of all cells it takes only those that empty, however they end, a row or a
// column of what is open. There always is one (the most memory of the fewest
// CPUs), so a matrix of m by n takes at most m+n trials, whatever the prices:
// the staircase. Where a step of CPU costs more than the whole range of memory,
// the same rule is a binary search for the CPUs, then for the memory.
//
// Of cells with several settings each setting has a grid of its own, since what
// one carries says nothing of another but by its price: a matrix of m by n with s
// settings takes at most s(m+n-1)+1 trials. If the biggest cell of one fails, the
// next is the biggest of another.

// A resource is CPU or memory.
const (
	cpu = iota
	memory
	resources
)

func amounts(l experiment.Limits) [resources]int64 {
	return [resources]int64{int64(l.CPU), int64(l.Memory)}
}

// A board is every cell of a matrix, the cheapest first.
type board struct {
	cells []experiment.Limits
	grid  []int            // each cell's grid: the cells of its setting
	line  [resources][]int // each cell's column, of equal CPUs, and row, of equal memory, in its grid
	seen  [resources][]int // scratch of lines: of columns and rows
	grids []int            // likewise: of grids
	round int              // likewise
}

// A position is what is known on a board.
type position struct {
	open   []int  // the cells that could still be the cheapest to pass, the cheapest first
	viable bool   // one has passed
	needs  []need // of each grid
}

// A need is what is known of how much of each resource cells of one grid take.
type need struct {
	enough [resources]int64   // the least with which one passed
	lack   [resources][]int64 // with how much cells failed for want of more, below enough, ascending
}

// newBoard returns the board of cells that are sorted by price, and the position
// on it of which nothing is known.
func newBoard(cells []analysis.Cell) (*board, position) {
	type line struct{ grid, amount int64 }
	b, p := &board{}, position{}
	index, settings := [resources]map[line]int{{}, {}}, analysis.Settings(cells)
	for _, c := range cells {
		l := c.Trial.Limits
		grid := slices.Index(settings, l.Setting())
		b.cells, b.grid = append(b.cells, l), append(b.grid, grid)
		for r, amount := range amounts(l) {
			at := line{int64(grid), amount}
			if _, ok := index[r][at]; !ok {
				index[r][at] = len(index[r])
			}
			b.line[r] = append(b.line[r], index[r][at])
		}
	}
	for r := range resources {
		b.seen[r] = make([]int, len(index[r]))
	}
	b.grids = make([]int, len(settings))
	for range settings {
		p.needs = append(p.needs, need{enough: [resources]int64{math.MaxInt64, math.MaxInt64}})
	}
	return b, p
}

// lines returns how many rows and columns cells lie in, less one of each grid: so
// many trials settle them, one after another, at most.
func (b *board) lines(cells []int) int {
	b.round++
	n := 0
	for _, i := range cells {
		for r := range resources {
			if line := b.line[r][i]; b.seen[r][line] != b.round {
				b.seen[r][line] = b.round
				n++
			}
		}
		if grid := b.grid[i]; b.grids[grid] != b.round {
			b.grids[grid] = b.round
			n--
		}
	}
	return n
}

// cheaper returns the open cells that cost less than the k-th of them. One of the
// same limits doesn't, whatever its setting.
func (b *board) cheaper(open []int, k int) []int {
	for k > 0 && b.cells[open[k-1]].Bare() == b.cells[open[k]].Bare() {
		k--
	}
	return open[:k]
}

// without returns the open cells that don't lie within the k-th of them.
func (b *board) without(open []int, k int) []int {
	var out []int
	for _, i := range open {
		if !b.cells[i].Within(b.cells[open[k]]) {
			out = append(out, i)
		}
	}
	return out
}

// choose returns the place among the open cells of the one to run next. There
// must be one.
//
// Cells that add only what failed ones didn't lack go last. If nothing else is
// left, whether they fail must be known too: then the one goes first whose
// failure settles the most.
func (b *board) choose(p position) int {
	if !p.viable {
		return len(p.open) - 1 // the dearest: nothing else grants as much
	}
	type merit struct{ hopeless, left, lines int }
	better := func(a, b merit) bool {
		return a.hopeless < b.hopeless || a.hopeless == b.hopeless && (a.left < b.left || a.left == b.left && a.lines < b.lines)
	}
	all, best, found := b.lines(p.open), merit{}, -1
	for k, i := range p.open {
		passed, failed := b.cheaper(p.open, k), b.without(p.open, k)
		m := merit{left: max(len(passed), len(failed)), lines: max(b.lines(passed), b.lines(failed))}
		if m.lines >= all {
			continue
		}
		if p.needs[b.grid[i]].hopeless(b.cells[i]) {
			m.hopeless, m.left = 1, len(failed)
		}
		if found < 0 || better(m, best) {
			best, found = m, k
		}
	}
	return found
}

// hopeless reports whether a cell grants no more of something than was too
// little before.
func (n need) hopeless(l experiment.Limits) bool {
	for r, amount := range amounts(l) {
		if known := len(n.lack[r]); known > 0 && amount <= n.lack[r][known-1] {
			return true
		}
	}
	return false
}

// passed takes note of a cell that passed. That others failed with as much of
// something or more wasn't for want of it.
func (n need) passed(l experiment.Limits) need {
	for r, amount := range amounts(l) {
		n.enough[r] = min(n.enough[r], amount)
		n.lack[r] = slices.DeleteFunc(slices.Clone(n.lack[r]), func(lack int64) bool { return lack >= n.enough[r] })
	}
	return n
}

// failed takes note of a cell that failed for want of a resource.
func (n need) failed(l experiment.Limits, r int) need {
	amount := amounts(l)[r]
	if at, found := slices.BinarySearch(n.lack[r], amount); !found && amount < n.enough[r] {
		n.lack[r] = slices.Insert(slices.Clone(n.lack[r]), at, amount)
	}
	return n
}

// passed takes note that the i-th cell of the board passed.
func (b *board) passed(p position, i int) position {
	grid := b.grid[i]
	p.viable, p.needs = true, slices.Clone(p.needs)
	p.needs[grid] = p.needs[grid].passed(b.cells[i])
	return p
}

// failed takes note that the i-th cell of the board failed for want of a resource.
func (b *board) failed(p position, i, r int) position {
	grid := b.grid[i]
	p.needs = slices.Clone(p.needs)
	p.needs[grid] = p.needs[grid].failed(b.cells[i], r)
	return p
}

// maxForesight is how many cells a board may have for every course of the
// search to be tried out, and maxPositions how many positions.
const (
	maxForesight = 100
	maxPositions = 20_000
)

// most returns how many cells have to be run from a position on, at most,
// whatever their outcomes and causes.
func (b *board) most(p position) int {
	if len(b.cells) <= maxForesight {
		if n, ok := b.foresee(p, map[string]int{}); ok {
			return n
		}
	}
	n := b.lines(p.open)
	if !p.viable && n < len(p.open) {
		n++ // the first that passes may leave as many lines as there were
	}
	return n
}

// foresee tries every course of the search out. It gives up where there are
// too many.
func (b *board) foresee(p position, known map[string]int) (int, bool) {
	if len(p.open) == 0 {
		return 0, true
	}
	key := p.key()
	if n, ok := known[key]; ok {
		return n, true
	}
	if len(known) > maxPositions {
		return 0, false
	}
	worst := 0
	for _, after := range b.outcomes(p, b.choose(p)) {
		n, ok := b.foresee(after, known)
		if !ok {
			return 0, false
		}
		worst = max(worst, n+1)
	}
	known[key] = worst
	return worst, true
}

// outcomes returns the positions to which the k-th open cell can lead: that it
// passes, that it fails, and that it does so for want of a resource.
func (b *board) outcomes(p position, k int) []position {
	i := p.open[k]
	pass := b.passed(p, i)
	pass.open = b.cheaper(p.open, k)
	fail := p
	fail.open = b.without(p.open, k)
	all := []position{pass, fail}
	for r := range resources {
		all = append(all, b.failed(fail, i, r))
	}
	return all
}

// key tells positions on one board apart.
func (p position) key() string {
	var text []byte
	for _, i := range p.open {
		text = binary.AppendVarint(text, int64(i))
	}
	text = binary.AppendVarint(text, -1)
	for _, need := range p.needs {
		for r := range resources {
			text = binary.AppendVarint(text, need.enough[r])
			for _, n := range need.lack[r] {
				text = binary.AppendVarint(text, n)
			}
			text = binary.AppendVarint(text, -1)
		}
	}
	return string(text)
}

// lacking returns the resource for want of which a cell failed, as far as its
// cause tells.
func lacking(v analysis.Verdict) (r int, ok bool) {
	if v.Cause == nil {
		return 0, false
	}
	switch v.Cause.Label { //nolint:exhaustive // the others say nothing of a resource
	case analysis.CauseOOM, analysis.CauseMemory, analysis.CauseLeak:
		return memory, true
	case analysis.CauseCPU, analysis.CauseBursts:
		return cpu, true
	default:
		return 0, false
	}
}
