package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
)

// Image is an image that the engine has.
type Image struct {
	Ref     string   // as it was asked for
	ID      string   // what containers are made from, so that a tag that moves changes nothing
	Digests []string // its digests in registries; none where it was built here
}

// Image looks up an image among those that the engine has; nothing is pulled.
// Where it is missing, the error names the nearest tag.
func (e *Engine) Image(ctx context.Context, ref string) (Image, error) {
	found, err := e.lookUp(ctx, ref)
	if errdefs.IsNotFound(err) {
		return Image{}, fmt.Errorf("the engine has no image %s; build it, or pull it with `docker pull %[1]s`%s", ref, e.hint(ctx, ref))
	}
	return found, err
}

func (e *Engine) lookUp(ctx context.Context, ref string) (Image, error) {
	found, err := e.docker.ImageInspect(ctx, ref)
	if err != nil {
		return Image{}, fmt.Errorf("look up image %s: %w", ref, err)
	}
	return Image{Ref: ref, ID: found.ID, Digests: found.RepoDigests}, nil
}

// hint names the image of the engine's that may have been meant by one that it
// doesn't have: of the same repository, or else of a similar name.
func (e *Engine) hint(ctx context.Context, ref string) string {
	all, err := e.docker.ImageList(ctx, image.ListOptions{})
	if err != nil { // no hint is no harm
		return ""
	}
	var same, others []string
	for _, i := range all {
		for _, tag := range i.RepoTags {
			if repository(tag) == repository(ref) {
				same = append(same, tag)
			} else if similar(tag, ref) {
				others = append(others, tag)
			}
		}
	}
	if tag := cmp.Or(nearest(ref, same), nearest(ref, others)); tag != "" {
		return ", or did you mean " + tag + "?"
	}
	return ""
}

// similar reports whether two names differ in a third of them at most, in one
// place.
func similar(a, b string) bool {
	longer, shorter := max(len(a), len(b)), min(len(a), len(b))
	head := 0
	for head < shorter && a[head] == b[head] {
		head++
	}
	end := 0
	for end < shorter-head && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return 3*(head+end) >= 2*longer
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
