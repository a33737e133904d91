package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

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
	case agent.Swarm != nil:
		return fleetOf(e, agent), dismiss, nil
	case e.Users.From == experiment.FromHost:
		return &load.Local{Plan: planner(e)}, dismiss, nil
	default:
		return &load.Remote{Attach: agent.Attach, Plan: planner(e)}, dismiss, nil
	}
}

const (
	relayPort    = "7077"
	gatherWithin = 2 * time.Minute // from when all agents run: nodes that have just joined their Swarm find one another within half a minute
)

// swarmOf returns the machines that make the load, nil where it is this one.
func swarmOf(ctx context.Context, e *experiment.Experiment, eng *engine.Engine, owner engine.Owner, subject *engine.Subject) (*engine.Swarm, error) {
	if e.Placement.Swarm == nil {
		return nil, nil
	}
	return eng.Swarm(ctx, owner, subject, e.Placement.Swarm.Constraint) //nolint:wrapcheck // says what to do
}

// fleetOf returns agents on other machines as the generator. Each fresh start of
// the service has its own.
func fleetOf(e *experiment.Experiment, agent *engine.Agent) *load.Fleet {
	return &load.Fleet{
		Plan: planner(e),
		Witness: func(ctx context.Context, t measure.Target) (io.ReadWriteCloser, error) {
			return agent.Attach(ctx, measure.Target{Container: t.Container}) //nolint:wrapcheck // the fleet does
		},
		Attach: func(ctx context.Context, t measure.Target) ([]io.ReadWriteCloser, error) {
			return attachFleet(ctx, e.Placement.Swarm, agent, t)
		},
	}
}

// attachFleet starts a relay on the target's engine, and the agents, who come to
// it. The key that they share is of this start alone.
func attachFleet(ctx context.Context, s *experiment.Swarm, agent *engine.Agent, t measure.Target) ([]io.ReadWriteCloser, error) {
	crew, err := agent.AttachCrew(ctx, t, []string{"--relay", ":" + relayPort}, engine.Worker{
		Image: engine.Image{Ref: s.Image},
		Env:   map[string]string{keyVariable: load.NewKey().String()},
		Join: func(relay string) []string {
			return []string{"agent", "--join", net.JoinHostPort(relay, relayPort)}
		},
	}, s.Agents)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what to do
	}
	coming, cancel := context.WithTimeoutCause(ctx, gatherWithin, fmt.Errorf("%w: not all within %s", measure.ErrLost, gatherWithin))
	defer cancel()
	coming, giveUp := context.WithCancelCause(coming)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer giveUp(nil)
	watching.Go(func() { giveUp(crew.Watch(coming)) })
	streams, err := load.Gather(coming, crew, s.Agents)
	if err != nil {
		said := strings.TrimSpace(crew.Said(context.WithoutCancel(ctx)))
		return nil, errors.Join(fmt.Errorf("%w; they said: %s", err, cmp.Or(said, "nothing")), crew.Close())
	}
	return streams, nil
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
