package engine

import (
	"context"
	"fmt"
	"path/filepath"

	"sweep/pkg/experiment"
)

// supply is how images are come by: looked up among those that the engine has,
// or made sure of.
type supply interface {
	named(ctx context.Context, ref string) (Image, error)
	built(ctx context.Context, spec BuildSpec) (Image, error)
}

// present are the images that the engine has.
type present struct{ *Engine }

func (p present) named(ctx context.Context, ref string) (Image, error) { return p.Image(ctx, ref) }

func (p present) built(ctx context.Context, spec BuildSpec) (Image, error) {
	image, err := p.lookUp(ctx, spec.Tag)
	if err != nil {
		return image, fmt.Errorf("%s is not built yet; `sweep run` does it first", spec.Context)
	}
	return image, nil
}

// obtained are images that are pulled where they are missing, and built.
type obtained struct {
	*Engine
	say func(string)
}

func (o obtained) named(ctx context.Context, ref string) (Image, error) {
	return o.Ensure(ctx, ref, o.say)
}

func (o obtained) built(ctx context.Context, spec BuildSpec) (Image, error) {
	return o.Build(ctx, spec, o.say)
}

// buildSpec says how an experiment's own image is built. Its name stays, so
// that another build is quick.
func buildSpec(x *experiment.Experiment, folder string) (BuildSpec, error) {
	b := x.Service.Build
	context, err := filepath.Abs(filepath.Join(folder, b.Context))
	if filepath.IsAbs(b.Context) {
		context, err = filepath.Clean(b.Context), nil
	}
	if err != nil {
		return BuildSpec{}, fmt.Errorf("find the folder to build: %w", err)
	}
	args := map[string]string{}
	for name, value := range b.Args {
		args[name] = value.Resolved
	}
	return BuildSpec{
		Context: context, Dockerfile: b.Dockerfile, Args: args, Target: b.Target,
		Tag: "sweep/build:" + safe(x.Name),
	}, nil
}
