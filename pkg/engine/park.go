package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"sweep/pkg/engine/blueprint"
)

// What a note says of the container that sweep has stopped.
const (
	labelOriginal = "sweep.original"         // its id
	labelName     = "sweep.original.name"    // its name
	labelStarted  = "sweep.original.started" // when it had been started, as the engine says it
)

const (
	putBackWithin = 2 * time.Minute // an engine that is restarted included
	healthyWithin = 2 * time.Minute // how long an original that was healthy may take to be so again
	lookEvery     = 200 * time.Millisecond
)

// findContainer finds a running container that a clone of it can take the
// place of: by its name or id, or by labels, "com.docker.compose.service=api"
// and more after commas.
func (e *Engine) findContainer(ctx context.Context, name string) (*Subject, error) {
	if strings.Contains(name, "=") {
		labelled, err := e.labelled(ctx, name)
		if err != nil {
			return nil, err
		}
		name = labelled
	}
	c, err := e.docker.ContainerInspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil, e.missingContainer(ctx, name)
	case err != nil:
		return nil, fmt.Errorf("look up container %s: %w", name, err)
	case ownerOf(c.Config.Labels) != Owner{}:
		return nil, fmt.Errorf("container %s is sweep's own; name the one that it stands in for, or run `sweep restore` if that was never put back", name)
	}
	if err := e.taken(ctx, c.ID, plainName(c)); err != nil {
		return nil, err
	}
	b, err := blueprint.FromContainer(c)
	if err != nil {
		return nil, fmt.Errorf("container %s can't be put under limits: %w", name, err)
	}
	if err := e.unshared(ctx, c); err != nil {
		return nil, err
	}
	image, err := e.docker.ImageInspect(ctx, c.Image)
	if err != nil {
		return nil, fmt.Errorf("look up the image of container %s: %w", name, err)
	}
	s := &Subject{
		Image:  Image{Ref: c.Config.Image, ID: image.ID, Digests: image.RepoDigests},
		Notes:  []string{plainName(c) + " is stopped while a copy of it under limits takes its place, and started again at the end."},
		engine: e, blueprint: b, original: &c,
	}
	for _, shared := range b.Shared() {
		s.Notes = append(s.Notes, fmt.Sprintf("What a trial writes to %s stays there: the copy shares it.", shared))
	}
	if c.HostConfig.CpusetCpus != "" {
		s.Notes = append(s.Notes, fmt.Sprintf("%s may run on cores %s alone; the copy may run on all.", plainName(c), c.HostConfig.CpusetCpus))
	}
	if changes, err := e.docker.ContainerDiff(ctx, c.ID); err == nil && len(changes) > 0 { // not every storage driver tells
		s.Notes = append(s.Notes, fmt.Sprintf("The copy is made from the image: it doesn't have what has changed inside %s since, %d files and folders such as %s.",
			plainName(c), len(changes), changes[len(changes)-1].Path))
	}
	return s, nil
}

// labelled returns the name of the only running container with these labels.
func (e *Engine) labelled(ctx context.Context, labels string) (string, error) {
	args := filters.NewArgs()
	for label := range strings.SplitSeq(labels, ",") {
		args.Add("label", strings.TrimSpace(label))
	}
	all, err := e.docker.ContainerList(ctx, container.ListOptions{Filters: args})
	if err != nil {
		return "", fmt.Errorf("look for containers with the labels %s: %w", labels, err)
	}
	var names []string
	for _, c := range all {
		if (ownerOf(c.Labels) == Owner{}) {
			names = append(names, containerName(c))
		}
	}
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", fmt.Errorf("no running container has the labels %s; `docker ps --filter label=...` shows those that have one", labels)
	default:
		return "", fmt.Errorf("%d running containers have the labels %s: %s; name one of them", len(names), labels, strings.Join(names, ", "))
	}
}

// missingContainer returns an error that names the running containers which
// might have been meant.
func (e *Engine) missingContainer(ctx context.Context, name string) error {
	hint := "`docker ps` lists those that run"
	if all, err := e.docker.ContainerList(ctx, container.ListOptions{}); err == nil { // no hint is no harm
		var names []string
		for _, c := range all {
			names = append(names, containerName(c))
		}
		if near := nearest(name, names); near != "" {
			hint += "; did you mean " + near + "?"
		}
	}
	return fmt.Errorf("the engine has no container %s; %s", name, hint)
}

// unshared returns an error where another container lives in a namespace of
// c's: it would lose that for good, even if c came back.
func (e *Engine) unshared(ctx context.Context, c container.InspectResponse) error {
	all, err := e.docker.ContainerList(ctx, container.ListOptions{})
	if err != nil {
		return fmt.Errorf("look for containers that share with %s: %w", plainName(c), err)
	}
	for _, other := range all {
		o, err := e.docker.ContainerInspect(ctx, other.ID)
		if errdefs.IsNotFound(err) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return fmt.Errorf("look whether %s shares with %s: %w", containerName(other), plainName(c), err)
		}
		if what := blueprint.SharesWith(o, c.ID, plainName(c)); what != "" && o.ID != c.ID {
			return fmt.Errorf("container %s can't be stopped: %s shares its %s, and would lose it for good; stop that one first", plainName(c), plainName(o), what)
		}
	}
	return nil
}

func plainName(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }

// park stops a container, after it has left a note of it.
//
// The note is a container that is never started: its labels say what there is
// to put back, and its name, which only one can have, keeps a second sweep off.
// An engine writes what it is made from to its disk before it says that it is
// made, so the note outlives this process, this machine and a power cut, and is
// there for whoever cleans up, from any machine.
func (e *Engine) park(ctx context.Context, owner Owner, c container.InspectResponse) error {
	note, err := e.leaveNote(ctx, owner, c)
	if err != nil {
		return err
	}
	// The engine would stop it though nobody waited any more.
	stopping := context.WithoutCancel(ctx)
	if err := e.docker.ContainerStop(stopping, c.ID, container.StopOptions{}); err != nil {
		err = fmt.Errorf("stop container %s: %w", plainName(c), err)
		_, backErr := e.unpark(stopping, note)
		return errors.Join(err, backErr)
	}
	return nil
}

func (e *Engine) leaveNote(ctx context.Context, owner Owner, c container.InspectResponse) (container.InspectResponse, error) {
	labels := owner.labels(roleNote)
	labels[labelOriginal], labels[labelName], labels[labelStarted] = c.ID, plainName(c), c.State.StartedAt
	b := blueprint.FromImage(c.Image).With(nil, labels)
	b.Config.Entrypoint = []string{"a note that is never started"} // some images have no command
	b.Host.NetworkMode = "none"
	name := noteName(c.ID)
	ctx, cancel := cleanup(ctx)
	defer cancel()
	if _, err := e.createIn(ctx, name, b); err != nil {
		return container.InspectResponse{}, cmp.Or(e.taken(ctx, c.ID, plainName(c)), fmt.Errorf("leave a note of container %s: %w", plainName(c), err))
	}
	note, err := e.docker.ContainerInspect(ctx, name)
	if err != nil {
		return note, fmt.Errorf("read the note of container %s: %w", plainName(c), err)
	}
	return note, nil
}

// taken returns an error where there is a note of a container, for then another
// sweep is in its place.
func (e *Engine) taken(ctx context.Context, id, name string) error {
	note, err := e.docker.ContainerInspect(ctx, noteName(id))
	switch {
	case errdefs.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read the note of container %s: %w", name, err)
	default:
		owner := ownerOf(note.Config.Labels)
		return fmt.Errorf("another sweep has taken the place of container %s: run %s on %s, in %s; wait for it to end, or run `sweep restore` there if it was killed",
			name, owner.Run, owner.Host, owner.Dir)
	}
}

func noteName(original string) string { return fmt.Sprintf("sweep-note-%.12s", original) }

// unpark starts the container that a note is of, and then removes the note. It
// may be done again, and by several at once. What it did is said in words.
//
// A container that still runs as it had been started may be one whose stop is
// under way, asked for by a process that was killed since: that is waited for.
func (e *Engine) unpark(ctx context.Context, note container.InspectResponse) (did string, err error) {
	id, name := note.Config.Labels[labelOriginal], note.Config.Labels[labelName]
	c, err := e.docker.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return name + " is gone: somebody has removed it, so it can't be started again", e.remove(ctx, note.ID)
	}
	if err == nil && c.State.Running && c.State.StartedAt == note.Config.Labels[labelStarted] {
		// Where it can't be stopped, it runs on, as it shall.
		_ = e.docker.ContainerStop(ctx, id, container.StopOptions{})
	}
	if err == nil {
		err = e.startAgain(ctx, id)
	}
	if err != nil {
		return "", fmt.Errorf("start container %s again: %w. Mend that and run `sweep restore`; or, if it shall stay as it is, `docker rm %s`", name, err, plainName(note))
	}
	return "started " + name + " again", e.remove(ctx, note.ID)
}

// startAgain starts a container, unless it runs already, and sees that it does.
func (e *Engine) startAgain(ctx context.Context, id string) error {
	if err := e.docker.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return err //nolint:wrapcheck // unpark does
	}
	c, err := e.docker.ContainerInspect(ctx, id)
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	if !c.State.Running {
		return fmt.Errorf("it ended at once with exit code %d", c.State.ExitCode)
	}
	return nil
}

// putBack starts the original again and returns in what it differs from what it
// was, but for what any restart changes.
func (e *Engine) putBack(ctx context.Context, owner Owner, original container.InspectResponse) (changed []string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackWithin)
	defer cancel()
	note, err := e.note(ctx, original)
	switch {
	case errdefs.IsNotFound(err): // somebody has put it back already, or has only removed the note
		err = e.startAgain(ctx, original.ID)
	case err != nil:
		return nil, fmt.Errorf("read the note of container %s: %w", plainName(original), err)
	case ownerOf(note.Config.Labels) != owner:
		return nil, nil // somebody has put it back, and another sweep has taken it since
	default:
		_, err = e.unpark(ctx, note)
	}
	if err != nil {
		return nil, err
	}
	now, err := e.docker.ContainerInspect(ctx, original.ID)
	if err != nil {
		return nil, fmt.Errorf("compare container %s with what it was: %w", plainName(original), err)
	}
	return blueprint.Changed(original, now)
}

// note reads the note of a container. An engine that is gone may come back, when
// it is restarted: it is waited for.
func (e *Engine) note(ctx context.Context, original container.InspectResponse) (container.InspectResponse, error) {
	for {
		note, err := e.docker.ContainerInspect(ctx, noteName(original.ID))
		if !client.IsErrConnectionFailed(err) {
			return note, err //nolint:wrapcheck // putBack does
		}
		select {
		case <-ctx.Done():
			return note, err //nolint:wrapcheck // likewise
		case <-time.After(lookEvery):
		}
	}
}

// absent returns an error where the original runs beside what is in its place:
// then its load and its answers are not the service's alone.
func (e *Engine) absent(ctx context.Context, original container.InspectResponse) error {
	c, err := e.docker.ContainerInspect(ctx, original.ID)
	switch {
	case err != nil:
		return fmt.Errorf("see whether container %s is still stopped: %w", plainName(original), err)
	case c.State.Running:
		return fmt.Errorf("container %s was started by somebody while another is in its place; stop whatever restarts it, and run again", plainName(original))
	default:
		return nil
	}
}

// Healthy waits until the original is healthy again where it had been, for two
// minutes at most.
func (s *Subject) Healthy(ctx context.Context) error {
	if s.original == nil || health(s.original.State) != container.Healthy {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthyWithin)
	defer cancel()
	for {
		c, err := s.engine.docker.ContainerInspect(ctx, s.original.ID)
		if err == nil && health(c.State) == container.Healthy {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s runs again, but is not healthy as it was (%s)", plainName(*s.original), cmp.Or(health(c.State), "unknown"))
		case <-time.After(lookEvery):
		}
	}
}

// health returns what a container's own checks say, "" where it has none.
func health(s *container.State) container.HealthStatus {
	if s == nil || s.Health == nil {
		return ""
	}
	return s.Health.Status
}
