// Package engine runs the service under test on a Docker Engine: a fresh
// container a trial, under limits that are read back, watched from before it
// starts until it is gone. It also puts the load generator's agent beside the
// service, and removes what runs have left behind.
//
// It measures and never judges: a service that dies is data, an engine that
// fails is an error. Nothing without sweep's own labels is ever
// removed; of what runs, only the container that the user names is stopped.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

const cleanupWithin = 20 * time.Second

// podmanKeeps is what Podman keeps to itself behind Docker's API.
const podmanKeeps = "Podman doesn't tell of out-of-memory kills (SIGKILL counts as one; a kill that spares the first process isn't seen), of throttling and of page faults: causes are less certain"

// Engine is a connection to a Docker Engine that runs Linux containers. It is
// made by [Connect] and safe for concurrent use.
type Engine struct {
	docker   *client.Client
	endpoint endpoint
	info     system.Info   // as it was when we connected: the host's size, what it can limit
	podman   bool          // it is Podman behind Docker's API
	ahead    time.Duration // by how much the engine's clock was ahead of ours then
}

// Host describes the engine and the machine that it runs on.
func (e *Engine) Host(ctx context.Context) (measure.Host, error) {
	info, err := e.docker.Info(ctx)
	if err != nil {
		return measure.Host{}, fmt.Errorf("ask the engine about its host: %w", err)
	}
	version, err := e.docker.ServerVersion(ctx)
	if err != nil {
		return measure.Host{}, fmt.Errorf("ask the engine for its version: %w", err)
	}
	warnings := cannotLimit(info.Warnings)
	if e.podman {
		warnings = append(warnings, podmanKeeps)
	}
	return measure.Host{
		Engine:        version.Version,
		API:           version.APIVersion,
		OS:            info.OperatingSystem,
		Kernel:        info.KernelVersion,
		Architecture:  version.Arch, // as Go names it; info has the kernel's name
		CgroupVersion: info.CgroupVersion,
		CPUs:          info.NCPU,
		Memory:        experiment.Bytes(info.MemTotal),
		Warnings:      warnings,
	}, nil
}

// cannotLimit returns those of the engine's warnings that are about the limits
// that sweep sets; engines also warn of block devices, bridges and the like.
func cannotLimit(warnings []string) []string {
	var ours []string
	for _, w := range warnings {
		w = strings.TrimPrefix(w, "WARNING: ")
		switch lower := strings.ToLower(w); {
		case strings.Contains(lower, "kernel memory"):
		case strings.Contains(lower, "memory limit"), strings.Contains(lower, "swap limit"), strings.Contains(lower, "cpu cfs"):
			ours = append(ours, w)
		}
	}
	return ours
}

// check reports why the engine can't grant l.
func (e *Engine) check(l experiment.Limits) error {
	switch {
	case l.Memory < experiment.MinMemory:
		return fmt.Errorf("%s of memory is less than the engine accepts, %s", l.Memory, experiment.MinMemory)
	case l.Memory > experiment.Bytes(e.info.MemTotal):
		return fmt.Errorf("%s of memory is more than the engine's host has, %.0f MiB", l.Memory, experiment.Bytes(e.info.MemTotal).MiB())
	case l.CPU.Float() > float64(e.info.NCPU):
		return fmt.Errorf("%s CPUs is more than the engine's host has, %d", l.CPU, e.info.NCPU)
	}
	return nil
}

// shareNetwork reports whether containers are reached from this process's host by
// their addresses: not those of an engine elsewhere, in a virtual machine of its
// own, or without root.
func (e *Engine) shareNetwork() bool {
	rootless := slices.ContainsFunc(e.info.SecurityOptions, func(o string) bool { return strings.Contains(o, "rootless") })
	return e.endpoint.scheme() == "unix" && !rootless && !strings.Contains(e.info.OperatingSystem, "Docker Desktop")
}

// cpuset returns cores as the engine takes them: "0,1,3"; nothing: all.
func cpuset(cores []int) string {
	var numbers []string
	for _, n := range cores {
		numbers = append(numbers, strconv.Itoa(n))
	}
	return strings.Join(numbers, ",")
}

// cleanup returns a context for what has to be done even though ctx has ended:
// Ctrl-C must not leave containers behind.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanupWithin)
}

// create creates a container by name and returns its id and the engine's
// warnings. A container of that name that the same run has left is removed.
// It doesn't heed the end of ctx: the engine would make a container all the
// same, and nobody would know its id.
func (e *Engine) create(ctx context.Context, name string, b blueprint.Blueprint) (string, []string, error) {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	made, err := e.createIn(ctx, name, b)
	if nameTaken(err) {
		if err := e.removeLeftover(ctx, name, ownerOf(b.Config.Labels)); err != nil {
			return "", nil, err
		}
		made, err = e.createIn(ctx, name, b)
	}
	if err != nil {
		return "", nil, fmt.Errorf("create container %s: %w", name, err)
	}
	return made.ID, made.Warnings, nil
}

// nameTaken reports whether a container couldn't be created for its name. Podman
// calls that an internal error.
func nameTaken(err error) bool {
	return errdefs.IsConflict(err) || err != nil && strings.Contains(err.Error(), "already in use")
}

// createIn creates a container in all its networks. Engines before 25 take one
// of them at first, and the others one by one.
func (e *Engine) createIn(ctx context.Context, name string, b blueprint.Blueprint) (container.CreateResponse, error) {
	var first *network.NetworkingConfig
	if len(b.Networks) > 0 {
		n := b.Networks[0]
		first = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{n.Name: &n.Endpoint}}
	}
	made, err := e.docker.ContainerCreate(ctx, &b.Config, &b.Host, first, nil, name)
	if err != nil {
		return made, err //nolint:wrapcheck // create does
	}
	for i := 1; i < len(b.Networks); i++ {
		n := b.Networks[i]
		if err := e.docker.NetworkConnect(ctx, n.Name, made.ID, &n.Endpoint); err != nil {
			return made, errors.Join(fmt.Errorf("join network %s: %w", n.Name, err), e.remove(ctx, made.ID))
		}
	}
	return made, nil
}

func (e *Engine) removeLeftover(ctx context.Context, name string, owner Owner) error {
	old, err := e.docker.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil // it has gone meanwhile
	case err != nil:
		return fmt.Errorf("inspect container %s, which is in the way: %w", name, err)
	case ownerOf(old.Config.Labels) != owner:
		return fmt.Errorf("container %s exists and is not this run's; rename or remove it", name)
	}
	return e.remove(ctx, old.ID)
}

// remove kills and removes a container and its anonymous volumes, and returns
// once it is gone. A container that doesn't exist is no error.
func (e *Engine) remove(ctx context.Context, id string) error {
	for {
		err := e.docker.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		if ending(err) {
			select {
			case <-time.After(20 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("remove container %s: %w", id, err)
	}
}

// ending reports whether a container couldn't be removed since the engine is at
// it already, for AutoRemove, or since it ends just then, which Podman minds.
func ending(err error) bool {
	return errdefs.IsConflict(err) || strings.Contains(err.Error(), "container state improper")
}
