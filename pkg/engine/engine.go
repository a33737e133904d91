// Package engine runs the service under test on a Docker Engine: a fresh
// container a trial, under limits that are read back, watched from before it
// starts until it is gone. It also puts the load generator's agent beside the
// service, and removes what runs have left behind.
//
// It measures and never judges: a service that dies is data, an engine that
// fails is an error. Nothing without sweep's own labels is ever touched.
package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

const (
	connectWithin = 5 * time.Second
	cleanupWithin = 20 * time.Second
)

// Engine is a connection to a Docker Engine that runs Linux containers. It is
// made by [Connect] and safe for concurrent use.
type Engine struct {
	docker *client.Client
	info   system.Info // as it was when we connected: the host's size, what it can limit
}

// Connect connects to the engine that DOCKER_HOST names, or to the default
// one, and speaks the newest API version that both know. Where no engine
// answers within 5 seconds, the error says what was tried and what to do.
func Connect(ctx context.Context) (*Engine, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("the environment doesn't name a Docker Engine: %w. Check DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_API_VERSION", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	info, err := hello(ctx, docker)
	if err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return &Engine{docker: docker, info: info}, nil
}

func hello(ctx context.Context, docker *client.Client) (system.Info, error) {
	ping, err := docker.Ping(ctx)
	if err != nil {
		return system.Info{}, fmt.Errorf("no Docker Engine answers at %s; "+
			"start Docker, or set DOCKER_HOST to the address of an engine (`docker context ls` shows those that are known): %w", docker.DaemonHost(), err)
	}
	if ping.OSType != "linux" {
		return system.Info{}, fmt.Errorf("the engine at %s runs %q containers; switch it to Linux containers", docker.DaemonHost(), ping.OSType)
	}
	docker.NegotiateAPIVersionPing(ping)
	info, err := docker.Info(ctx)
	if err != nil {
		return system.Info{}, fmt.Errorf("ask the engine at %s about its host: %w", docker.DaemonHost(), err)
	}
	return info, nil
}

// Close closes the connection. Containers stay as they are.
func (e *Engine) Close() error { return e.docker.Close() }

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
	return measure.Host{
		Engine:        version.Version,
		API:           version.APIVersion,
		OS:            info.OperatingSystem,
		Kernel:        info.KernelVersion,
		Architecture:  version.Arch, // as Go names it; info has the kernel's name
		CgroupVersion: info.CgroupVersion,
		CPUs:          info.NCPU,
		Memory:        experiment.Bytes(info.MemTotal),
		Warnings:      cannotLimit(info.Warnings),
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
func (e *Engine) create(ctx context.Context, name string, config *container.Config, host *container.HostConfig) (string, []string, error) {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	made, err := e.docker.ContainerCreate(ctx, config, host, nil, nil, name)
	if errdefs.IsConflict(err) {
		if err := e.removeLeftover(ctx, name, ownerOf(config.Labels)); err != nil {
			return "", nil, err
		}
		made, err = e.docker.ContainerCreate(ctx, config, host, nil, nil, name)
	}
	if err != nil {
		return "", nil, fmt.Errorf("create container %s: %w", name, err)
	}
	return made.ID, made.Warnings, nil
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
	err := e.docker.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
	for errdefs.IsConflict(err) { // the engine is removing it already, for AutoRemove
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove container %s: %w", id, err)
		case <-time.After(20 * time.Millisecond):
		}
		if _, gone := e.docker.ContainerInspect(ctx, id); errdefs.IsNotFound(gone) {
			return nil
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}
