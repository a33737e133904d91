package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/measure"
)

const (
	// answerWithin is how long a program may take that is asked something.
	answerWithin = time.Minute
	answerBytes  = 1 << 20
	workerLines  = "20" // of each, where a crew can't be had
	watchEvery   = time.Second
	mostAttempts = 3 // at a crew
	// crewFiles is where a worker's files are, in its container.
	crewFiles = "/mnt/sweep"
)

// Worker is a program that makes load, as an agent tells it: containers beside
// that agent, or tasks on other nodes of a [Swarm].
type Worker struct {
	Image Image
	Join  func(agent string) []string // the command, for the image's entrypoint, with which it comes to the agent at an address, without a port
	Env   map[string]string           // of it and of its agent
	Files map[string][]byte           // by their names in the folder that it works in
}

// Ask runs a worker's image once, with a command, alone and without a network,
// and returns what it wrote to its output. The error has that too, where it
// didn't end well.
func (a *Agent) Ask(ctx context.Context, w Worker, command []string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	id, err := a.hire(ctx, a.owner.name("worker-asked"), w, command, "none", "")
	if err != nil {
		return "", err
	}
	defer func() {
		ctx, cancel := cleanup(ctx)
		defer cancel()
		err = errors.Join(err, a.engine.remove(ctx, id))
	}()
	exited, failed := a.engine.docker.ContainerWait(ctx, id, container.WaitConditionNextExit)
	if err := a.engine.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return "", fmt.Errorf("run %s: %s", w.Image.Ref, reason(err))
	}
	var exit container.WaitResponse
	select {
	case exit = <-exited:
	case err := <-failed:
		return "", fmt.Errorf("wait for %s: %w", w.Image.Ref, err)
	}
	streams := container.LogsOptions{ShowStdout: true, ShowStderr: exit.StatusCode != 0, Tail: "all"}
	if said, err = a.engine.lastOf(ctx, id, streams, answerBytes); err != nil {
		return "", err
	}
	if exit.StatusCode != 0 {
		return "", fmt.Errorf("%s %s ended with exit code %d: %s", w.Image.Ref, strings.Join(command, " "), exit.StatusCode, strings.TrimSpace(said))
	}
	return said, nil
}

// Crew is an agent and its workers. It reads and writes the agent's streams.
type Crew struct {
	*connection
	workers workers
	closing sync.Once
	closed  error
}

// workers are what makes a crew's load.
type workers interface {
	// ended returns why one of them doesn't run any more, nil while all do.
	ended(ctx context.Context) error
	// said returns the last that they wrote, of all of them together.
	said(ctx context.Context) string
	// dismiss ends and removes them.
	dismiss(ctx context.Context) error
}

// AttachCrew starts an agent with a command of its own where a target's load
// comes from, as Attach does, and n workers: in its network namespace, or, where
// the agent has a Swarm, as tasks there. They outlive ctx, and the target. Those
// beside the agent end with it.
func (a *Agent) AttachCrew(ctx context.Context, t measure.Target, command []string, w Worker, n int) (*Crew, error) {
	for attempt := 1; ; attempt++ {
		c, err := a.attachCrew(ctx, t, command, w, n)
		switch {
		case err == nil, ctx.Err() != nil, attempt == mostAttempts:
			return c, err
		case errors.Is(err, errNodeLost):
			// Workers on other nodes may have come to the agent before they were
			// told to go, so that it has gone, too.
		case a.Swarm != nil && a.files > 0 && tooManyFiles(err):
			a.files = 0 // nodes aren't allowed what this engine is
		default:
			return c, err
		}
	}
}

func (a *Agent) attachCrew(ctx context.Context, t measure.Target, command []string, w Worker, n int) (_ *Crew, err error) {
	master := *a
	master.command, master.env, master.called = command, w.Env, "master"
	if a.Swarm != nil {
		t.Network = a.Swarm.network
	}
	conn, err := master.Attach(ctx, t)
	if err != nil {
		return nil, err
	}
	a.files = master.files                                                        // what the engine allows
	c := &Crew{connection: conn.(*connection), workers: &hired{engine: a.engine}} //nolint:forcetypeassert // Attach returns no other
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if a.Swarm == nil {
		c.workers, err = a.hireAll(ctx, w, c.id, n)
		return c, err
	}
	running, err := a.engine.docker.ContainerInspect(ctx, c.id)
	if err != nil {
		return nil, fmt.Errorf("find the agent's address: %w", err)
	}
	address, err := addressIn(running, a.Swarm.network)
	if err != nil {
		return nil, err
	}
	c.workers, err = a.Swarm.place(ctx, w, w.Join(address), a.files, n)
	return c, err
}

// Close ends the agent and its workers, and returns once their containers are
// gone; those on other nodes are told to go.
func (c *Crew) Close() error {
	c.closing.Do(func() {
		ctx, cancel := cleanup(context.Background()) //nolint:forbidigo // io.Closer takes none
		defer cancel()
		c.closed = errors.Join(c.workers.dismiss(ctx), c.connection.Close())
	})
	return c.closed
}

// Watch returns why a worker doesn't run any more, as soon as one doesn't, or nil
// at the end of ctx.
func (c *Crew) Watch(ctx context.Context) error {
	for {
		if err := c.workers.ended(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// Said returns the last that the workers wrote, of all of them together.
func (c *Crew) Said(ctx context.Context) string { return c.workers.said(ctx) }

// hired are workers beside their agent.
type hired struct {
	engine *Engine
	ids    []string // of their containers
}

// loopback is where workers beside their agent find it.
const loopback = "127.0.0.1"

// hireAll starts n workers in the namespaces of an agent's container: of its
// network, and of its processes, so that none of them outlives it. What it
// returns with an error is what had been started.
func (a *Agent) hireAll(ctx context.Context, w Worker, agent string, n int) (*hired, error) {
	h := &hired{engine: a.engine}
	for i := range n {
		id, err := a.hire(ctx, a.owner.name(fmt.Sprintf("worker-%d", i+1)), w, w.Join(loopback), "container:"+agent, "container:"+agent)
		if err != nil {
			return h, err
		}
		h.ids = append(h.ids, id)
		if err := a.engine.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
			return h, fmt.Errorf("start a worker of %s: %s", w.Image.Ref, reason(err))
		}
	}
	return h, nil
}

func (h *hired) ended(ctx context.Context) error {
	for i, id := range h.ids {
		c, err := h.engine.docker.ContainerInspect(ctx, id)
		switch {
		case err != nil:
			return fmt.Errorf("look at worker %d: %w", i+1, err)
		case dead(c.State):
			return fmt.Errorf("worker %d ended with exit code %d", i+1, c.State.ExitCode)
		}
	}
	return nil
}

func (h *hired) dismiss(ctx context.Context) (err error) {
	for _, id := range h.ids {
		err = errors.Join(err, h.engine.remove(ctx, id))
	}
	return err
}

func (h *hired) said(ctx context.Context) string {
	var all strings.Builder
	for _, id := range h.ids {
		said, err := h.engine.lastOf(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: workerLines}, logBytes)
		if err != nil {
			said = err.Error()
		}
		all.WriteString(said)
	}
	return all.String()
}

// lastOf returns the last output of a container, and no more than so many bytes.
func (e *Engine) lastOf(ctx context.Context, id string, what container.LogsOptions, bytes int) (string, error) {
	c, err := e.docker.ContainerInspect(ctx, id)
	if err != nil {
		return "", fmt.Errorf("read the last output of container %.12s: %w", id, err)
	}
	return e.output(ctx, c, what, bytes)
}

// hire makes a worker's container, with its files.
func (a *Agent) hire(ctx context.Context, name string, w Worker, command []string, network, processes string) (id string, err error) {
	b := blueprint.FromImage(w.Image.ID).With(w.Env, a.owner.labels(roleAgent))
	b.Config.Cmd, b.Config.WorkingDir = command, crewFiles
	b.Host.NetworkMode, b.Host.PidMode = container.NetworkMode(network), container.PidMode(processes)
	b.Host.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "2m"}}
	b.Host.CapDrop = []string{"ALL"}
	b.Host.SecurityOpt = []string{"no-new-privileges"}
	b.Host.CpusetCpus = cpuset(a.Cores)
	if a.files > 0 {
		b.Host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: a.files, Hard: a.files}}
	}
	if id, _, err = a.engine.create(ctx, name, b); err != nil {
		return "", err
	}
	files, err := packed(w.Files)
	if err == nil {
		err = a.engine.docker.CopyToContainer(ctx, id, "/", files, container.CopyToContainerOptions{})
	}
	if err != nil {
		ctx, cancel := cleanup(ctx)
		defer cancel()
		return "", errors.Join(fmt.Errorf("copy files to container %s: %w", name, err), a.engine.remove(ctx, id))
	}
	return id, nil
}

// packed returns files as an archive of the root, which anybody may read.
func packed(files map[string][]byte) (*bytes.Buffer, error) {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	folder := header(crewFiles[1:]+"/", 0o755, 0)
	folder.Typeflag = tar.TypeDir
	err := t.WriteHeader(folder)
	for name, content := range files {
		err = errors.Join(err, t.WriteHeader(header(path.Join(crewFiles[1:], name), 0o644, len(content))))
		_, writeErr := t.Write(content)
		err = errors.Join(err, writeErr)
	}
	return &b, errors.Join(err, t.Close())
}
