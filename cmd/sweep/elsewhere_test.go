package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
)

// overNetwork starts a service on a network of its own, and returns what starts
// a relay there, with agents in containers named so, none of which is attached
// to.
func overNetwork(t *testing.T) (attach func(agents ...string) ([]io.ReadWriteCloser, error), network string) {
	t.Helper()
	sweep, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	network = "sweep-test-" + strings.ToLower(rand.Text())
	docker(t, "network", "create", network)
	t.Cleanup(func() { docker(t, "network", "rm", network) })
	began := []string{network + "-service"}
	docker(t, "run", "--detach", "--rm", "--network", network, "--name", began[0], "sweep/predictor:dev")
	t.Cleanup(func() {
		_ = exec.Command("docker", append([]string{"rm", "--force"}, began...)...).Run() // those that ended are gone
	})
	key := load.NewKey().String()
	agent := func(how, name string, args ...string) []string {
		began = append(began, name)
		return append([]string{
			"run", how, "--rm", "--network", network, "--name", name, "--env", keyVariable + "=" + key,
			"--volume", sweep + ":/sweep:ro", "--entrypoint", "/sweep", "sweep/predictor:dev", "agent",
		}, args...)
	}
	return func(agents ...string) ([]io.ReadWriteCloser, error) {
		relay := network + "-relay-" + agents[0]
		cmd := exec.CommandContext(t.Context(), "docker", agent("--interactive", relay, "--relay", ":7000")...)
		cmd.Stderr = os.Stderr
		in, inErr := cmd.StdinPipe()
		out, outErr := cmd.StdoutPipe()
		if err := errors.Join(inErr, outErr); err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		for _, name := range agents {
			docker(t, agent("--detach", network+"-"+name, "--join", relay+":7000")...)
		}
		return load.Gather(t.Context(), &process{Reader: out, Writer: in, end: func() error { return errors.Join(in.Close(), cmd.Wait()) }}, len(agents))
	}, network
}

// process is the standard streams of one.
type process struct {
	io.Reader
	io.Writer
	end func() error
}

func (p *process) Close() error { return p.end() }

func TestAgentsElsewhereLoadAServiceAndOneOfThemIsKilled(t *testing.T) {
	attach, network := overNetwork(t)
	e, err := experiment.Parse("small.yaml", []byte(experimentWith("RAMP=4s", "HOLD=2s")), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	play := func(agents []string, told func(tick int)) (s measure.Series, err error) {
		f := &load.Fleet{Plan: planner(e), Attach: func(context.Context, measure.Target) ([]io.ReadWriteCloser, error) { return attach(agents...) }}
		defer func() { err = errors.Join(err, f.Close()) }()
		target := measure.Target{Address: network + "-service:8000"}
		if err := f.Await(t.Context(), target); err != nil {
			return s, err
		}
		for tick, err := range f.Run(t.Context(), target) {
			if err != nil {
				return s, err
			}
			s.Add(tick)
			told(len(s.Windows))
		}
		return s, nil
	}
	s, err := play([]string{"a", "b", "c"}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if last := s.Last(); len(s.Windows) != 6 || last.Users != e.Users.Target || last.Done == 0 || last.Pending() != 0 || last.Failed() != 0 {
		t.Errorf("%d seconds, the last %+v", len(s.Windows), last)
	}
	s, err = play([]string{"d", "e"}, func(seconds int) {
		if seconds == 2 {
			docker(t, "kill", network+"-e")
		}
	})
	if !errors.Is(err, measure.ErrLost) || len(s.Windows) < 2 || len(s.Windows) > 4 {
		t.Errorf("with one of them killed after 2 s: %v after %d seconds", err, len(s.Windows))
	}
	for _, w := range s.Windows {
		if users, _ := e.Users.Ramp().Users(w.End()); w.Length > 0 && w.Users < users-2 || w.Failed() > 0 {
			t.Errorf("a second that was told has %d of %d users, errors %v", w.Users, users, w.Errors)
		}
	}
}
