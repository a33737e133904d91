// Package search decides which trial comes next. It is a pure function of what
// is known so far, so a sweep that was interrupted goes on where it stopped.
package search

import "sweep/pkg/experiment"

// Plan returns every trial that the experiment asks for, in the order in which
// they are run: cell by cell, by CPUs, then memory.
func Plan(e *experiment.Experiment) []experiment.Trial {
	var trials []experiment.Trial
	for replicate := range e.Search.Repeats {
		for _, l := range e.Matrix.Cells() {
			trials = append(trials, experiment.Trial{Limits: l, Replicate: replicate + 1})
		}
	}
	return trials
}

// Next returns the first planned trial that isn't among the known ones, and
// whether there is one.
func Next(e *experiment.Experiment, known func(experiment.Trial) bool) (experiment.Trial, bool) {
	for _, t := range Plan(e) {
		if !known(t) {
			return t, true
		}
	}
	return experiment.Trial{}, false
}
