package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

const (
	usageWithin = 10 * time.Second // an engine that is silent for longer has failed
	killedCode  = 137              // the exit code of a process that was ended by SIGKILL

	logLines = 100
	logBytes = 64 << 10
)

// Spec says what the containers of a service are made from.
type Spec struct {
	Owner      Owner
	Subject    *Subject
	From       string                      // where the load comes from, as experiment.Users has it
	Port       int                         // that it listens on, inside its container
	Env        map[string]experiment.Value // resolved under each trial's limits, instead of those that the subject has
	Experiment string                      // the experiment's name, for a label
	Cores      []int                       // that it may run on; none: all
	Swarm      *Swarm                      // on whose network it is reached from other machines; nil: on none
}

// Service starts the service under test, a fresh container a trial. Trials
// follow one another; its methods are not for concurrent use.
type Service struct {
	engine *Engine
	spec   Spec

	// What follows is of the last start. id is "" where there is no container.
	id       string
	name     string
	watch    *watch
	meter    *meter
	warnings []string
	network  string // that it is found on from outside, and its address there; "" where it has none
	ip       string
	exit     measure.Exit // what is known so far
}

// Service returns a service that is made from spec. Nothing is started yet.
func (e *Engine) Service(spec Spec) *Service { return &Service{engine: e, spec: spec} }

// Warnings returns what the engine said that it doesn't limit of the last
// start.
func (s *Service) Warnings() []string { return slices.Clone(s.warnings) }

// Start starts a fresh container under the trial's limits and reads them back
// from the engine. The target's address is as seen from where the load comes
// from, which is never a published port.
//
// A service that dies at once is no error, not even where its memory is too
// small for the engine to start it: then the target is already down, and
// nothing can be attached to it. An error is: limits that the engine doesn't
// enforce, a command that can't be run, an engine that fails. After an error
// nothing is left to stop, though Stop does no harm.
func (s *Service) Start(ctx context.Context, t experiment.Trial) (measure.Target, error) {
	if s.id != "" {
		return measure.Target{}, fmt.Errorf("start a trial while container %s of the one before is not stopped", s.name)
	}
	*s = Service{engine: s.engine, spec: s.spec, name: safe(fmt.Sprintf("sweep-%s-%s", s.spec.Owner.Run, t.Slug()))}
	if err := s.start(ctx, t.Limits); err != nil {
		_, stopErr := s.Stop(ctx)
		return measure.Target{}, fmt.Errorf("start %s with %s: %w", s.spec.Subject.image(t.Limits).Ref, t.Limits, errors.Join(err, stopErr))
	}
	return s.target(), nil
}

func (s *Service) target() measure.Target {
	t := measure.Target{Container: s.id, Down: s.watch.down}
	host := "127.0.0.1"
	if s.spec.From == experiment.FromNetwork || s.spec.From == experiment.FromHost {
		host, t.Network = s.ip, s.network
	}
	t.Address = net.JoinHostPort(host, strconv.Itoa(s.spec.Port))
	return t
}

func (s *Service) start(ctx context.Context, l experiment.Limits) (err error) {
	if err := s.engine.check(l); err != nil {
		return err
	}
	made, err := s.spec.Subject.made(ctx, l)
	if err != nil {
		return err
	}
	s.id, s.warnings, err = s.engine.create(ctx, s.name, s.under(l, made))
	if err != nil {
		return err
	}
	if err := discarded(s.warnings); err != nil {
		return err
	}
	if s.watch, err = s.engine.watch(ctx, s.id); err != nil {
		return err
	}
	switch err := s.engine.docker.ContainerStart(ctx, s.id, container.StartOptions{}); {
	case err == nil:
		return s.readBack(ctx, l)
	case starved(err):
		s.exit = measure.Exit{Died: true, At: time.Now(), OOMKilled: true, Error: reason(err)}
		s.watch.died()
		return nil
	case ctx.Err() != nil:
		return err
	default:
		return fmt.Errorf("the engine refuses to run it: %s. Check its command, files, ports and addresses", reason(err))
	}
}

// under returns what the container of a trial is made from.
func (s *Service) under(l experiment.Limits, b blueprint.Blueprint) blueprint.Blueprint {
	labels := s.spec.Owner.labels(roleService)
	labels["sweep.experiment"] = s.spec.Experiment
	env := map[string]string{}
	maps.Copy(env, l.Environment()) // none that the spec sets, too
	for name, value := range s.spec.Env {
		env[name] = value.Under(l)
	}
	b = b.With(env, labels).Under(l)
	if len(s.spec.Cores) > 0 {
		b.Host.CpusetCpus = cpuset(s.spec.Cores)
	}
	if s.spec.Swarm != nil {
		b = b.Joining(s.spec.Swarm.network)
	}
	return b
}

// discarded returns an error where the engine's warnings at creation say that
// it drops a limit. All that we ask for are limits of CPU, memory and swap.
// Without swap accounting it says that memory is limited "without swap", which
// stays a warning: most such hosts have no swap.
func discarded(warnings []string) error {
	for _, w := range warnings {
		if strings.Contains(strings.ToLower(w), "discarded") {
			return fmt.Errorf("the engine does not enforce the limits: %s", w)
		}
	}
	return nil
}

// starved reports whether the engine couldn't start a container since not even
// its runtime's first process fits the memory limit. It is known by the words
// of runc alone: such a container has neither events nor an OOM flag.
func starved(err error) bool {
	for _, words := range []string{
		"unable to set memory limit to",             // what its start used is more than the limit
		"OOM-killed",                                // "container init was OOM-killed (memory limit too low?)"
		"cannot start a stopped process",            // killed between being created and being started
		"cannot start a container that has stopped", // the same, in runc's own words
		"memory limit too low",
	} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// reason returns what the runtime said of a container that it couldn't start,
// without the chain of components that passed it on.
func reason(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "unable to start container process: "); ok {
		text = after
	}
	return strings.TrimSuffix(text, ": unknown")
}

// readBack compares what the engine says that it enforces with l.
func (s *Service) readBack(ctx context.Context, l experiment.Limits) error {
	c, err := s.engine.docker.ContainerInspect(ctx, s.id)
	if err != nil {
		return fmt.Errorf("read back the limits: %w", err)
	}
	if err := enforced(l, c.HostConfig.Resources, s.engine.info.SwapLimit); err != nil {
		return err
	}
	if dead(c.State) {
		s.watch.died()
		return nil
	}
	if err := s.locate(c); err != nil {
		return err
	}
	record, err := s.engine.stats(ctx, s.id)
	switch {
	case errdefs.IsNotFound(err), errdefs.IsConflict(err), err == nil && record.Read.IsZero():
		return nil // it died meanwhile
	case err != nil && s.watch.tells(s.watch.down): // Podman has other errors for that, and is late to know
		return nil
	case err != nil:
		return fmt.Errorf("read back the limits: %w", err)
	}
	s.meter = s.engine.meter(ctx, s.id, counters(record))
	return enforcedMemory(l.Memory, record.MemoryStats.Limit)
}

// locate finds where the service is reached from outside.
func (s *Service) locate(c container.InspectResponse) error {
	if s.spec.Swarm != nil { // nobody elsewhere reaches another
		s.network = s.spec.Swarm.network
		ip, err := addressIn(c, s.network)
		s.ip = ip
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.NetworkSettings.Networks)) {
		if ip := c.NetworkSettings.Networks[name].IPAddress; ip != "" && (s.ip == "" || name == string(c.HostConfig.NetworkMode)) {
			s.network, s.ip = name, ip
		}
	}
	if s.spec.From == experiment.FromHost && !s.engine.shareNetwork() {
		return fmt.Errorf("the containers of the engine at %s can't be reached from this host, so the load can't come from it; write users.from: network", s.engine.Endpoint())
	}
	if s.ip == "" && s.spec.From != "" && s.spec.From != experiment.FromService {
		return fmt.Errorf("it has no address of its own in network mode %s, so the load can't come from outside; write users.from: service", c.HostConfig.NetworkMode)
	}
	return nil
}

// enforced compares l with how the engine has configured the container.
// Without swap accounting an engine can't but leave swap unlimited.
func enforced(l experiment.Limits, r container.Resources, swapLimit bool) error {
	switch want := (blueprint.Blueprint{}).Under(l).Host; {
	case r.NanoCPUs != want.NanoCPUs:
		return fmt.Errorf("the engine did not enforce %s CPUs: it says %s", l.CPU, experiment.CPUs(r.NanoCPUs))
	case r.Memory != want.Memory:
		return fmt.Errorf("the engine did not enforce %s of memory: it says %s", l.Memory, experiment.Bytes(r.Memory))
	case r.MemorySwap != want.MemorySwap && (swapLimit || r.MemorySwap != -1):
		return fmt.Errorf("the engine did not enforce that there is no swap: it says %d bytes of memory and swap together", r.MemorySwap)
	}
	return nil
}

// enforcedMemory compares a limit with that of the running container's cgroup.
// The kernel rounds down to whole pages, of up to 64 KiB.
func enforcedMemory(want experiment.Bytes, limit uint64) error {
	if got := experiment.Bytes(limit); got > want || got <= want-64*experiment.KiB {
		return fmt.Errorf("the engine did not enforce %s of memory: the container's limit is %s", want, got)
	}
	return nil
}

// Usage returns the service's counters as the engine last told them, which it
// does once a second. Of a service that has died they are the last that there
// were, with the kills seen since; that is no error.
func (s *Service) Usage(ctx context.Context) (measure.Counters, error) {
	if s.meter == nil { // it died before it could be read
		return measure.Counters{}, nil
	}
	last, ended := s.meter.read()
	last.OOMKills = s.watch.ooms.Load()
	if !ended || s.id == "" {
		return last, nil
	}
	// The engine tells no more: either the service has died or the engine has.
	ctx, cancel := context.WithTimeout(ctx, usageWithin)
	defer cancel()
	c, err := s.engine.docker.ContainerInspect(ctx, s.id)
	switch {
	case err != nil:
		return last, fmt.Errorf("read the usage of container %s: %w", s.name, err)
	case !dead(c.State):
		return last, fmt.Errorf("the engine stopped telling the usage of container %s, which lives", s.name)
	default:
		return last, nil
	}
}

// Stop ends the service, removes its container and returns how it had ended,
// or that it lived, with the last of its output. It does so even though ctx
// has ended, within 20 seconds. Calling it again returns the same.
func (s *Service) Stop(ctx context.Context) (measure.Exit, error) {
	if s.id == "" {
		return s.exit, nil
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()

	var err error
	if s.watch != nil { // else it was never started
		s.exit, err = s.examine(ctx)
		s.watch.close()
	}
	if s.meter != nil {
		s.meter.close()
	}
	if err := errors.Join(err, s.engine.remove(ctx, s.id)); err != nil {
		return s.exit, fmt.Errorf("stop the service: %w", err)
	}
	s.id = ""
	return s.exit, nil
}

// examine looks at the container before it is removed.
func (s *Service) examine(ctx context.Context) (measure.Exit, error) {
	exit := s.exit
	c, err := s.engine.docker.ContainerInspect(ctx, s.id)
	if err != nil {
		return exit, fmt.Errorf("see how container %s ended: %w", s.name, err)
	}
	switch {
	case exit.Died: // the engine couldn't start it
		exit.Code = c.State.ExitCode
	case dead(c.State):
		exit.Died, exit.Code = true, c.State.ExitCode
		exit.At, err = s.engine.ours(c.State.FinishedAt)
		exit.OOMKilled = s.outOfMemory(c.State)
	}
	if err != nil {
		return exit, fmt.Errorf("see how container %s ended: %w", s.name, err)
	}
	if s.meter != nil {
		last, _ := s.meter.read()
		exit.PeakMemory = last.Peak
	}
	exit.OOMKills = s.watch.ooms.Load()
	if exit.OOMKilled { // which, without an event, the engine's flag alone tells
		exit.OOMKills = max(exit.OOMKills, 1)
	}
	if exit.Log, err = s.engine.log(ctx, c); err != nil {
		exit.Log = err.Error() // no reason to lose a measurement
	}
	return exit, nil
}

// outOfMemory reports whether a container that has died was out of memory.
// Neither sign is enough: events come late or, at the very end, get lost, and
// some engines set the flag only now and then. The flag can't be of an earlier
// start, since the container is fresh. Podman has no such event, and not every
// version the flag; but from within nobody can kill a container's first
// process, and from outside only the kernel does.
func (s *Service) outOfMemory(state *container.State) bool {
	killed := state.ExitCode == killedCode
	if state.OOMKilled || killed && s.engine.podman {
		return true
	}
	return killed && s.watch.tells(s.watch.oom) || s.watch.ooms.Load() > 0
}

// log returns the last of a container's output, of both streams together.
func (e *Engine) log(ctx context.Context, c container.InspectResponse) (string, error) {
	return e.output(ctx, c, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(logLines)}, logBytes)
}

// output returns the last of a container's output, and no more than so many
// bytes.
func (e *Engine) output(ctx context.Context, c container.InspectResponse, what container.LogsOptions, bytes int) (string, error) {
	stream, err := e.docker.ContainerLogs(ctx, c.ID, what)
	if err != nil {
		return "", fmt.Errorf("read the last output of container %.12s: %w", c.ID, err)
	}
	defer stream.Close()
	last := tail{limit: bytes}
	if c.Config.Tty { // then there is one stream, as it is
		_, err = io.Copy(&last, stream)
	} else {
		_, err = stdcopy.StdCopy(&last, &last, stream)
	}
	if err != nil {
		return "", fmt.Errorf("read the last output of container %.12s: %w", c.ID, err)
	}
	return last.String(), nil
}
