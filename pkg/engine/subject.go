package engine

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/container"

	"sweep/pkg/engine/blueprint"
	"sweep/pkg/experiment"
)

// Subject is what is under test, as it was found on the engine. Finding it
// touches nothing that runs; [Subject.Take] does, and [Subject.Release] puts it
// back.
type Subject struct {
	Image  Image
	Images map[string]Image // instead of Image where cells set theirs: by the names that they give
	Notes  []string         // what the user should know before it is taken

	engine    *Engine
	blueprint blueprint.Blueprint
	original  *container.InspectResponse // the container in whose place it runs, or nil
	project   *project                   // the Compose project that it is of, or nil
}

// Find finds the service of an experiment, whose file is in a folder. An image
// that the engine hasn't is an error.
func (e *Engine) Find(ctx context.Context, x *experiment.Experiment, folder string) (*Subject, error) {
	return e.find(ctx, x, folder, present{e})
}

// Prepare is Find, but that it builds what is to be built, pulls what is missing,
// and says how that goes.
func (e *Engine) Prepare(ctx context.Context, x *experiment.Experiment, folder string, say func(string)) (*Subject, error) {
	return e.find(ctx, x, folder, obtained{e, say})
}

func (e *Engine) find(ctx context.Context, x *experiment.Experiment, folder string, from supply) (*Subject, error) {
	switch s := x.Service; {
	case s.Compose != nil:
		return e.findProject(ctx, *s.Compose, folder, from)
	case s.Container != "":
		return e.findContainer(ctx, s.Container)
	case s.Build != nil:
		spec, err := buildSpec(x, folder)
		if err != nil {
			return nil, err
		}
		image, err := from.built(ctx, spec)
		return e.subject(image), err
	case s.Image != "":
		image, err := from.named(ctx, s.Image)
		return e.subject(image), err
	default:
		return e.findImages(ctx, x.Images(), from)
	}
}

// findImages finds the images that the cells set.
func (e *Engine) findImages(ctx context.Context, names []string, from supply) (*Subject, error) {
	s := &Subject{engine: e, Images: map[string]Image{}}
	for _, name := range names {
		image, err := from.named(ctx, name)
		if err != nil {
			return nil, err
		}
		s.Images[name] = image
	}
	return s, nil
}

// image returns the image of a cell.
func (s *Subject) image(l experiment.Limits) Image {
	if l.Image != "" {
		return s.Images[l.Image]
	}
	return s.Image
}

// of returns the blueprint of a cell, but for its limits.
func (s *Subject) of(l experiment.Limits) blueprint.Blueprint {
	if l.Image != "" {
		return blueprint.FromImage(s.image(l).ID)
	}
	return s.blueprint
}

// subject returns an image as the subject.
func (e *Engine) subject(image Image) *Subject {
	return &Subject{Image: image, engine: e, blueprint: blueprint.FromImage(image.ID)}
}

// Digest returns a short name of what its containers are made from, but for
// limits and environment of the experiment. Trials of subjects that differ in
// it can't stand beside each other.
func (s *Subject) Digest() string {
	if s.project != nil {
		return s.project.digest(s.blueprint)
	}
	return s.blueprint.Digest()
}

// Take makes room for the service: the container in whose place it runs is
// stopped, and what it depends on is started; say is told how that goes. From
// then on the engine itself knows what there is to put back, whatever becomes
// of this process: [Engine.Clean] does it. After an error nothing is left to
// release.
func (s *Subject) Take(ctx context.Context, owner Owner, say func(string)) error {
	switch {
	case s.original != nil:
		return s.engine.park(ctx, owner, *s.original)
	case s.project != nil:
		if err := s.engine.bringUp(ctx, owner, s.project, say); err != nil {
			return errors.Join(err, s.engine.takeDown(ctx, owner))
		}
	}
	return nil
}

// made returns what a cell's containers are made from, but for its limits, once
// the subject is taken. The error is that what it depends on is not there any
// more.
func (s *Subject) made(ctx context.Context, l experiment.Limits) (blueprint.Blueprint, error) {
	switch {
	case s.original != nil:
		return s.of(l), s.engine.absent(ctx, *s.original)
	case s.project == nil:
		return s.of(l), nil
	}
	return s.of(l).Renamed(s.project.networks, s.project.volumes), s.project.stands(ctx, s.engine)
}

// Release puts back what Take changed, even though ctx has ended, and returns
// what is not as it was.
func (s *Subject) Release(ctx context.Context, owner Owner) (changed []string, err error) {
	switch {
	case s.original != nil:
		return s.engine.putBack(ctx, owner, *s.original)
	case s.project != nil:
		return nil, s.engine.takeDown(ctx, owner)
	default:
		return nil, nil
	}
}
