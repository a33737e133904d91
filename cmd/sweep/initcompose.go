package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"sweep/cmd/sweep/internal/draft"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
)

// composeTarget is target for a service of a Compose file.
func composeTarget(ctx context.Context, eng *engine.Engine, o initOptions) (draft.Facts, *engine.Running, error) {
	project, err := readProject(ctx, o.compose)
	if err != nil {
		return draft.Facts{}, nil, err
	}
	service, err := composeService(project, o)
	if err != nil {
		return draft.Facts{}, nil, err
	}
	f := draft.Facts{
		Name:    draft.Name(service.Name),
		Compose: &experiment.Compose{File: o.compose, Service: service.Name},
		Limits:  composeLimits(service),
	}
	all, err := eng.Running(ctx)
	if err != nil {
		return f, nil, err //nolint:wrapcheck // says what failed
	}
	for _, r := range all {
		if r.Project == project.Name && r.Service == service.Name {
			return f, &r, nil
		}
	}
	f.Request = draft.Request{Method: "POST", Path: "/predict", Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"features": [1, 2, 3]}`}
	if ports := composePorts(service); len(ports) > 0 {
		f.Port, f.Others = ports[0], ports[1:]
	} else {
		f.Port = 8000
	}
	return f, nil, nil
}

// readProject reads a Compose file as Compose does, with all its profiles.
func readProject(ctx context.Context, file string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithOsEnv, cli.WithDotEnv, cli.WithProfiles([]string{"*"}), cli.WithResolvedPaths(true), cli.WithWorkingDirectory(filepath.Dir(file)))
	if err != nil {
		return nil, usagef("reading %s: %v", file, err)
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, usagef("reading %s: %v", file, err)
	}
	return project, nil
}

// composeService returns the service that is named, or the only one that could
// be meant: that there is, or that has a port.
func composeService(p *types.Project, o initOptions) (types.ServiceConfig, error) {
	names := slices.Sorted(maps.Keys(p.Services))
	if o.service != "" {
		if s, ok := p.Services[o.service]; ok {
			return s, nil
		}
		return types.ServiceConfig{}, usagef("%s has no service %s; it has %s", o.compose, o.service, strings.Join(names, ", "))
	}
	if open := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return len(composePorts(p.Services[n])) == 0 }); len(open) > 0 {
		names = open
	}
	if len(names) == 1 {
		return p.Services[names[0]], nil
	}
	return types.ServiceConfig{}, usagef("%s has several services; choose one: --service %s", o.compose, strings.Join(names, ", or --service "))
}

// composePorts returns the TCP ports that a service publishes or exposes, inside
// its container, ascending.
func composePorts(s types.ServiceConfig) []int {
	var ports []int
	for _, p := range s.Ports {
		if p.Protocol != "udp" {
			ports = append(ports, int(p.Target))
		}
	}
	for _, e := range s.Expose {
		number, protocol, _ := strings.Cut(e, "/")
		if n, err := strconv.Atoi(number); err == nil && protocol != "udp" {
			ports = append(ports, n)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// composeLimits returns the limits that a service has, in either of the words
// that Compose has for them.
func composeLimits(s types.ServiceConfig) experiment.Limits {
	cpus, memory := s.CPUS, s.MemLimit
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits := s.Deploy.Resources.Limits
		if limits.NanoCPUs != 0 {
			cpus = limits.NanoCPUs.Value()
		}
		if limits.MemoryBytes != 0 {
			memory = limits.MemoryBytes
		}
	}
	l := experiment.Limits{Memory: experiment.Bytes(memory)}
	if parsed, err := experiment.ParseCPUs(strconv.FormatFloat(float64(cpus), 'f', 2, 32)); err == nil {
		l.CPU = parsed
	}
	return l
}
