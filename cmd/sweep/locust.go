package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/locust"
	"sweep/pkg/measure"
	"sweep/pkg/sweep"
)

// serveLocust is the agent as the master of Locust's workers.
func serveLocust(ctx context.Context, c console, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", address)
	if err != nil {
		return fmt.Errorf("waiting for Locust's workers: %w", err)
	}
	return locust.Serve(ctx, c.in, c.out, l, load.NewMeter()) //nolint:wrapcheck // says what failed
}

// locustfile is what the locustfile is called where it is run.
const locustfile = "locustfile.py"

// locustOf returns Locust as the generator, and what ends its workers.
func locustOf(ctx context.Context, e *experiment.Experiment, eng *engine.Engine, agent *engine.Agent, say func(string)) (sweep.Generator, func() error, error) {
	l := e.Generator.Locust
	ready := readiness(e, agent)
	if l.URL != "" {
		user, password, _ := strings.Cut(l.Auth.Resolved, ":")
		page := &locust.Page{
			URL: l.URL, User: user, Password: password, Client: http.DefaultClient,
			Ready: func(ctx context.Context, t measure.Target) error { return ready(ctx, t, 0) },
			Plan:  func(t measure.Target) locust.Plan { return locust.NewPlan(e.Of(t.Trial), t.Address, nil) },
		}
		return page, func() error { return nil }, nil
	}
	image, err := eng.Ensure(ctx, l.Image, say)
	if err != nil {
		if l.Image == experiment.LocustImage {
			err = fmt.Errorf("%w; `make locust` builds it, and generator.locust.image names another", err)
		}
		return nil, nil, err
	}
	worker := engine.Worker{Image: image, Files: map[string][]byte{locustfile: l.Content()}}
	classes, err := classesOf(ctx, e, agent, worker)
	if err != nil {
		return nil, nil, err
	}
	worker.Join = func(master string) []string {
		return []string{"-f", locustfile, "--worker", "--master-host", master, "--master-port", locust.Port}
	}
	listens := "127.0.0.1" // the workers' too
	if agent.Swarm != nil {
		listens = "0.0.0.0"
	}
	cluster := &locust.Cluster{
		Workers: l.Workers,
		Start: func(ctx context.Context, t measure.Target) (locust.Crew, error) {
			return agent.AttachCrew(ctx, t, []string{"--locust", net.JoinHostPort(listens, locust.Port)}, worker, l.Workers)
		},
		Ready: ready,
		Plan: func(t measure.Target) locust.Plan {
			return locust.NewPlan(e.Of(t.Trial), t.Address, classes)
		},
	}
	return cluster, cluster.Dismiss, nil
}

// readiness returns what waits until a start of the service is ready, as seen
// from where the load comes from, that has been starting for some time.
func readiness(e *experiment.Experiment, agent *engine.Agent) func(ctx context.Context, t measure.Target, since time.Duration) error {
	return func(ctx context.Context, t measure.Target, since time.Duration) error {
		plan := func(t measure.Target) load.Plan {
			plan := planner(e)(t)
			plan.Ready = plan.Ready.After(since)
			return plan
		}
		if e.Users.From == experiment.FromHost {
			return (&load.Local{Plan: plan}).Await(ctx, t) //nolint:wrapcheck // says what failed
		}
		looks := &load.Remote{Attach: agent.Attach, Plan: plan}
		return errors.Join(looks.Await(ctx, t), looks.Close())
	}
}

// classesOf asks Locust which classes of users the locustfile has, and what
// share of the target each is. It is here that a locustfile shows which can't
// be run.
func classesOf(ctx context.Context, e *experiment.Experiment, agent *engine.Agent, w engine.Worker) ([]locust.Class, error) {
	said, err := agent.Ask(ctx, w, []string{"-f", locustfile, "--show-task-ratio-json", "-u", strconv.Itoa(e.Users.Target)})
	if err != nil {
		return nil, fmt.Errorf("reading the locustfile %s: %w", e.Generator.Locust.File, err)
	}
	var ratios struct {
		Classes map[string]struct{ Ratio float64 } `json:"per_class"`
	}
	if at := strings.Index("\n"+said, "\n{"); at < 0 || json.NewDecoder(strings.NewReader(said[at:])).Decode(&ratios) != nil || len(ratios.Classes) == 0 {
		return nil, fmt.Errorf("reading the locustfile %s: Locust didn't say which users it has, but: %s", e.Generator.Locust.File, strings.TrimSpace(said))
	}
	var classes []locust.Class
	for name, c := range ratios.Classes {
		classes = append(classes, locust.Class{Name: name, Share: c.Ratio})
	}
	slices.SortFunc(classes, func(a, b locust.Class) int { return strings.Compare(a.Name, b.Name) })
	return classes, nil
}
