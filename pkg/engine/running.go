package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"sweep/pkg/experiment"
)

// Running is a container that runs, as one sees it from outside.
type Running struct {
	ID, Name         string
	Image            string
	Project, Service string // of Compose; empty where Compose didn't make it
	Ports            []int  // TCP ports inside the container that it exposes or publishes, ascending
}

// Footing is what a container stands on.
type Footing struct {
	Limits experiment.Limits // 0 where there is none
	Used   experiment.Bytes  // its memory now, without page cache that can be dropped
}

// Running returns the containers that run and aren't sweep's own, by name.
func (e *Engine) Running(ctx context.Context) ([]Running, error) {
	all, err := e.docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []Running
	for _, c := range all {
		if c.Labels[labelRun] != "" {
			continue
		}
		r := Running{
			ID: c.ID, Name: containerName(c), Image: c.Image,
			Project: c.Labels["com.docker.compose.project"], Service: c.Labels["com.docker.compose.service"],
		}
		for _, p := range c.Ports {
			if p.Type == "tcp" {
				r.Ports = append(r.Ports, int(p.PrivatePort))
			}
		}
		slices.Sort(r.Ports)
		r.Ports = slices.Compact(r.Ports) // published on IPv4 and IPv6
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Running) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// FindRunning returns a running container by name or id. Where there is none the
// error says which might have been meant.
func (e *Engine) FindRunning(ctx context.Context, name string) (Running, error) {
	c, err := e.docker.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return Running{}, e.missingContainer(ctx, name)
	}
	if err != nil {
		return Running{}, fmt.Errorf("look up container %s: %w", name, err)
	}
	all, err := e.Running(ctx)
	if err != nil {
		return Running{}, err
	}
	i := slices.IndexFunc(all, func(r Running) bool { return r.ID == c.ID })
	if i < 0 {
		return Running{}, fmt.Errorf("container %s isn't running, or is sweep's own; start it first", plainName(c))
	}
	return all[i], nil
}

// Footing returns the limits of a container and its use of memory.
func (e *Engine) Footing(ctx context.Context, id string) (Footing, error) {
	c, err := e.docker.ContainerInspect(ctx, id)
	if err != nil {
		return Footing{}, fmt.Errorf("look up container %s: %w", id, err)
	}
	record, err := e.stats(ctx, id)
	if err != nil {
		return Footing{}, err
	}
	return Footing{limitsOf(c.HostConfig.Resources), workingSet(record.MemoryStats)}, nil
}

// limitsOf returns the limits that r sets, 0 for none. CPUs are given as a
// number, or as a quota of each period.
func limitsOf(r container.Resources) experiment.Limits {
	const standardPeriod = 100_000 // microseconds, where only the quota is given
	l := experiment.Limits{CPU: experiment.CPUs(r.NanoCPUs), Memory: experiment.Bytes(r.Memory)}
	if l.CPU == 0 && r.CPUQuota > 0 {
		l.CPU = experiment.CPUs(r.CPUQuota * 1_000_000_000 / cmp.Or(r.CPUPeriod, standardPeriod))
	}
	return l
}
