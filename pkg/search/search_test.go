package search_test

import (
	"slices"
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/search"
)

func possible(experiment.Limits) string { return "" }

func three() *experiment.Experiment {
	return &experiment.Experiment{
		Matrix: experiment.Matrix{
			CPUs: []experiment.CPUs{2e9, 1e9}, Memory: []experiment.Bytes{500 * experiment.MiB, 200 * experiment.MiB},
			Exclude: []experiment.Limits{{CPU: 1e9, Memory: 500 * experiment.MiB}},
		},
		Search: experiment.Search{Strategy: "exhaustive", Repeats: 1},
	}
}

func slugs(trials []experiment.Trial) []string {
	var names []string
	for _, t := range trials {
		names = append(names, t.Slug())
	}
	return names
}

func TestEveryCellIsPlannedOnceAndInterruptionsChangeNothing(t *testing.T) {
	for _, repeats := range []int{1, 2} {
		e := three()
		e.Search.Repeats = repeats
		plan := search.Plan(e)
		var known []analysis.Verdict
		for i, trial := range plan {
			if left := search.Left(e, known, possible).Trials(); left != len(plan)-i || search.Recorded(e, known) != i {
				t.Errorf("after %d trials %d are recorded and %d are left", i, search.Recorded(e, known), left)
			}
			next, ok := search.Next(e, known, possible)
			if !ok || next != trial {
				t.Errorf("after %d trials comes %v, want %v", i, next, trial)
			}
			known = append(known, analysis.Verdict{Trial: trial, Outcome: analysis.Inconclusive})
		}
		if next, ok := search.Next(e, known, possible); ok {
			t.Errorf("after the last trial comes %v", next)
		}
	}
}

func TestOneStartEachComesInTheOrderOfTheMatrix(t *testing.T) {
	want := []string{"1cpu-200M-1", "2cpu-200M-1", "2cpu-500M-1"}
	if got := slugs(search.Plan(three())); !slices.Equal(got, want) {
		t.Errorf("planned %v, want %v", got, want)
	}
}

func TestRepeatsComeInBlocksThatTheSeedShuffles(t *testing.T) {
	e := &experiment.Experiment{
		Matrix: experiment.Matrix{CPUs: []experiment.CPUs{1e9, 2e9, 3e9}, Memory: []experiment.Bytes{200 << 20, 300 << 20, 400 << 20}},
		Search: experiment.Search{Strategy: "exhaustive", Repeats: 5, Seed: 1},
	}
	cells, orders := e.Matrix.Cells(), map[string]bool{}
	plan := search.Plan(e)
	for block := range 5 {
		part := plan[block*9 : block*9+9]
		orders[slugsOfCells(part)] = true
		for _, l := range cells {
			if !slices.Contains(part, experiment.Trial{Limits: l, Replicate: block + 1}) {
				t.Errorf("block %d lacks %s", block+1, l)
			}
		}
	}
	if len(orders) != 5 {
		t.Errorf("5 blocks have %d orders", len(orders))
	}
	if !slices.Equal(search.Plan(e), plan) {
		t.Error("the same seed gives another order")
	}
	if e.Search.Seed = 2; slices.Equal(search.Plan(e), plan) {
		t.Error("another seed gives the same order")
	}
}

func slugsOfCells(trials []experiment.Trial) string {
	var slugs []string
	for _, t := range trials {
		slugs = append(slugs, t.Limits.Slug()+" ")
	}
	return strings.Join(slugs, "")
}

func TestCellsThatTheHostCannotRunAreLeftOut(t *testing.T) {
	e := three()
	small := func(l experiment.Limits) string {
		if l.CPU > 1e9 {
			return "the host has only 1 CPU"
		}
		return ""
	}
	for _, strategy := range []string{"exhaustive", "frontier"} {
		e.Search.Strategy = strategy
		next, ok := search.Next(e, nil, small)
		if !ok || next.Slug() != "1cpu-200M-1" || search.Left(e, nil, small).Trials() != 1 {
			t.Errorf("%s: %v of %d", strategy, next, search.Left(e, nil, small).Trials())
		}
	}
}
