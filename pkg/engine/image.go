package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// Image is an image that the engine has.
type Image struct {
	Ref     string   // as it was asked for
	ID      string   // what containers are made from, so that a tag that moves changes nothing
	Digests []string // its digests in registries; none where it was built here
}

// Image looks up an image among those that the engine has; nothing is pulled.
// Where it is missing, the error names the nearest tag of its repository.
func (e *Engine) Image(ctx context.Context, ref string) (Image, error) {
	found, err := e.docker.ImageInspect(ctx, ref)
	switch {
	case errdefs.IsNotFound(err):
		return Image{}, e.missing(ctx, ref)
	case err != nil:
		return Image{}, fmt.Errorf("look up image %s: %w", ref, err)
	}
	return Image{Ref: ref, ID: found.ID, Digests: found.RepoDigests}, nil
}

func (e *Engine) missing(ctx context.Context, ref string) error {
	hint := ""
	same := filters.NewArgs(filters.Arg("reference", repository(ref)))
	if others, err := e.docker.ImageList(ctx, image.ListOptions{Filters: same}); err == nil { // no hint is no harm
		var tags []string
		for _, o := range others {
			tags = append(tags, o.RepoTags...)
		}
		if tag := nearest(ref, tags); tag != "" {
			hint = ", or did you mean " + tag + "?"
		}
	}
	return fmt.Errorf("the engine has no image %s; build it, or pull it with `docker pull %[1]s`%s", ref, hint)
}

// repository returns ref without its tag and digest.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndex(ref, ":"); colon > strings.LastIndex(ref, "/") { // else it is a registry's port
		ref = ref[:colon]
	}
	return ref
}

// nearest returns the first of the tags that have the longest beginning in
// common with ref, or "" where there are no tags.
func nearest(ref string, tags []string) string {
	best, most := "", -1
	for _, tag := range tags {
		n := 0
		for n < len(tag) && n < len(ref) && tag[n] == ref[n] {
			n++
		}
		if n > most {
			best, most = tag, n
		}
	}
	return best
}
