package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// Clean removes the containers and then the images with sweep's labels whose
// owner is an orphan, and returns their names. It removes what it can; err
// joins the reasons for what is left. What has no label of sweep's is not even
// looked at.
func (e *Engine) Clean(ctx context.Context, orphan func(Owner) bool) (removed []string, err error) {
	containers, err := e.cleanContainers(ctx, orphan)
	images, imagesErr := e.cleanImages(ctx, orphan)
	return append(containers, images...), errors.Join(err, imagesErr)
}

func ours() filters.Args { return filters.NewArgs(filters.Arg("label", labelRun)) }

func (e *Engine) cleanContainers(ctx context.Context, orphan func(Owner) bool) (removed []string, err error) {
	all, err := e.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's containers: %w", err)
	}
	slices.SortStableFunc(all, func(a, b container.Summary) int { // agents live in the services' network namespaces
		return cmp.Compare(a.Labels[labelRole], b.Labels[labelRole])
	})
	for _, c := range all {
		if !orphan(ownerOf(c.Labels)) {
			continue
		}
		if removeErr := e.remove(ctx, c.ID); removeErr != nil {
			err = errors.Join(err, removeErr)
			continue
		}
		removed = append(removed, containerName(c))
	}
	return removed, err
}

func containerName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// cleanImages removes images by their tags, which spares one that is in use
// by a container.
func (e *Engine) cleanImages(ctx context.Context, orphan func(Owner) bool) (removed []string, err error) {
	all, err := e.docker.ImageList(ctx, image.ListOptions{Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's images: %w", err)
	}
	for _, i := range all {
		if !orphan(ownerOf(i.Labels)) {
			continue
		}
		names := i.RepoTags
		if len(names) == 0 {
			names = []string{i.ID}
		}
		for _, name := range names {
			_, removeErr := e.docker.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
			if removeErr != nil && !errdefs.IsNotFound(removeErr) {
				err = errors.Join(err, fmt.Errorf("remove image %s: %w", name, removeErr))
				continue
			}
			removed = append(removed, name)
		}
	}
	return removed, err
}
