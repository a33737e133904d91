// Package compose says what a service of a Compose project and what it depends
// on are made from: as blueprints of containers, networks and volumes, in the
// order in which they start.
//
// It finds, reads and merges files as docker compose does, by compose-go, and is
// otherwise pure; package engine asks the engine. What it can't honour it
// refuses by name.
package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/experiment"
)

// Options say which project, as the options of docker compose do.
type Options struct {
	Files      []string // one or more that are merged (-f); or a folder, in which they are looked for
	WorkingDir string   // to which Files are relative; that of the first file is the project's
	Profiles   []string // none: those of COMPOSE_PROFILES
	Name       string   // "": that of COMPOSE_PROJECT_NAME, of the files or of their folder
	Service    string   // under test
	Env        []string // for interpolation, as [os.Environ] returns it
}

// File is what the files of a project say, before it is held against what can
// be honoured.
type File struct {
	Name string // the project's

	service string
	project *types.Project
	notes   []string
}

// Project is a service under test and what has to be there before it.
type Project struct {
	Name         string
	Service      Service
	Dependencies []Service // in the order in which they start
	Networks     []Network
	Volumes      []Volume
	Notes        []string // what the user should know

	refused map[string][]string // keys that can't be honoured, by service; "" for the rest of the file
}

// Service is a service of a project.
type Service struct {
	Name      string
	Image     string // where it has only a build: as docker compose names what it builds
	Build     *Build
	After     []After
	Blueprint blueprint.Blueprint // without the image; networks and volumes by the names that docker compose gives them
}

// After says for what a service waits before it starts.
type After struct {
	Service   string
	Condition Condition
	Required  bool // else a failure of it is no reason to give up
}

// Condition is what a dependency has to have come to.
type Condition string

// The conditions of Compose files.
const (
	Started   Condition = types.ServiceConditionStarted
	Healthy   Condition = types.ServiceConditionHealthy
	Completed Condition = types.ServiceConditionCompletedSuccessfully
)

// Build says how to make a service's image.
type Build struct {
	Context    string // a folder, absolute; or an address
	Dockerfile string // relative to Context, or absolute
	Args       map[string]string
	Target     string
	Refused    []string // what of it can't be honoured, which matters only where it has to be built
}

// Network is a network that services of the project join.
type Network struct {
	Key      string // in the file
	Name     string // as docker compose names it on the engine
	External bool   // docker compose would not make it
	Options  network.CreateOptions
}

// Volume is a volume that services of the project mount.
type Volume struct {
	Key      string // likewise
	Name     string
	External bool
	Options  volume.CreateOptions
}

// Read reads the files of a project. The error is theirs, or that they have no
// such service.
func Read(ctx context.Context, o Options) (*File, error) {
	notes, end := listen()
	defer end()
	p, err := read(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", strings.Join(o.Files, ", "), err)
	}
	return &File{Name: p.Name, service: o.Service, project: p, notes: notes()}, nil
}

func read(ctx context.Context, o Options) (*types.Project, error) {
	p, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	all := slices.Sorted(maps.Keys(p.AllServices()))
	if !slices.Contains(all, o.Service) {
		hint := ""
		if near := experiment.Nearest(o.Service, all); near != "" {
			hint = "; did you mean " + near + "?"
		}
		return nil, fmt.Errorf("it has no service %q, only %s%s", o.Service, strings.Join(all, ", "), hint)
	}
	if p, err = p.WithServicesEnabled(o.Service); err != nil {
		return nil, fmt.Errorf("enable service %s: %w", o.Service, err)
	}
	if p, err = p.WithSelectedServices([]string{o.Service}); err != nil {
		return nil, fmt.Errorf("choose service %s and what it depends on: %w. Perhaps that needs a profile", o.Service, err)
	}
	return p.WithoutUnresolvedOptionalDependencies().WithServicesEnvironmentResolved(true) //nolint:wrapcheck // names the file
}

// load loads a project as docker compose does: the .env file is read in the
// project's folder, and counts less than the environment.
func load(ctx context.Context, o Options) (*types.Project, error) {
	files, dir := []string(nil), ""
	for _, f := range o.Files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(o.WorkingDir, f)
		}
		if info, err := os.Stat(f); err == nil && info.IsDir() && len(o.Files) == 1 {
			dir = f
			continue
		}
		files = append(files, f)
	}
	options, err := cli.NewProjectOptions(files,
		cli.WithWorkingDirectory(dir),
		cli.WithEnv(o.Env),
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(o.Profiles...),
		cli.WithName(o.Name),
		cli.WithoutEnvironmentResolution, // of services that aren't needed: their files may be missing
	)
	if err != nil {
		return nil, err //nolint:wrapcheck // Read does
	}
	if len(options.ConfigPaths) == 0 {
		return nil, errors.New("there is no compose.yaml in it")
	}
	return options.LoadProject(ctx) //nolint:wrapcheck // Read does
}

// Project says what the service and what it depends on are made from. Whether
// all of that can be honoured, [Project.Check] says.
func (f *File) Project() Project {
	out := Project{Name: f.Name, Notes: slices.Clone(f.notes), refused: map[string][]string{}}
	tested := f.project.Services[f.service]
	if text := unlimit(&tested); text != "" {
		out.Notes = append(out.Notes, fmt.Sprintf("What the Compose file grants %s (%s) doesn't count: the matrix does.", f.service, text))
	}
	var all check
	for _, name := range f.order() {
		s := f.project.Services[name]
		if name == f.service {
			s = tested
		}
		c := f.inspect(name, s)
		made, err := f.make(s)
		if err != nil {
			c.refused = append(c.refused, fmt.Sprintf("services.%s.%v", name, err))
		}
		out.refused[name], all.told = c.refused, append(all.told, c.told...)
		if n := s.GetScale(); n != 1 {
			out.Notes = append(out.Notes, fmt.Sprintf("Of service %s the Compose file has %d containers; one is started.", name, n))
		}
		if name == f.service {
			out.Service = made
		} else {
			out.Dependencies = append(out.Dependencies, made)
		}
	}
	out.Networks, out.Volumes = f.networks(&all), f.volumes(&all)
	out.refused[""] = all.refused
	for _, t := range all.told {
		out.Notes = append(out.Notes, "Not used: "+t+".")
	}
	return out
}

// Check returns an error that names all keys which can't be honoured, but for
// those of dependencies that run already.
func (p Project) Check(runs func(dependency string) bool) error {
	var refused []string
	for _, name := range slices.Sorted(maps.Keys(p.refused)) {
		if name == p.Service.Name || !runs(name) {
			refused = append(refused, p.refused[name]...)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("service %s of the Compose file can't be run as it is written:\n  %s\nTake these keys out, or start what has them with docker compose: what runs is used as it is",
		p.Service.Name, strings.Join(refused, "\n  "))
}

// Completes reports whether a dependency is one that ends when its work is
// done: somebody waits for that.
func (p Project) Completes(dependency string) bool {
	return p.some(func(a After) bool { return a.Service == dependency && a.Condition == Completed })
}

// Requires reports whether somebody can't do without a dependency.
func (p Project) Requires(dependency string) bool {
	return p.some(func(a After) bool { return a.Service == dependency && a.Required })
}

func (p Project) some(is func(After) bool) bool {
	return slices.ContainsFunc(append(slices.Clone(p.Dependencies), p.Service), func(s Service) bool {
		return slices.ContainsFunc(s.After, is)
	})
}

// order returns the names of the services, each after those that it depends on.
func (f *File) order() []string {
	var out []string
	var visit func(name string)
	visit = func(name string) { // there is no cycle: compose-go refuses it
		if slices.Contains(out, name) {
			return
		}
		for _, d := range slices.Sorted(maps.Keys(f.project.Services[name].DependsOn)) {
			visit(d)
		}
		out = append(out, name)
	}
	visit(f.service)
	return out
}

func (f *File) inspect(name string, s types.ServiceConfig) check {
	c := inspect("services."+name, s, serviceRules)
	for _, x := range s.Secrets {
		c.add(inspect("secrets."+x.Source, f.project.Secrets[x.Source], fileRules))
	}
	for _, x := range s.Configs {
		c.add(inspect("configs."+x.Source, f.project.Configs[x.Source], fileRules))
	}
	return c
}

func (f *File) networks(c *check) []Network {
	var out []Network
	for _, key := range f.used(func(s types.ServiceConfig) []string { return slices.Collect(maps.Keys(s.Networks)) }) {
		n := f.project.Networks[key]
		c.add(inspect("networks."+key, n, networkRules))
		out = append(out, Network{Key: key, Name: n.Name, External: bool(n.External), Options: network.CreateOptions{
			Driver: n.Driver, Options: n.DriverOpts, Internal: n.Internal, Attachable: n.Attachable, EnableIPv6: n.EnableIPv6, IPAM: ipam(n.Ipam),
		}})
	}
	return out
}

func ipam(c types.IPAMConfig) *network.IPAM {
	if c.Driver == "" && len(c.Config) == 0 && len(c.Options) == 0 {
		return nil
	}
	out := network.IPAM{Driver: c.Driver, Options: c.Options}
	if out.Driver == "" {
		out.Driver = "default"
	}
	for _, pool := range c.Config {
		out.Config = append(out.Config, network.IPAMConfig{Subnet: pool.Subnet, IPRange: pool.IPRange, Gateway: pool.Gateway, AuxAddress: pool.AuxiliaryAddresses})
	}
	return &out
}

func (f *File) volumes(c *check) []Volume {
	var out []Volume
	for _, key := range f.used(namedVolumes) {
		v := f.project.Volumes[key]
		c.add(inspect("volumes."+key, v, volumeRules))
		out = append(out, Volume{Key: key, Name: v.Name, External: bool(v.External), Options: volume.CreateOptions{Driver: v.Driver, DriverOpts: v.DriverOpts}})
	}
	return out
}

func namedVolumes(s types.ServiceConfig) []string {
	var out []string
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			out = append(out, v.Source)
		}
	}
	return out
}

// used returns what the services name, each once.
func (f *File) used(by func(types.ServiceConfig) []string) []string {
	var out []string
	for _, s := range f.project.Services {
		out = append(out, by(s)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *check) add(other check) {
	c.refused = append(c.refused, other.refused...)
	c.told = append(c.told, other.told...)
}
