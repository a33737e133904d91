package main

import (
	"context"
	"fmt"

	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
	"sweep/pkg/sweep"
)

// generatorOf returns what makes the load, and what ends it for good.
func generatorOf(ctx context.Context, e *experiment.Experiment, eng *engine.Engine, agent *engine.Agent, say func(string)) (g sweep.Generator, dismiss func() error, err error) {
	dismiss = func() error { return nil }
	switch {
	case e.Generator.Locust != nil:
		return locustOf(ctx, e, eng, agent, say)
	case e.Users.From == experiment.FromHost:
		return &load.Local{Plan: planner(e)}, dismiss, nil
	default:
		return &load.Remote{Attach: agent.Attach, Plan: planner(e)}, dismiss, nil
	}
}

// ceilingOf returns how many requests a second the generator makes at most, or
// an error where it can't make the load; 0 where it can't tell before.
func ceilingOf(ctx context.Context, e *experiment.Experiment, g sweep.Generator) (float64, error) {
	tells, ok := g.(interface {
		Ceiling(ctx context.Context) (requestsPerSecond float64, err error)
	})
	if !ok {
		return 0, nil
	}
	ceiling, err := tells.Ceiling(ctx)
	if err != nil {
		return 0, fmt.Errorf("finding the generator's ceiling: %w", err)
	}
	plan := planner(e)(measure.Target{})
	if err := plan.Reaches(ceiling); err != nil {
		return 0, ceilingError{err} // says what to do
	}
	return ceiling, nil
}

// planner returns what to do with a fresh start of the service. That the
// experiment has a plan has been seen before.
func planner(e *experiment.Experiment) func(measure.Target) load.Plan {
	return func(t measure.Target) load.Plan {
		plan, err := load.NewPlan(e.Of(t.Trial), t.Address)
		if err != nil {
			panic(err) // it doesn't depend on the address, nor on how many users there are
		}
		return plan
	}
}

// ceilingError says that the generator can't make the load on this host.
type ceilingError struct{ error }
