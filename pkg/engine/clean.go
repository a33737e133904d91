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

// Clean puts the engine back as it was before those with sweep's labels whose
// owner is an orphan: it removes their containers, starts the containers again
// that they had stopped, and removes Swarm services, networks, volumes and images.
// It says what it did, in words. It does what it can; err joins the reasons for
// what is left.
// Without a label of sweep's nothing is removed. An owner is judged once.
func (e *Engine) Clean(ctx context.Context, orphan func(Owner) bool) (did []string, err error) {
	orphan = once(orphan)
	did, err = e.cleanContainers(ctx, orphan)
	for _, rest := range []func(context.Context, func(Owner) bool) ([]string, error){e.cleanSwarm, e.cleanNetworks, e.cleanVolumes, e.cleanImages} {
		more, restErr := rest(ctx, orphan)
		did, err = append(did, more...), errors.Join(err, restErr)
	}
	return did, err
}

// once returns f with what it has said of an owner remembered: to ask may take
// long.
func once(f func(Owner) bool) func(Owner) bool {
	said := map[Owner]bool{}
	return func(o Owner) bool {
		answer, known := said[o]
		if !known {
			answer = f(o)
			said[o] = answer
		}
		return answer
	}
}

func ours() filters.Args { return filters.NewArgs(filters.Arg("label", labelRun)) }

// cleaning is what was removed of orphans, in words, and why the rest wasn't.
type cleaning struct {
	orphan func(Owner) bool
	did    []string
	err    error
}

// remove removes what has an orphan's labels, where it is still there.
func (c *cleaning) remove(what string, labels map[string]string, remove func() (removed bool, err error)) {
	if !c.orphan(ownerOf(labels)) {
		return
	}
	switch removed, err := remove(); {
	case err != nil:
		c.err = errors.Join(c.err, fmt.Errorf("remove %s: %w", what, err))
	case removed:
		c.did = append(c.did, "removed "+what)
	}
}

// gone returns what became of something that was to be removed: that it wasn't
// there is no error.
func gone(err error) (removed bool, _ error) {
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// turns are in which order containers go: agents live in the services' network
// namespaces, services need their dependencies, and the originals need the
// addresses and ports that services have.
var turns = []role{roleAgent, roleService, roleDependency, roleNote} //nolint:gochecknoglobals // a table

// cleanContainers cleans those that have one of the roles, or all.
func (e *Engine) cleanContainers(ctx context.Context, orphan func(Owner) bool, roles ...role) (did []string, err error) {
	all, err := e.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's containers: %w", err)
	}
	slices.SortStableFunc(all, func(a, b container.Summary) int {
		return cmp.Compare(turn(a), turn(b))
	})
	for _, c := range all {
		if len(roles) > 0 && !slices.Contains(roles, role(c.Labels[labelRole])) || !orphan(ownerOf(c.Labels)) {
			continue
		}
		what, cleanErr := e.cleanContainer(ctx, c)
		err = errors.Join(err, cleanErr)
		if what != "" {
			did = append(did, what)
		}
	}
	return did, err
}

// turn returns when a container's turn is.
func turn(c container.Summary) int { return slices.Index(turns, role(c.Labels[labelRole])) }

func (e *Engine) cleanContainer(ctx context.Context, c container.Summary) (did string, err error) {
	if role(c.Labels[labelRole]) != roleNote {
		if err := e.remove(ctx, c.ID); err != nil {
			return "", err
		}
		return "removed " + containerName(c), nil
	}
	note, err := e.docker.ContainerInspect(ctx, c.ID)
	switch {
	case errdefs.IsNotFound(err):
		return "", nil // somebody else has put it back meanwhile
	case err != nil:
		return "", fmt.Errorf("read note %s: %w", containerName(c), err)
	default:
		return e.unpark(ctx, note)
	}
}

func containerName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID
	}
	return strings.TrimPrefix(c.Names[0], "/")
}

// cleanImages removes images by their tags, which spares one that is in use
// by a container.
func (e *Engine) cleanImages(ctx context.Context, orphan func(Owner) bool) (did []string, err error) {
	all, err := e.docker.ImageList(ctx, image.ListOptions{Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's images: %w", err)
	}
	for _, i := range all {
		if role(i.Labels[labelRole]) != roleAgent || !orphan(ownerOf(i.Labels)) {
			continue // what somebody made of a container of ours has its labels, and is theirs
		}
		names := slices.DeleteFunc(slices.Clone(i.RepoTags), func(tag string) bool { return !strings.HasPrefix(tag, agentImage) })
		if len(i.RepoTags) == 0 {
			names = []string{i.ID}
		}
		for _, name := range names {
			_, removeErr := e.docker.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
			if removeErr != nil && !errdefs.IsNotFound(removeErr) {
				err = errors.Join(err, fmt.Errorf("remove image %s: %w", name, removeErr))
				continue
			}
			did = append(did, "removed "+name)
		}
	}
	return did, err
}
