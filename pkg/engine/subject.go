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
	Image Image
	Notes []string // what the user should know before it is taken

	engine    *Engine
	blueprint blueprint.Blueprint
	original  *container.InspectResponse // the container in whose place it runs, or nil
	project   *project                   // the Compose project that it is of, or nil
}

// Find finds the service of an experiment, whose file is in a folder.
func (e *Engine) Find(ctx context.Context, s experiment.Service, folder string) (*Subject, error) {
	switch {
	case s.Compose != nil:
		return e.findProject(ctx, *s.Compose, folder, func(string) {})
	case s.Container != "":
		return e.findContainer(ctx, s.Container)
	case s.Image != "":
		image, err := e.Image(ctx, s.Image)
		if err != nil {
			return nil, err
		}
		return e.subject(image), nil
	default:
		return nil, errors.New("this kind of service is not supported yet")
	}
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

// made returns what containers are made from once the subject is taken. The
// error is that what it depends on is not there any more.
func (s *Subject) made(ctx context.Context) (blueprint.Blueprint, error) {
	if s.project == nil {
		return s.blueprint, nil
	}
	return s.blueprint.Renamed(s.project.networks, s.project.volumes), s.project.stands(ctx, s.engine)
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
