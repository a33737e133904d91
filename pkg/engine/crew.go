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
	// crewFiles is where a worker's files are, in its container.
	crewFiles = "/mnt/sweep"
)

// Worker is a program of somebody else's that makes load, as containers beside
// an agent which drives them.
type Worker struct {
	Image   Image
	Command []string          // for the image's entrypoint
	Files   map[string][]byte // by their names in the folder that it works in
}

// Ask runs a worker once, alone and without a network, and returns what it wrote
// to its output. The error has that too, where it didn't end well.
func (a *Agent) Ask(ctx context.Context, w Worker) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	id, err := a.hire(ctx, a.owner.name("worker-asked"), w, "none")
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
	if said, err = a.engine.lastOf(ctx, id, "all", answerBytes); err != nil {
		return "", err
	}
	if exit.StatusCode != 0 {
		return "", fmt.Errorf("%s %s ended with exit code %d: %s", w.Image.Ref, strings.Join(w.Command, " "), exit.StatusCode, strings.TrimSpace(said))
	}
	return said, nil
}

// Crew is an agent and its workers. It reads and writes the agent's streams.
type Crew struct {
	*connection
	workers []string // their containers
	closing sync.Once
	closed  error
}

// AttachCrew starts an agent with a command of its own where a target's load
// comes from, as Attach does, and n workers in its network namespace. They
// outlive ctx, and the target.
func (a *Agent) AttachCrew(ctx context.Context, t measure.Target, command []string, w Worker, n int) (_ *Crew, err error) {
	master := *a
	master.command, master.called = command, "master"
	conn, err := master.Attach(ctx, t)
	if err != nil {
		return nil, err
	}
	c := &Crew{connection: conn.(*connection)} //nolint:forcetypeassert // Attach returns no other
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for i := range n {
		id, err := a.hire(ctx, a.owner.name(fmt.Sprintf("worker-%d", i+1)), w, "container:"+c.id)
		if err != nil {
			return nil, err
		}
		c.workers = append(c.workers, id)
		if err := a.engine.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
			return nil, fmt.Errorf("start a worker of %s: %s", w.Image.Ref, reason(err))
		}
	}
	return c, nil
}

// Close ends the agent and its workers, and returns once their containers are
// gone.
func (c *Crew) Close() error {
	c.closing.Do(func() {
		ctx, cancel := cleanup(context.Background()) //nolint:forbidigo // io.Closer takes none
		defer cancel()
		for _, id := range c.workers {
			c.closed = errors.Join(c.closed, c.engine.remove(ctx, id))
		}
		c.closed = errors.Join(c.closed, c.connection.Close())
	})
	return c.closed
}

// Said returns the last that the workers wrote, of all of them together.
func (c *Crew) Said(ctx context.Context) string {
	var all strings.Builder
	for _, id := range c.workers {
		said, err := c.engine.lastOf(ctx, id, workerLines, logBytes)
		if err != nil {
			said = err.Error()
		}
		all.WriteString(said)
	}
	return all.String()
}

// lastOf returns the last output of a container, so many lines or "all", and no
// more than so many bytes.
func (e *Engine) lastOf(ctx context.Context, id, lines string, bytes int) (string, error) {
	c, err := e.docker.ContainerInspect(ctx, id)
	if err != nil {
		return "", fmt.Errorf("read the last output of container %.12s: %w", id, err)
	}
	return e.output(ctx, c, lines, bytes)
}

// hire makes a worker's container, with its files.
func (a *Agent) hire(ctx context.Context, name string, w Worker, network string) (id string, err error) {
	b := blueprint.FromImage(w.Image.ID).With(nil, a.owner.labels(roleAgent))
	b.Config.Cmd, b.Config.WorkingDir = w.Command, crewFiles
	b.Host.NetworkMode = container.NetworkMode(network)
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
