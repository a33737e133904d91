package search_test

import (
	"testing"

	"sweep/pkg/experiment"
	"sweep/pkg/search"
)

func TestEveryCellIsPlannedOnceAndInterruptionsChangeNothing(t *testing.T) {
	e := &experiment.Experiment{
		Matrix: experiment.Matrix{
			CPUs: []experiment.CPUs{2e9, 1e9}, Memory: []experiment.Bytes{500 * experiment.MiB, 200 * experiment.MiB},
			Exclude: []experiment.Limits{{CPU: 1e9, Memory: 500 * experiment.MiB}},
		},
		Search: experiment.Search{Repeats: 2},
	}
	plan := search.Plan(e)
	var names []string
	for _, trial := range plan {
		names = append(names, trial.Slug())
	}
	want := []string{"1cpu-200M-1", "2cpu-200M-1", "2cpu-500M-1", "1cpu-200M-2", "2cpu-200M-2", "2cpu-500M-2"}
	if len(names) != len(want) {
		t.Fatalf("planned %v, want %v", names, want)
	}
	known := map[experiment.Trial]bool{}
	for i, trial := range plan {
		if names[i] != want[i] {
			t.Errorf("trial %d is %s, want %s", i, names[i], want[i])
		}
		next, ok := search.Next(e, func(t experiment.Trial) bool { return known[t] })
		if !ok || next != trial {
			t.Errorf("after %d trials comes %v, want %v", i, next, trial)
		}
		known[trial] = true
	}
	if next, ok := search.Next(e, func(t experiment.Trial) bool { return known[t] }); ok {
		t.Errorf("after the last trial comes %v", next)
	}
}
