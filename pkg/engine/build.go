package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/build"
)

// A BuildSpec says what image to build. Values of Args may be secrets, and
// [Engine.Build] hides them; but the engine keeps them in the image's history.
type BuildSpec struct {
	Context    string            // the folder's absolute path
	Dockerfile string            // its path, relative to the context or absolute; "" is Dockerfile
	Args       map[string]string // of ARG
	Target     string            // the stage; "" is the last one
	Tag        string            // the image's name; "" is none
	Labels     map[string]string
}

// Build builds an image on the engine from a folder of this machine, and tells
// progress each step as it begins, in a line. What .dockerignore names isn't
// sent. It takes BuildKit where that is the engine's own choice, else the
// classic builder; DOCKER_BUILDKIT=1 or 0 decides. Images that it builds from are
// pulled where they are missing, with docker's credentials.
//
// An error names the step that failed, its exit code and the last 20 lines of
// its output. Values of arguments are hidden if they have four characters or
// more; in the names of images that are pulled they are not. The end of ctx cancels the build; what it has cached stays.
func (e *Engine) Build(ctx context.Context, spec BuildSpec, progress func(string)) (Image, error) {
	built, err := e.build(ctx, spec, progress)
	if err = cmp.Or(ctx.Err(), err); err != nil {
		return Image{}, fmt.Errorf("build %s: %w", spec.Context, err)
	}
	return built, nil
}

func (e *Engine) build(ctx context.Context, spec BuildSpec, progress func(string)) (Image, error) {
	folder, err := openContext(spec.Context, spec.Dockerfile)
	if err != nil {
		return Image{}, err
	}
	options, err := e.buildOptions(ctx, spec, folder.dockerfile)
	if err != nil {
		return Image{}, err
	}
	log, err := e.runBuildAgain(ctx, folder, options, func() *buildLog { return newBuildLog(spec.Args, progress) })
	if err != nil {
		return Image{}, stages(err, spec.Target, folder.first[folder.dockerfile])
	}
	found, err := e.docker.ImageInspect(ctx, cmp.Or(log.image, spec.Tag))
	if err != nil {
		return Image{}, fmt.Errorf("look up what was built: %w", err)
	}
	return Image{Ref: cmp.Or(spec.Tag, found.ID), ID: found.ID, Digests: found.RepoDigests}, nil
}

func (e *Engine) buildOptions(ctx context.Context, spec BuildSpec, dockerfile string) (build.ImageBuildOptions, error) {
	version, err := e.builder(ctx)
	if err != nil {
		return build.ImageBuildOptions{}, err
	}
	options := build.ImageBuildOptions{
		Dockerfile: dockerfile, Target: spec.Target, Labels: spec.Labels, Version: version,
		BuildArgs: map[string]*string{},
		Remove:    true, ForceRemove: true, // the containers of its steps
	}
	if spec.Tag != "" {
		options.Tags = []string{spec.Tag}
	}
	for name, value := range spec.Args {
		options.BuildArgs[name] = &value
	}
	if version == build.BuilderV1 {
		options.AuthConfigs = allCredentials()
	}
	return options, nil
}

// builder chooses the builder as docker does.
func (e *Engine) builder(ctx context.Context) (build.BuilderVersion, error) {
	if value := os.Getenv("DOCKER_BUILDKIT"); value != "" {
		kit, err := strconv.ParseBool(value)
		switch {
		case err != nil:
			return "", fmt.Errorf("DOCKER_BUILDKIT is %q; set it to 1 for BuildKit or to 0 for the classic builder", value)
		case kit:
			return build.BuilderBuildKit, nil
		}
		return build.BuilderV1, nil
	}
	ping, err := e.docker.Ping(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its builder: %w", err)
	}
	return cmp.Or(ping.BuilderVersion, build.BuilderV1), nil
}

// runBuildAgain builds, and pulls what the builder couldn't. BuildKit asks its
// client for credentials, even to pull what is there for everybody, over a
// session that there isn't here; but it takes what the engine has.
func (e *Engine) runBuildAgain(ctx context.Context, folder *buildContext, options build.ImageBuildOptions, newLog func() *buildLog) (*buildLog, error) {
	for pulled := map[string]bool{}; ; {
		log := newLog()
		err := e.runBuild(ctx, folder, options, log)
		base := log.lacks()
		if err == nil || base == "" || pulled[base] {
			return log, err
		}
		pulled[base] = true
		if _, err := e.Ensure(ctx, base, log.progress); err != nil {
			return nil, err
		}
	}
}

// runBuild sends the context and reads what the builder says, to its end.
func (e *Engine) runBuild(ctx context.Context, folder *buildContext, options build.ImageBuildOptions, log *buildLog) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := folder.write(w)
		w.CloseWithError(err)
		written <- err
	}()
	err := e.readBuild(ctx, r, options, log)
	r.CloseWithError(io.ErrClosedPipe) // ends the writing where the engine hasn't read on
	if sending := <-written; sending != nil && !errors.Is(sending, io.ErrClosedPipe) {
		return fmt.Errorf("send the folder: %w", sending)
	}
	return err
}

// readBuild builds. BuildKit speaks before it has read the context.
func (e *Engine) readBuild(ctx context.Context, folder io.Reader, options build.ImageBuildOptions, log *buildLog) error {
	answer, err := e.docker.ImageBuild(ctx, folder, options)
	if err != nil {
		return errors.New(log.hide.Replace(words(err)))
	}
	defer answer.Body.Close()
	for message, err := range messages(answer.Body) {
		if err != nil {
			return fmt.Errorf("lost the engine while it built: %w", err)
		}
		if err := log.observe(message); err != nil {
			return err
		}
	}
	return nil
}

// stages adds a Dockerfile's stages to the error that target isn't one.
func stages(err error, target string, dockerfile []byte) error {
	if target == "" || !unknownTarget.MatchString(err.Error()) {
		return err
	}
	var names []string
	for _, found := range stageName.FindAllSubmatch(dockerfile, -1) {
		names = append(names, string(found[1]))
	}
	if len(names) == 0 {
		return fmt.Errorf("the Dockerfile has no stage %s; it names none", target)
	}
	return fmt.Errorf("the Dockerfile has no stage %s; it has %s", target, strings.Join(names, ", "))
}

// The builders' words for a target that isn't there, and a stage with a name.
var (
	unknownTarget = regexp.MustCompile(`build target \S+ in Dockerfile|target stage \S+ could not be found`)
	stageName     = regexp.MustCompile(`(?im)^\s*FROM\s.*\sAS\s+(\S+)\s*$`)
)
