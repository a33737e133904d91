package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// What the probe is granted, what it takes, and how long it may need.
const (
	probeCPU    = 200_000_000 // a fifth of a core: it is stopped in every period
	probeMemory = 32 * experiment.MiB
	probeEats   = 3 * int(probeMemory) // more than is granted, and little enough for the host where nothing is enforced
	burnFor     = time.Second
	probeWithin = 15 * time.Second
)

// Examine looks at the engine and the machine below it: it asks the engine, and
// runs the agent as a probe, a service like any other, under limits that it
// exceeds. That takes about two seconds. Without an agent only the engine is
// asked. What can't be seen is left out; an error is an engine that fails.
func (e *Engine) Examine(ctx context.Context, agent *Agent) (measure.Examination, error) {
	x, err := e.facts(ctx)
	if err != nil || agent == nil {
		return x, err
	}
	if x.Trial, x.Pressure, err = agent.probe(ctx); err != nil {
		return x, err
	}
	x.AgentFiles, err = agent.allowed(ctx)
	return x, err
}

// facts returns what the engine itself tells, without running anything.
func (e *Engine) facts(ctx context.Context) (measure.Examination, error) {
	host, err := e.Host(ctx)
	if err != nil {
		return measure.Examination{}, err
	}
	info, clock, err := e.ask(ctx)
	if err != nil {
		return measure.Examination{}, fmt.Errorf("ask the engine about its host: %w", err)
	}
	return measure.Examination{
		At: clock.sent, Endpoint: e.Endpoint(), Host: host,
		Runtime: info.DefaultRuntime, CgroupDriver: info.CgroupDriver, SwapLimit: info.SwapLimit,
		ClockOffset: e.ahead, ClockWithin: clock.trip / 2, // the offset that trials are measured by
	}, nil
}

// probe runs the probe to its end. Pressure says whether the pressure of its
// container could be read from here.
func (a *Agent) probe(ctx context.Context) (p *measure.ProbeTrial, pressure bool, err error) {
	image, err := a.engine.Image(ctx, a.tag)
	if err != nil {
		return nil, false, err
	}
	limits := experiment.Limits{CPU: probeCPU, Memory: probeMemory}
	subject := a.engine.subject(image)
	subject.blueprint.Config.Cmd = []string{"--probe"}
	s := a.engine.Service(Spec{Owner: a.owner, Subject: subject, Experiment: "probe"})
	target, err := s.Start(ctx, experiment.Trial{Limits: limits, Replicate: 1})
	switch {
	case ctx.Err() != nil:
		return nil, false, err
	case err != nil: // limits that aren't enforced: what we are here to find out
		return &measure.ProbeTrial{Limits: limits, Refused: err.Error()}, false, nil
	}
	defer func() {
		_, stopErr := s.Stop(ctx)
		err = errors.Join(err, stopErr)
	}()
	counted, err := s.Usage(ctx)
	if err != nil {
		return nil, false, err
	}
	select {
	case <-target.Down:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-time.After(probeWithin): // it thrashes; which it did is in its exit
	}
	exit, err := s.Stop(ctx)
	if err != nil {
		return nil, false, err
	}
	return &measure.ProbeTrial{Limits: limits, Saw: told(exit.Log), Exit: exit}, counted.Stalls != nil, nil
}

// told finds what a probe saw in its output.
func told(log string) *measure.Probe {
	for line := range strings.Lines(log) {
		var saw measure.Probe
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &saw) == nil {
			return &saw
		}
	}
	return nil
}

// allowed returns how many files an agent may have open, nil where the engine
// gives it what it gives to all.
func (a *Agent) allowed(ctx context.Context) (*uint64, error) {
	conn, err := a.Attach(ctx, measure.Target{})
	if err != nil {
		return nil, err
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("end the agent: %w", err)
	}
	if a.files == 0 {
		return nil, nil
	}
	return new(uint64(a.files)), nil
}
