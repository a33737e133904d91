package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sweep/cmd/sweep/internal/draft"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
)

// listensWithin is how long a container that has just been started may take
// until it listens.
const listensWithin = 30 * time.Second

// look looks at a running service, and adds what it saw to the facts.
func look(ctx context.Context, w io.Writer, eng *engine.Engine, r engine.Running, f *draft.Facts) (err error) {
	owner, release, err := visitor("init")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the agent, which is this program: %w", err)
	}
	agent, err := eng.LoadAgent(ctx, owner, binary)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer func() { err = errors.Join(err, agent.Remove(context.WithoutCancel(ctx))) }()
	conn, err := agent.Attach(ctx, measure.Target{Container: r.ID})
	if err != nil {
		return err //nolint:wrapcheck // says beside which container
	}
	v := &visit{agent: load.NewLooker(conn), name: r.Name, told: w, facts: f}
	defer func() { err = errors.Join(err, v.agent.Close()) }()
	if err := v.look(ctx, r.Ports); err != nil {
		return err
	}
	footing, err := eng.Footing(ctx, r.ID) // now that it has answered, so that what it needs is loaded
	if err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	f.Running, f.Limits, f.Used = true, footing.Limits, footing.Used
	return nil
}

// visit is one look at a service. What it does is said to told.
type visit struct {
	agent *load.Looker
	name  string // of the container
	told  io.Writer
	facts *draft.Facts
}

// look finds where the service answers, how it says that it is ready, what it
// says that it takes, and whether it does. Of exposed it is known that the
// container exposes or publishes them.
func (v *visit) look(ctx context.Context, exposed []int) error {
	ports, err := v.ports(ctx, exposed)
	if err != nil {
		return err
	}
	if err := v.reach(ctx, ports); err != nil {
		return err
	}
	if err := v.readiness(ctx); err != nil {
		return err
	}
	if err := v.request(ctx); err != nil {
		return err
	}
	r := v.facts.Request
	fmt.Fprintf(v.told, "Sending once: %s %s %s\n", r.Method, r.Path, r.Body)
	answer, err := v.ask(ctx, load.Ask{Method: r.Method, Path: r.Path, Headers: r.Headers, Body: r.Body})
	if err != nil {
		return err
	}
	v.facts.Answer = answer
	fmt.Fprintf(v.told, "%s answers on port %d. Status %s.\n", v.name, v.facts.Port, status(answer))
	return nil
}

func status(a draft.Answer) string {
	if a.Status == 0 {
		return "none: " + a.Body
	}
	return strconv.Itoa(a.Status)
}

// ports returns where the service might answer: first where it listens and was
// meant to, then where else it listens. It waits until it listens at all.
func (v *visit) ports(ctx context.Context, exposed []int) ([]int, error) {
	deadline := time.Now().Add(listensWithin)
	for {
		listening, err := v.agent.Ports(ctx)
		if err != nil {
			return nil, err //nolint:wrapcheck // says what failed
		}
		if len(listening) > 0 {
			return meant(exposed, listening), nil
		}
		if time.Now().After(deadline) {
			return nil, usagef("nothing in container %s listens on a TCP port within %s; see `docker logs %[1]s`", v.name, listensWithin)
		}
		select {
		case <-time.After(looks):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// meant returns the ports on which somebody listens, the exposed ones first.
func meant(exposed, listening []int) []int {
	hidden := func(p int) bool { return !slices.Contains(exposed, p) }
	return append(slices.DeleteFunc(slices.Clone(listening), hidden), slices.DeleteFunc(slices.Clone(listening), func(p int) bool { return !hidden(p) })...)
}

// reach finds the first port that answers HTTP.
func (v *visit) reach(ctx context.Context, ports []int) error {
	var why []string
	for _, port := range ports {
		v.facts.Port = port
		for _, https := range []bool{false, true} {
			v.facts.HTTPS = https
			answer, err := v.ask(ctx, load.Ask{Method: "GET", Path: "/"})
			if err != nil {
				return err
			}
			if answer.Status != 0 && !wantsTLS(answer) {
				v.facts.Others = slices.DeleteFunc(slices.Clone(ports), func(p int) bool { return p == port })
				return nil
			}
			if !https {
				why = append(why, fmt.Sprintf("%d: %s", port, answer.Body))
			}
		}
	}
	return usagef("container %s listens on TCP, but doesn't answer HTTP there, and sweep loads services that do (port %s)", v.name, strings.Join(why, "; port "))
}

// wantsTLS reports whether a server has said that it was asked without TLS, as
// nginx, Apache and Go do.
func wantsTLS(a draft.Answer) bool {
	return a.Status == 400 && (strings.Contains(a.Body, "HTTPS") || strings.Contains(a.Body, "SSL"))
}

// readiness finds a path that answers well: what people call it, or else the
// first page.
func (v *visit) readiness(ctx context.Context) error {
	for _, path := range []string{"/health", "/healthz", "/ready", "/live", "/ping", "/"} {
		answer, err := v.ask(ctx, load.Ask{Method: "GET", Path: path})
		if err != nil {
			return err
		}
		if answer.OK() {
			v.facts.Ready = path
			return nil
		}
	}
	return nil
}

// request finds what to ask: what its OpenAPI document says, or else what it
// answers without.
func (v *visit) request(ctx context.Context) error {
	path := v.facts.Ready
	if path == "" {
		path = "/"
	}
	v.facts.Request = draft.Request{Method: "GET", Path: path}
	document, err := v.document(ctx)
	if err != nil || v.facts.Document == "" {
		return err
	}
	if best, err := draft.Best(document); err == nil {
		v.facts.Request = best
	} else {
		v.facts.Undecided = err.Error()
	}
	return nil
}

// document finds the service's OpenAPI document: where FastAPI and Spring show
// it, or where a page of Swagger UI says that it is.
func (v *visit) document(ctx context.Context) (string, error) {
	paths := []string{"/openapi.json", "/docs", "/v3/api-docs"}
	for i := 0; i < len(paths); i++ {
		answer, err := v.ask(ctx, load.Ask{Method: "GET", Path: paths[i]})
		if err != nil {
			return "", err
		}
		var api struct{ Paths map[string]json.RawMessage }
		if answer.OK() && json.Unmarshal([]byte(answer.Body), &api) == nil && api.Paths != nil {
			v.facts.Document = paths[i]
			return answer.Body, nil
		}
		if named := draft.DocumentIn(answer.Body); answer.OK() && named != "" && !slices.Contains(paths, named) {
			paths = append(paths, named)
		}
	}
	return "", nil
}

// ask asks the service where it is.
func (v *visit) ask(ctx context.Context, a load.Ask) (draft.Answer, error) {
	a.Address = net.JoinHostPort("127.0.0.1", strconv.Itoa(v.facts.Port))
	if a.Protocol = experiment.HTTP; v.facts.HTTPS {
		a.Protocol = experiment.HTTPS
	}
	answer, err := v.agent.Ask(ctx, a)
	if err != nil {
		return draft.Answer{}, err //nolint:wrapcheck // says what failed
	}
	if answer.Failed != "" {
		return draft.Answer{Body: answer.Failed}, nil
	}
	return draft.Answer{Status: answer.Status, Body: answer.Body}, nil
}
