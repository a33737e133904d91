package analysis

import (
	"cmp"
	"slices"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Place returns which cores service and generator run on where they are to be
// apart: the same for all cells of a run, for many a service sees how many
// cores it may run on and makes as many workers, and cells that differ in that
// can't be compared.
//
// Of n cores, where the biggest cell that the host can run needs c whole ones,
// the generator gets the lesser of n - c and half of them (n/2, rounded up), the
// service all others. Where no core is left there is no placement: cells then
// fight for cores, which [Crowded] tells. The generator takes whole physical
// cores while it can, those with the highest numbers first: most systems
// handle interrupts on the lowest.
//
// Cores has the host's cores by number; those in one list share a physical core.
func Place(cores [][]int, cells []experiment.Limits) measure.Placement {
	all := slices.Concat(cores...)
	n := len(all)
	most := 0
	for _, l := range cells {
		if c := filled(l.CPU); c <= n { // a bigger one isn't run
			most = max(most, c)
		}
	}
	free := min(n-most, (n+1)/2)
	if free < 1 || free == n {
		return measure.Placement{}
	}
	groups := slices.Clone(cores)
	slices.SortFunc(groups, func(a, b []int) int { return cmp.Compare(slices.Max(b), slices.Max(a)) })
	var generator, part []int
	for _, group := range groups {
		if len(generator)+len(group) <= free {
			generator = append(generator, group...)
		} else if part == nil {
			part = group
		}
	}
	if missing := free - len(generator); missing > 0 { // less than any group that didn't fit
		generator = append(generator, part[len(part)-missing:]...)
	}
	slices.Sort(generator)
	service := slices.DeleteFunc(slices.Sorted(slices.Values(all)), func(core int) bool { return slices.Contains(generator, core) })
	return measure.Placement{Service: service, Generator: generator}
}

// Cores returns n cores of which no more is known than how many there are.
func Cores(n int) [][]int {
	var all [][]int
	for i := range n {
		all = append(all, []int{i})
	}
	return all
}

// Cramped returns a cell that the host can run, but that needs more cores than
// its service is placed on.
func Cramped(p measure.Placement, host measure.Host, cells []experiment.Limits) (experiment.Limits, bool) {
	i := slices.IndexFunc(cells, func(l experiment.Limits) bool {
		return len(p.Service) > 0 && Impossible(l, host) == "" && filled(l.CPU) > len(p.Service)
	})
	if i < 0 {
		return experiment.Limits{}, false
	}
	return cells[i], true
}

// filled returns how many cores c fills or begins to fill.
func filled(c experiment.CPUs) int {
	const core = 1_000_000_000
	return int((c + core - 1) / core)
}
