package analysis_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func cells(cpus ...float64) []experiment.Limits {
	var all []experiment.Limits
	for _, c := range cpus {
		all = append(all, experiment.Limits{CPU: experiment.CPUs(c * 1e9), Memory: 200 * experiment.MiB})
	}
	return all
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name               string
		cores              [][]int
		cpus               []float64
		service, generator []int
	}{
		{"two cores, small cells", analysis.Cores(2), []float64{0.5, 1}, []int{0}, []int{1}},
		{"a part of a core counts whole", analysis.Cores(2), []float64{0.5, 1.5}, nil, nil},
		{"no core is left", analysis.Cores(2), []float64{1, 2}, nil, nil},
		{"cells that aren't run take none", analysis.Cores(2), []float64{1, 4}, []int{0}, []int{1}},
		{"one core", analysis.Cores(1), []float64{0.5}, nil, nil},
		{"nothing known", nil, []float64{1}, nil, nil},
		{"half of them at the most", analysis.Cores(8), []float64{1}, []int{0, 1, 2, 3}, []int{4, 5, 6, 7}},
		{"what is left", analysis.Cores(8), []float64{1, 6}, []int{0, 1, 2, 3, 4, 5}, []int{6, 7}},
		{"half, rounded up", analysis.Cores(3), []float64{1}, []int{0}, []int{1, 2}},
		{"whole physical cores", [][]int{{0, 2}, {1, 3}}, []float64{2}, []int{0, 2}, []int{1, 3}},
		{"one and a half", [][]int{{0, 4}, {1, 5}, {2, 6}, {3, 7}}, []float64{5}, []int{0, 1, 2, 4, 5}, []int{3, 6, 7}},
		{"less than a physical core", [][]int{{0, 2}, {1, 3}}, []float64{3}, []int{0, 1, 2}, []int{3}},
		{"numbers with holes", [][]int{{1}, {4}, {9}}, []float64{2}, []int{1, 4}, []int{9}},
	} {
		got := analysis.Place(c.cores, cells(c.cpus...))
		if want := (measure.Placement{Service: c.service, Generator: c.generator}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
}

// Either nobody is placed, or every core is either's and the biggest cell that
// can be run has the cores that it needs.
func TestPlaceSharesOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "numbers")
		n := rapid.IntRange(1, len(numbers)).Draw(t, "cores")
		var cores [][]int
		for rest := slices.Clone(numbers[:n]); len(rest) > 0; {
			size := rapid.IntRange(1, min(2, len(rest))).Draw(t, "threads")
			cores, rest = append(cores, slices.Sorted(slices.Values(rest[:size]))), rest[size:]
		}
		most := rapid.IntRange(1, n).Draw(t, "most")
		p := analysis.Place(cores, cells(0.5, float64(most), float64(n)+1))
		if len(p.Service) == 0 && len(p.Generator) == 0 {
			if most < n && n > 1 {
				t.Fatalf("of %v nobody got any, though %d would do", cores, most)
			}
			return
		}
		if all := slices.Sorted(slices.Values(slices.Concat(p.Service, p.Generator))); !slices.Equal(all, slices.Sorted(slices.Values(numbers[:n]))) {
			t.Fatalf("of %v it made %v", cores, p)
		}
		if len(p.Service) < most || len(p.Generator) < 1 || len(p.Generator) > (n+1)/2 {
			t.Fatalf("with %d to run, of %v it made %v", most, cores, p)
		}
		if l, ok := analysis.Cramped(p, measure.Host{CPUs: n}, cells(float64(most), float64(n)+1)); ok {
			t.Fatalf("%s is cramped in %v", l, p)
		}
	})
}

func TestCramped(t *testing.T) {
	host := measure.Host{CPUs: 4}
	p := analysis.Place(analysis.Cores(4), cells(2))
	if l, ok := analysis.Cramped(p, host, cells(1, 3)); !ok || l.CPU != 3e9 {
		t.Errorf("got %v, %v", l, ok)
	}
	if l, ok := analysis.Cramped(measure.Placement{}, host, cells(4)); ok {
		t.Errorf("%s is cramped, though it may run anywhere", l)
	}
}
