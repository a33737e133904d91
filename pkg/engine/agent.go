package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/measure"
)

const (
	// agentFiles is how many files and sockets an agent may have open. Engines
	// grant as few as 1024 otherwise, and every user is a socket.
	agentFiles  = 1 << 20
	stderrBytes = 4 << 10
	loadWithin  = time.Minute // some 20 MB over the engine's socket, or a slow network
)

// Agent is sweep itself as an image on the engine, to be run beside a service.
// Its methods are not for concurrent use.
type Agent struct {
	Cores []int  // that those attached from now on may run on; none: all
	Swarm *Swarm // where the workers of crews are; nil: beside their agent

	engine  *Engine
	owner   Owner
	tag     string
	command []string // what it is told besides; nothing: to play users itself
	env     map[string]string
	called  string // apart from other agents of the run
	files   int64  // the limit to ask for; 0 is the engine's default
}

// LoadAgent makes an image of the program at binary, commonly this very
// executable, whose containers run "sweep agent". It needs no registry. The
// program has to be static, and built for the engine's architecture.
func (e *Engine) LoadAgent(ctx context.Context, owner Owner, binary string) (*Agent, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the agent's program: %w", err)
	}
	version, err := e.docker.ServerVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for its architecture: %w", err)
	}
	if err := runsAlone(program, version.Arch); err != nil {
		return nil, fmt.Errorf("%s can't run as an agent: %w; build it with `make build`, or with CGO_ENABLED=0 GOOS=linux GOARCH=%s", binary, err, version.Arch)
	}
	agent := &Agent{engine: e, owner: owner, tag: owner.tag(), files: agentFiles}
	// Once the engine has read it, it makes the image though nobody waits any
	// more; so it is waited for, and then removed.
	loading, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadWithin)
	defer cancel()
	err = e.load(loading, archive{
		tag:        agent.tag,
		arch:       version.Arch,
		labels:     owner.labels(roleAgent),
		entrypoint: []string{"/sweep", "agent"},
		program:    program,
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, errors.Join(err, agent.Remove(ctx))
	}
	return agent, nil
}

// Remove removes the agent's image. Its connections must be closed before.
func (a *Agent) Remove(ctx context.Context) error {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	_, err := a.engine.docker.ImageRemove(ctx, a.tag, image.RemoveOptions{PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove image %s: %w", a.tag, err)
	}
	return nil
}

// Attach starts an agent where a target's load comes from: in the network
// namespace of its container, or on a network of its, or, where there is neither,
// in a namespace of its own, with loopback alone. What is written to the
// connection is the agent's standard input, what is read its standard output. Reading ends with io.EOF where the
// agent ended well, else with an error that has its exit code and the last
// 4 KiB of its standard error. Closing the connection ends the agent and
// removes its container, which also happens should this process be killed.
//
// The agent outlives ctx. A service that has died can't be attached to; its
// target's Down tells that from an engine that fails.
func (a *Agent) Attach(ctx context.Context, t measure.Target) (io.ReadWriteCloser, error) {
	c, err := a.attach(ctx, t)
	if err != nil && a.files > 0 && tooManyFiles(err) {
		// The engine itself isn't allowed as many. Its default then is the
		// best there is: Go programs raise their soft limit to the hard one.
		a.files = 0
		c, err = a.attach(ctx, t)
	}
	if err != nil {
		return nil, fmt.Errorf("run an agent beside container %.12s: %w", cmp.Or(t.Container, "none"), err)
	}
	return c, nil
}

// tooManyFiles reports whether an agent may have failed since the engine isn't
// allowed the files that were asked for. Podman makes a container ready when it
// is attached to, and the client then keeps the reason to itself.
func tooManyFiles(err error) bool {
	return strings.Contains(err.Error(), "rlimit") || strings.Contains(err.Error(), "unable to upgrade to tcp, received 409")
}

func (a *Agent) attach(ctx context.Context, t measure.Target) (_ *connection, err error) {
	name := a.owner.name(fmt.Sprintf("%s-%.12s", cmp.Or(a.called, "agent"), cmp.Or(t.Container, "alone")))
	id, _, err := a.engine.create(ctx, name, a.blueprint(t))
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &connection{engine: a.engine, id: id, cancel: cancel, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.abandon(ctx))
		}
	}()

	// Attached before it starts, so that nothing it says is missed; waited for
	// before it starts, since the container removes itself.
	c.hijacked, err = a.engine.docker.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach to container %s: %w", name, err)
	}
	exited, failed := a.engine.docker.ContainerWait(waiting, id, container.WaitConditionNextExit)
	if err := a.engine.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		cancel()
		select { // one of them comes, and ends the client's goroutine
		case <-exited:
		case <-failed: //nolint:errcheck // the start has failed; how the wait ends is of no interest
		}
		return nil, fmt.Errorf("start container %s: %s", name, reason(err))
	}
	var out *io.PipeWriter
	c.out, out = io.Pipe()
	go c.receive(out, exited, failed)
	return c, nil
}

func (a *Agent) blueprint(t measure.Target) blueprint.Blueprint {
	b := blueprint.FromImage(a.tag).With(a.env, a.owner.labels(roleAgent))
	b.Config.Cmd = a.command
	// StdinOnce: the end of this process is the end of the agent's input, and
	// so of the agent.
	b.Config.OpenStdin, b.Config.StdinOnce = true, true
	b.Config.AttachStdin, b.Config.AttachStdout, b.Config.AttachStderr = true, true, true
	switch {
	case t.Network == "" && t.Container == "":
		b.Host.NetworkMode = "none"
	case t.Network == "":
		b.Host.NetworkMode = container.NetworkMode("container:" + t.Container)
	default:
		b.Host.NetworkMode = container.NetworkMode(t.Network)
		// A connection to one address takes a port, and there are more users
		// than the 28,232 ports of the default.
		b.Host.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "1024 65535"}
	}
	b.Host.AutoRemove = true
	b.Host.LogConfig = container.LogConfig{Type: "none"} // what it says is read, not kept
	b.Host.CapDrop = []string{"ALL"}
	b.Host.SecurityOpt = []string{"no-new-privileges"}
	b.Host.ReadonlyRootfs = true
	b.Host.CpusetCpus = cpuset(a.Cores)
	if a.files > 0 {
		b.Host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: a.files, Hard: a.files}}
	}
	return b
}

// A connection is the standard streams of an agent.
type connection struct {
	engine   *Engine
	id       string
	hijacked types.HijackedResponse
	out      *io.PipeReader
	cancel   context.CancelFunc // of the wait for the agent's exit
	ended    chan struct{}      // closed once receive has ended
}

// Write writes to the agent's standard input.
func (c *connection) Write(p []byte) (int, error) { return c.hijacked.Conn.Write(p) }

// Read reads from the agent's standard output.
func (c *connection) Read(p []byte) (int, error) { return c.out.Read(p) }

// Close ends the agent, and returns once its container is gone.
func (c *connection) Close() error {
	_ = c.out.Close()                      // else receive might wait for a reader
	err := c.abandon(context.Background()) //nolint:forbidigo // io.Closer takes none; abandon has its own deadline
	<-c.ended
	return err
}

// abandon lets go of the engine's side: stream, container, wait.
func (c *connection) abandon(ctx context.Context) error {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	if c.hijacked.Conn != nil {
		c.hijacked.Close()
	}
	err := c.engine.remove(ctx, c.id)
	c.cancel()
	return err
}

// receive takes the agent's output and error apart until both end, and then
// tells the reader how the agent ended.
func (c *connection) receive(out *io.PipeWriter, exited <-chan container.WaitResponse, failed <-chan error) {
	defer close(c.ended)
	stderr := tail{limit: stderrBytes}
	_, broken := stdcopy.StdCopy(out, &stderr, c.hijacked.Reader)
	select {
	case exit := <-exited:
		out.CloseWithError(ended(exit.StatusCode, stderr.String()))
	case err := <-failed:
		out.CloseWithError(fmt.Errorf("lost the agent: %w", errors.Join(broken, err)))
	}
}

// ended returns what reading ends with.
func ended(code int64, stderr string) error {
	if code == 0 {
		return io.EOF
	}
	return fmt.Errorf("the agent ended with exit code %d%s", code, after(": ", stderr))
}
