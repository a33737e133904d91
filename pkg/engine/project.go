package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/engine/compose"
	"sweep/pkg/experiment"
)

// By these labels docker compose knows its own.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeNetwork = "com.docker.compose.network"
	composeVolume  = "com.docker.compose.volume"
	composeOneOff  = "com.docker.compose.oneoff"
)

// project is what a service of a Compose project needs beside it.
type project struct {
	compose.Project
	images map[string]string // ids, by service

	// What follows is known once it is up. Nil until then.
	networks, volumes map[string]string // names on the engine, by those that docker compose gives
	standing          map[string]string // the containers of the dependencies, by service; nothing of those that have completed
}

// findProject finds a service of a Compose project: the container that docker
// compose runs it in or, where there is none, what to make one from.
func (e *Engine) findProject(ctx context.Context, c experiment.Compose, folder string, from supply) (*Subject, error) {
	file, err := compose.Read(ctx, compose.Options{
		Files: c.Paths(), WorkingDir: folder, Profiles: c.Profiles, Name: c.Project, Service: c.Service, Env: os.Environ(),
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // names the files
	}
	running, err := e.running(ctx, file.Name, c.Service)
	if err != nil {
		return nil, err
	}
	switch len(running) {
	case 0:
	case 1:
		s, err := e.findContainer(ctx, containerName(running[0]))
		if err != nil {
			return nil, err
		}
		s.Notes = append(s.Notes, fmt.Sprintf("docker compose runs it, so it is taken as it runs, whatever %s says now.", strings.Join(c.Paths(), ", ")))
		return s, nil
	default:
		return nil, fmt.Errorf("docker compose runs service %s of project %s in %d containers, which would share its load; leave it one: `docker compose --project-name %[2]s up --detach --no-recreate --scale %[1]s=1 %[1]s`, with the same files",
			c.Service, file.Name, len(running))
	}
	return e.prepare(ctx, file.Project(), from)
}

// running returns the containers in which docker compose runs a service. The
// error may be that another sweep has taken the place of one.
func (e *Engine) running(ctx context.Context, project, service string) ([]container.Summary, error) {
	all, err := e.composed(ctx, project, service)
	if err != nil {
		return nil, err
	}
	var out []container.Summary
	for _, c := range all {
		if c.State == container.StateRunning || c.State == container.StatePaused || c.State == container.StateRestarting {
			out = append(out, c)
		} else if err := e.taken(ctx, c.ID, containerName(c)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// composed returns the containers of a service that docker compose has made.
func (e *Engine) composed(ctx context.Context, project, service string) ([]container.Summary, error) {
	all, err := e.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", composeProject+"="+project),
		filters.Arg("label", composeService+"="+service),
		filters.Arg("label", composeOneOff+"=False"),
	)})
	if err != nil {
		return nil, fmt.Errorf("look for service %s of Compose project %s: %w", service, project, err)
	}
	return all, nil
}

// prepare looks up all that the project needs, and touches nothing.
func (e *Engine) prepare(ctx context.Context, c compose.Project, from supply) (*Subject, error) {
	p := &project{Project: c, images: map[string]string{}}
	s := &Subject{Notes: slices.Clone(c.Notes), engine: e, blueprint: c.Service.Blueprint, project: p}
	inPlace := map[string]bool{}
	for _, d := range c.Dependencies {
		using, err := e.inPlace(ctx, c, d)
		if err != nil {
			return nil, err
		}
		if using != nil {
			inPlace[d.Name] = true
			s.Notes = append(s.Notes, fmt.Sprintf("Dependency %s is used as docker compose runs it (%s).", d.Name, containerName(*using)))
		}
	}
	if err := c.Check(func(name string) bool { return inPlace[name] }); err != nil {
		return nil, err //nolint:wrapcheck // names the keys
	}
	tested, err := e.resolve(ctx, c.Service, from)
	if err != nil {
		return nil, err
	}
	s.Image, s.blueprint.Config.Image = tested, tested.ID
	for _, d := range c.Dependencies {
		if inPlace[d.Name] {
			continue
		}
		image, err := e.resolve(ctx, d, from)
		if err != nil {
			return nil, err
		}
		p.images[d.Name] = image.ID
	}
	more, err := e.lasting(ctx, c, inPlace)
	s.Notes = append(s.Notes, more...)
	return s, err
}

// lasting says what trials write to that outlives them. The error is that an
// external network or volume is missing.
func (e *Engine) lasting(ctx context.Context, c compose.Project, inPlace map[string]bool) (notes []string, err error) {
	if _, err := e.foundNetworks(ctx, c); err != nil {
		return nil, err
	}
	volumes, err := e.foundVolumes(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, shared := range c.Service.Blueprint.Shared() {
		notes = append(notes, fmt.Sprintf("What a trial writes to %s is there for the next one.", shared))
	}
	for _, d := range c.Dependencies {
		if inPlace[d.Name] {
			continue
		}
		for _, folder := range d.Blueprint.Folders() { // of volumes, those that are there already are told below
			notes = append(notes, fmt.Sprintf("What dependency %s writes to %s stays there.", d.Name, folder))
		}
	}
	for _, name := range slices.Sorted(maps.Values(volumes)) {
		notes = append(notes, fmt.Sprintf("Volume %s is there already: what is written to it during the sweep stays.", name))
	}
	return notes, nil
}

// resolve returns the image of a service. One that has both a name and a folder
// to build is built only where the engine hasn't that name, as docker compose
// does it.
func (e *Engine) resolve(ctx context.Context, s compose.Service, from supply) (Image, error) {
	image, err := e.lookUp(ctx, s.Image)
	switch {
	case err == nil:
		return image, nil
	case s.Build == nil:
		image, err = from.named(ctx, s.Image)
	case len(s.Build.Refused) > 0:
		err = fmt.Errorf("it has to be built, and %s can't be honoured; `docker compose build %s` builds it", strings.Join(s.Build.Refused, ", "), s.Name)
	case !filepath.IsAbs(s.Build.Context):
		err = fmt.Errorf("it has to be built from %s, which is no folder; `docker compose build %s` builds it", s.Build.Context, s.Name)
	default:
		b := s.Build
		image, err = from.built(ctx, BuildSpec{Context: b.Context, Dockerfile: b.Dockerfile, Args: b.Args, Target: b.Target, Tag: s.Image})
	}
	if err != nil {
		return Image{}, fmt.Errorf("service %s: %w", s.Name, err)
	}
	return image, nil
}

// inPlace returns the container in which docker compose runs a dependency, or
// nil. One that has done its work is as good where others wait for that.
func (e *Engine) inPlace(ctx context.Context, p compose.Project, d compose.Service) (*container.Summary, error) {
	all, err := e.composed(ctx, p.Name, d.Name)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		switch c.State {
		case container.StateRunning:
			return &c, nil
		case container.StatePaused, container.StateRestarting:
			return nil, fmt.Errorf("dependency %s (%s) is %s, and another beside it would share its volumes; let it run, or remove it", d.Name, containerName(c), c.State)
		}
	}
	for _, c := range all {
		if c.State == container.StateExited && strings.HasPrefix(c.Status, "Exited (0)") && p.Completes(d.Name) {
			return &c, nil
		}
	}
	return nil, nil //nolint:nilnil // nothing is what was found
}

// digest names all that the project's containers are made from.
func (p *project) digest(tested blueprint.Blueprint) string {
	sum := sha256.New()
	fmt.Fprintln(sum, tested.Digest())
	for _, d := range p.Dependencies {
		fmt.Fprintln(sum, d.Name, p.images[d.Name], d.Blueprint.Digest())
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// foundNetworks returns the networks that are there already, by the names that
// docker compose gives them.
func (e *Engine) foundNetworks(ctx context.Context, p compose.Project) (map[string]string, error) {
	all, err := e.docker.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	found := map[string]string{}
	for _, want := range p.Networks {
		for _, n := range all {
			composes := n.Labels[composeProject] == p.Name && n.Labels[composeNetwork] == want.Key
			if n.Name == want.Name && (want.External || composes) {
				found[want.Name] = n.Name
			}
		}
		if want.External && found[want.Name] == "" {
			return nil, fmt.Errorf("the Compose file says that network %s is there already, but the engine has none; `docker network create %[1]s` makes it", want.Name)
		}
	}
	return found, nil
}

// foundVolumes does the same for volumes.
func (e *Engine) foundVolumes(ctx context.Context, p compose.Project) (map[string]string, error) {
	all, err := e.docker.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	found := map[string]string{}
	for _, want := range p.Volumes {
		for _, v := range all.Volumes {
			composes := v.Labels[composeProject] == p.Name && v.Labels[composeVolume] == want.Key
			if v.Name == want.Name && (want.External || composes) {
				found[want.Name] = v.Name
			}
		}
		if want.External && found[want.Name] == "" {
			return nil, fmt.Errorf("the Compose file says that volume %s is there already, but the engine has none; `docker volume create %[1]s` makes it", want.Name)
		}
	}
	return found, nil
}

// bringUp makes what the service needs and isn't there, and returns when all its
// conditions hold. What is made carries sweep's labels, so that takeDown and
// [Engine.Clean] find it.
func (e *Engine) bringUp(ctx context.Context, owner Owner, p *project, say func(string)) error {
	var err error
	if p.networks, err = e.makeNetworks(ctx, owner, p.Project); err != nil {
		return err
	}
	if p.volumes, err = e.makeVolumes(ctx, owner, p.Project); err != nil {
		return err
	}
	p.standing = map[string]string{}
	for _, d := range p.Dependencies {
		if err := e.await(ctx, p, d, say); err != nil {
			return err
		}
		if p.standing[d.Name], err = e.startDependency(ctx, owner, p, d, say); err != nil {
			return err
		}
	}
	return e.await(ctx, p, p.Service, say)
}

func (e *Engine) makeNetworks(ctx context.Context, owner Owner, p compose.Project) (map[string]string, error) {
	names, err := e.foundNetworks(ctx, p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := cleanup(ctx) // the engine would make it though nobody waited any more
	defer cancel()
	for _, n := range p.Networks {
		if names[n.Name] != "" {
			continue
		}
		name, options := owner.name(n.Key), n.Options
		options.Labels = owner.labels(roleNetwork)
		if _, err := e.docker.NetworkCreate(ctx, name, options); err != nil {
			return nil, fmt.Errorf("make network %s: %w", name, err)
		}
		names[n.Name] = name
	}
	return names, nil
}

func (e *Engine) makeVolumes(ctx context.Context, owner Owner, p compose.Project) (map[string]string, error) {
	names, err := e.foundVolumes(ctx, p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := cleanup(ctx) // likewise
	defer cancel()
	for _, v := range p.Volumes {
		if names[v.Name] != "" {
			continue
		}
		options := v.Options
		options.Name, options.Labels = owner.name(v.Key), owner.labels(roleVolume)
		if _, err := e.docker.VolumeCreate(ctx, options); err != nil {
			return nil, fmt.Errorf("make volume %s: %w", options.Name, err)
		}
		names[v.Name] = options.Name
	}
	return names, nil
}

// startDependency returns the id of a dependency's container, which it starts
// unless docker compose runs one.
func (e *Engine) startDependency(ctx context.Context, owner Owner, p *project, d compose.Service, say func(string)) (string, error) {
	using, err := e.inPlace(ctx, p.Project, d)
	switch {
	case err != nil:
		return "", err
	case using != nil:
		return using.ID, nil
	case p.images[d.Name] == "": // docker compose ran it a moment ago
		return "", fmt.Errorf("dependency %s has been stopped since it was found; run it again", d.Name)
	}
	b := d.Blueprint
	b.Config.Image = p.images[d.Name]
	say("starting " + d.Name)
	id, _, err := e.create(ctx, owner.name(d.Name), b.Renamed(p.networks, p.volumes).With(nil, owner.labels(roleDependency)))
	if err != nil {
		return "", fmt.Errorf("dependency %s: %w", d.Name, err)
	}
	if err := e.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return "", fmt.Errorf("start dependency %s: %s. Check its command, files and addresses", d.Name, reason(err))
	}
	return id, nil
}

// await returns when the conditions hold under which a service may start.
func (e *Engine) await(ctx context.Context, p *project, s compose.Service, say func(string)) error {
	for _, after := range s.After {
		id := p.standing[after.Service]
		if id == "" { // it has completed, or failed where that is allowed
			continue
		}
		began := time.Now()
		err := e.until(ctx, id, after.Condition)
		switch {
		case err == nil && after.Condition != compose.Started:
			say(fmt.Sprintf("%s is %s after %.1f s", after.Service, reached[after.Condition], time.Since(began).Seconds()))
		case err != nil && ctx.Err() == nil && !after.Required:
			say(fmt.Sprintf("going on without %s: %v", after.Service, err))
		case err != nil:
			return fmt.Errorf("dependency %s of %s: %w", after.Service, s.Name, err)
		}
		if err != nil && !p.Requires(after.Service) || err == nil && after.Condition == compose.Completed {
			p.standing[after.Service] = ""
		}
	}
	return nil
}

var reached = map[compose.Condition]string{compose.Healthy: "healthy", compose.Completed: "done"} //nolint:gochecknoglobals // a table

// until waits until a container is as a condition says. The error is that it
// can't become so any more, with the last of its output.
func (e *Engine) until(ctx context.Context, id string, want compose.Condition) error {
	for {
		c, err := e.docker.ContainerInspect(ctx, id)
		if err != nil {
			return fmt.Errorf("see how container %.12s is: %w", id, err)
		}
		holds, why := met(c.State, want)
		switch {
		case holds:
			return nil
		case why != "":
			log, logErr := e.log(ctx, c)
			if last := lastLines(log, logBytes); last != "" {
				why += ". Its last output:" + last
			}
			return errors.Join(errors.New(why), logErr)
		}
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // await says for what
		case <-time.After(lookEvery):
		}
	}
}

// met says whether a condition holds, or why it never will.
func met(s *container.State, want compose.Condition) (holds bool, never string) {
	switch {
	case dead(s) && s.ExitCode == 0 && want != compose.Healthy:
		return true, ""
	case dead(s):
		return false, fmt.Sprintf("it ended with exit code %d", s.ExitCode)
	case want == compose.Completed:
		return false, ""
	case want == compose.Started:
		return s.Running, ""
	case health(s) == container.Healthy:
		return true, ""
	case health(s) == container.Unhealthy:
		return false, "it is unhealthy: " + lastCheck(s.Health)
	case s.Running && (s.Health == nil || health(s) == container.NoHealthcheck):
		return false, "it shall be healthy, but has no healthcheck"
	default:
		return false, ""
	}
}

func lastCheck(h *container.Health) string {
	if len(h.Log) == 0 {
		return "its check said nothing"
	}
	last := h.Log[len(h.Log)-1]
	return fmt.Sprintf("its check ended with exit code %d, %q", last.ExitCode, strings.TrimSpace(last.Output))
}

// stands returns an error where a dependency has died: the service would be
// blamed for it.
func (p *project) stands(ctx context.Context, e *Engine) error {
	for _, d := range p.Dependencies {
		id := p.standing[d.Name]
		if id == "" || p.Completes(d.Name) {
			continue
		}
		c, err := e.docker.ContainerInspect(ctx, id)
		if err == nil && !c.State.Running { // even where it ended well, as on being stopped
			err = fmt.Errorf("it ended with exit code %d; see why, and run again", c.State.ExitCode)
		}
		if err != nil {
			return fmt.Errorf("dependency %s: %w", d.Name, err)
		}
	}
	return nil
}

// takeDown removes what bringUp made.
func (e *Engine) takeDown(ctx context.Context, owner Owner) error {
	ctx, cancel := cleanup(ctx)
	defer cancel()
	mine := func(o Owner) bool { return o == owner }
	_, err := e.cleanContainers(ctx, mine, roleDependency)
	_, networksErr := e.cleanNetworks(ctx, mine)
	_, volumesErr := e.cleanVolumes(ctx, mine)
	return errors.Join(err, networksErr, volumesErr)
}

func (e *Engine) cleanNetworks(ctx context.Context, orphan func(Owner) bool) (did []string, err error) {
	all, err := e.docker.NetworkList(ctx, network.ListOptions{Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's networks: %w", err)
	}
	c := cleaning{orphan: orphan}
	for _, n := range all {
		c.remove("network "+n.Name, n.Labels, func() (bool, error) { return e.removeNetwork(ctx, n.ID) })
	}
	return c.did, c.err
}

// removeNetwork removes a network and returns once it is gone, and whether it was
// there. A Swarm takes a moment to let go of the tasks on it, and another to
// forget it.
func (e *Engine) removeNetwork(ctx context.Context, id string) (removed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, letsGoWithin)
	defer cancel()
	for {
		err := e.docker.NetworkRemove(ctx, id)
		switch {
		case errdefs.IsNotFound(err), err != nil && strings.Contains(err.Error(), "not found"): // a Swarm's has another status
			return removed, nil
		case err != nil && !strings.Contains(err.Error(), "in use"):
			return removed, err //nolint:wrapcheck // the caller does
		}
		removed = removed || err == nil
		select {
		case <-time.After(letsGoLooks):
		case <-ctx.Done():
			return removed, cmp.Or(err, ctx.Err())
		}
	}
}

func (e *Engine) cleanVolumes(ctx context.Context, orphan func(Owner) bool) (did []string, err error) {
	all, err := e.docker.VolumeList(ctx, volume.ListOptions{Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's volumes: %w", err)
	}
	c := cleaning{orphan: orphan}
	for _, v := range all.Volumes {
		c.remove("volume "+v.Name, v.Labels, func() (bool, error) { return gone(e.docker.VolumeRemove(ctx, v.Name, false)) })
	}
	return c.did, c.err
}
