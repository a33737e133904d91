package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
)

const (
	silentWithin  = 2 * time.Minute        // longer than an engine waits for a registry
	progressEvery = 300 * time.Millisecond // a line
)

// Pull pulls an image from its registry with the credentials that docker's
// configuration has for it, and tells progress how far it is: a line, a few
// times a second. An engine that says nothing for two minutes is given up.
//
// Where the registry refuses, the error says whether there were credentials,
// where, and how to log in; and in each case which image of the engine's may
// have been meant.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) (Image, error) {
	if err := e.pull(ctx, ref, silentWithin, progress); err != nil {
		return Image{}, fmt.Errorf("pull %s: %w%s", ref, err, e.hint(ctx, ref))
	}
	return e.Image(ctx, ref)
}

// Ensure returns an image that the engine has, and else pulls it.
func (e *Engine) Ensure(ctx context.Context, ref string, progress func(string)) (Image, error) {
	found, err := e.lookUp(ctx, ref)
	if !errdefs.IsNotFound(err) {
		return found, err
	}
	progress("pulling " + ref) // whose layers may all be here
	if err := e.pull(ctx, ref, silentWithin, progress); err != nil {
		return Image{}, fmt.Errorf("the engine has no image %s, and can't pull it: %w%s", ref, err, e.hint(ctx, ref))
	}
	return e.Image(ctx, ref)
}

func (e *Engine) pull(ctx context.Context, ref string, silence time.Duration, progress func(string)) error {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return fmt.Errorf("it isn't an image's name in a registry: %w", err)
	}
	login := loginFor(named)
	ctx, heard, stop := unlessSilent(ctx, silence)
	defer stop()
	if err := e.readPull(ctx, ref, login, heard, progress); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return login.explain(err)
	}
	return nil
}

// readPull lets the engine pull an image, and reads what it says to its end.
func (e *Engine) readPull(ctx context.Context, ref string, login login, heard func(), progress func(string)) error {
	auth, err := login.header()
	if err != nil {
		return fmt.Errorf("encode the credentials in %s: %w", login.place, err)
	}
	answer, err := e.docker.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer answer.Close()
	layers, say := layers{}, seldom(progress, progressEvery)
	line := func() string { return fmt.Sprintf("pulling %s: %s", ref, layers) }
	for message, err := range messages(answer) {
		heard()
		switch {
		case err != nil:
			return fmt.Errorf("lost the engine: %w", err)
		case message.Error != "":
			return errors.New(message.Error)
		case layers.observe(message):
			say(line(), false)
		}
	}
	if len(layers) > 0 {
		say(line(), true)
	}
	return nil
}

// explain says whose fault it is that an image can't be pulled, and what to do.
// Engines pass on the registry's words; that it refused isn't always in the
// status.
func (l login) explain(err error) error {
	text := words(err)
	switch {
	case isRefusal(text):
		return fmt.Errorf("the registry %s refuses it: %s; %s", l.registry, text, l.refused())
	case errdefs.IsNotFound(err), strings.Contains(text, "manifest unknown"):
		return fmt.Errorf("the registry %s doesn't have it: %s", l.registry, text)
	}
	return fmt.Errorf("from the registry %s: %s", l.registry, text)
}

// words returns what the engine said, without the client's preface.
func words(err error) string {
	return strings.TrimPrefix(err.Error(), "Error response from daemon: ")
}

// isRefusal reports whether a registry's words mean that it wants other
// credentials. Some say the same of what they don't have.
func isRefusal(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"unauthorized", "denied", "no basic auth credentials", "authentication required", "authorization failed", "403 forbidden"},
		func(word string) bool { return strings.Contains(text, word) })
}
