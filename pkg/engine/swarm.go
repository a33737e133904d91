package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"sweep/pkg/measure"
)

const (
	placeWithin  = 5 * time.Minute // nodes may have an image to pull
	placeLooks   = 200 * time.Millisecond
	unplaced     = 5 * time.Second // how long a Swarm may find no node for a task: it may only just have lost one
	letsGoWithin = 10 * time.Second
	letsGoLooks  = 100 * time.Millisecond
)

// Swarm is other machines for workers: nodes of the Docker Swarm of which the
// engine is a manager, and an overlay network that they share with the
// containers of this engine. The engine's own node isn't among them: what runs
// there is the service, whose limits Swarm couldn't set, since it can't switch
// swap off.
//
// A crew's workers are one Swarm service, whose tasks aren't started again: a
// worker that ends has ended.
type Swarm struct {
	engine     *Engine
	owner      Owner
	constraint string
	network    string
}

// Swarm makes the network of a run's workers, on nodes to which a constraint
// applies in the words of docker's, or on any where it is empty. The engine has to
// be a manager, and the subject able to join the network, which gives it no way
// out of networks of its own.
func (e *Engine) Swarm(ctx context.Context, owner Owner, subject *Subject, constraint string) (*Swarm, error) {
	switch node := e.info.Swarm; {
	case node.LocalNodeState != swarm.LocalNodeStateActive:
		return nil, fmt.Errorf("the engine at %s is in no Docker Swarm; `docker swarm init` makes one, and `docker swarm join` adds the machines that make the load", e.Endpoint())
	case !node.ControlAvailable:
		return nil, fmt.Errorf("the engine at %s is a worker of its Docker Swarm, and only a manager can place the load; run the service on a manager, or make this node one by `docker node promote %s`", e.Endpoint(), node.NodeID)
	}
	if mode := subject.blueprint.Host.NetworkMode; mode.IsHost() || mode.IsNone() || mode.IsContainer() {
		return nil, fmt.Errorf("the service is in network mode %s and can't join another network, so the load can't come from other machines; remove placement, and write users.from: service", mode)
	}
	if err := e.hasNodes(ctx); err != nil {
		return nil, err
	}
	s := &Swarm{engine: e, owner: owner, constraint: constraint, network: owner.name("load")}
	ctx, cancel := cleanup(ctx) // the engine would make it though nobody waited any more
	defer cancel()
	options := network.CreateOptions{Driver: "overlay", Attachable: true, Internal: len(subject.blueprint.Networks) > 0, Labels: owner.labels(roleNetwork)}
	if _, err := e.docker.NetworkCreate(ctx, s.network, options); err != nil {
		return nil, errors.Join(fmt.Errorf("make the overlay network %s: %w", s.network, err), s.Remove(ctx))
	}
	return s, nil
}

// hasNodes returns an error where no other node of the Swarm can run tasks.
func (e *Engine) hasNodes(ctx context.Context) error {
	nodes, err := e.docker.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes of the Docker Swarm: %w", err)
	}
	for _, n := range nodes {
		if n.ID != e.info.Swarm.NodeID && n.Status.State == swarm.NodeStateReady && n.Spec.Availability == swarm.NodeAvailabilityActive {
			return nil
		}
	}
	return errors.New("no other node of the Docker Swarm is ready, and this one runs the service; `docker node ls` lists them, and `docker swarm join` adds one")
}

// Remove removes the network. All that was on it must be gone before. Of a nil
// Swarm there is nothing to remove.
func (s *Swarm) Remove(ctx context.Context) error {
	if s == nil {
		return nil
	}
	ctx, cancel := cleanup(ctx)
	defer cancel()
	if _, err := s.engine.removeNetwork(ctx, s.network); err != nil {
		return fmt.Errorf("remove network %s: %w", s.network, err)
	}
	return nil
}

// placed are workers on other nodes.
type placed struct {
	swarm   *Swarm
	service string // "": none
	configs []string
}

// errNodeLost is that a node went away which had been given a task.
var errNodeLost = fmt.Errorf("%w: its node is down", measure.ErrLost)

// place starts n workers and returns once all run, or errNodeLost where one can't
// for that its node went away. What it returns with an error is what has still
// to be dismissed.
func (s *Swarm) place(ctx context.Context, w Worker, command []string, files int64, n int) (*placed, error) {
	ctx, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	p, err := s.start(ctx, w, command, files, n)
	if err == nil {
		err = p.await(ctx, n)
	}
	if err == nil || errors.Is(err, errNodeLost) || ctx.Err() != nil {
		return p, err
	}
	return p, fmt.Errorf("place %s on other nodes: %w%s", w.Image.Ref, err, after("; it said: ", p.said(ctx)))
}

// after returns what was said after words, nothing where nothing was.
func after(words, said string) string {
	if said = strings.TrimSpace(said); said == "" {
		return ""
	}
	return words + said
}

// start makes a service of n workers. What it returns with an error is what
// had been made.
func (s *Swarm) start(ctx context.Context, w Worker, command []string, files int64, n int) (*placed, error) {
	p := &placed{swarm: s}
	ctx, cancel := cleanup(ctx) // the engine would make it though nobody waited any more
	defer cancel()
	spec := s.spec(w, command, files, n)
	for _, name := range slices.Sorted(maps.Keys(w.Files)) {
		config := swarm.ConfigSpec{Annotations: swarm.Annotations{Name: s.called(name), Labels: s.owner.labels(roleAgent)}, Data: w.Files[name]}
		made, err := s.engine.docker.ConfigCreate(ctx, config)
		if err != nil {
			return p, fmt.Errorf("give the Swarm the file %s: %w", name, err)
		}
		p.configs = append(p.configs, made.ID)
		spec.TaskTemplate.ContainerSpec.Configs = append(spec.TaskTemplate.ContainerSpec.Configs, &swarm.ConfigReference{
			ConfigID: made.ID, ConfigName: config.Name,
			File: &swarm.ConfigReferenceFileTarget{Name: path.Join(crewFiles, name), UID: "0", GID: "0", Mode: 0o444},
		})
	}
	named, err := reference.ParseDockerRef(w.Image.Ref)
	if err != nil {
		return p, fmt.Errorf("%q isn't an image's name: %w", w.Image.Ref, err)
	}
	login := loginFor(named)
	auth, err := login.header()
	if err != nil {
		return p, fmt.Errorf("encode the credentials in %s: %w", login.place, err)
	}
	made, err := s.engine.docker.ServiceCreate(ctx, spec, swarm.ServiceCreateOptions{EncodedRegistryAuth: auth})
	if err != nil {
		return p, fmt.Errorf("make a service: %w", err)
	}
	p.service = made.ID
	return p, nil
}

// called returns the name of a part of what the run makes, fit for a Swarm: of
// letters, digits and hyphens, and at most 63 of them. What tells whose it is are
// its labels.
func (s *Swarm) called(part string) string {
	const most = 63
	name := strings.Trim(strings.NewReplacer(".", "-", "_", "-").Replace(s.owner.name(part)), "-")
	return strings.Trim(name[max(0, len(name)-most):], "-")
}

// spec returns what the workers' service is made from.
func (s *Swarm) spec(w Worker, command []string, files int64, n int) swarm.ServiceSpec {
	labels := s.owner.labels(roleAgent)
	c := &swarm.ContainerSpec{
		Image: w.Image.Ref, Labels: labels, Args: command,
		CapabilityDrop: []string{"ALL"},
		// As an agent on a network has it; see [Agent.Attach].
		Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "1024 65535"},
	}
	if len(w.Files) > 0 {
		c.Dir = crewFiles
	}
	for _, name := range slices.Sorted(maps.Keys(w.Env)) {
		c.Env = append(c.Env, name+"="+w.Env[name])
	}
	if files > 0 {
		c.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: files, Hard: files}}
	}
	where := []string{"node.id!=" + s.engine.info.Swarm.NodeID}
	if s.constraint != "" {
		where = append(where, s.constraint)
	}
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: s.called("workers"), Labels: labels},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: c,
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone},
			Placement:     &swarm.Placement{Constraints: where},
			Networks:      []swarm.NetworkAttachmentConfig{{Target: s.network}},
			LogDriver:     &swarm.Driver{Name: "json-file", Options: map[string]string{"max-size": "2m"}},
		},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: new(uint64(n))}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}, // nobody asks for them by a name
	}
}

// await waits until n workers run. It returns errNodeLost where one of them can't
// any more for that its node has gone.
func (p *placed) await(ctx context.Context, n int) error {
	began := time.Now()
	for {
		tasks, err := p.tasks(ctx)
		if err != nil {
			return err
		}
		if err := p.lostNode(ctx, tasks); err != nil {
			return err
		}
		running, waits := 0, ""
		for _, t := range tasks {
			why := lame(t)
			switch {
			case t.Status.State == swarm.TaskStateRunning:
				running++
			case why != nil && (t.Status.State != swarm.TaskStatePending || time.Since(began) > unplaced):
				return why
			default:
				waits = fmt.Sprintf("another is %s %s", t.Status.State, t.Status.Err)
			}
		}
		if running >= n {
			return nil
		}
		select {
		case <-time.After(placeLooks):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d run, %s: %w", running, n, waits, context.Cause(ctx))
		}
	}
}

// ended returns why one of them doesn't run any more.
func (p *placed) ended(ctx context.Context) error {
	tasks, err := p.tasks(ctx)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if why := lame(t); why != nil {
			return why
		}
	}
	return p.lostNode(ctx, tasks)
}

// lame returns why a task doesn't run and won't, nil where it may yet. A task
// that waits for a node has a reason, too, but may find one.
func lame(t swarm.Task) error {
	switch t.Status.State {
	case swarm.TaskStatePending, swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateComplete, swarm.TaskStateShutdown, swarm.TaskStateOrphaned:
	default:
		return nil
	}
	why := t.Status.Err
	switch {
	case why == "" && t.Status.State == swarm.TaskStatePending:
		return nil
	case strings.Contains(why, "No such image"):
		return errors.New(why + "; load it there, or name an image that the nodes can pull")
	case strings.Contains(why, "no suitable node"):
		return errors.New(why + "; `docker node ls` lists the nodes: the one that runs the service isn't used, nor those to which the constraint doesn't apply")
	case why == "":
		why = string(t.Status.State)
	}
	return fmt.Errorf("a worker ended: %s", why)
}

// lostNode returns errNodeLost where a task was given to a node that has gone
// since.
func (p *placed) lostNode(ctx context.Context, tasks []swarm.Task) error {
	nodes, err := p.swarm.engine.docker.NodeList(ctx, swarm.NodeListOptions{})
	if err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	for _, t := range tasks {
		for _, n := range nodes {
			if n.ID == t.NodeID && n.Status.State == swarm.NodeStateDown {
				return errNodeLost
			}
		}
	}
	return nil
}

func (p *placed) tasks(ctx context.Context) ([]swarm.Task, error) {
	tasks, err := p.swarm.engine.docker.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", p.service))})
	if err != nil {
		return nil, fmt.Errorf("list the workers: %w", err)
	}
	return tasks, nil
}

// said returns the last that the workers wrote, of those whose nodes tell.
func (p *placed) said(ctx context.Context) string {
	if p.service == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, usageWithin)
	defer cancel()
	stream, err := p.swarm.engine.docker.ServiceLogs(ctx, p.service, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: workerLines})
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	last := tail{limit: logBytes}
	_, _ = stdcopy.StdCopy(&last, &last, stream) // a node that is gone cuts it off
	return last.String()
}

// dismiss removes the service, and so tells its tasks to go.
func (p *placed) dismiss(ctx context.Context) error {
	var err error
	if p.service != "" {
		_, err = gone(p.swarm.engine.docker.ServiceRemove(ctx, p.service))
	}
	for _, id := range p.configs {
		_, configErr := gone(p.swarm.engine.docker.ConfigRemove(ctx, id))
		err = errors.Join(err, configErr)
	}
	if err != nil {
		return fmt.Errorf("remove the workers: %w", err)
	}
	return nil
}

// addressIn returns the address of a running container in a network.
func addressIn(c container.InspectResponse, name string) (string, error) {
	if n := c.NetworkSettings.Networks[name]; n != nil && n.IPAddress != "" {
		return n.IPAddress, nil
	}
	return "", fmt.Errorf("container %.12s has no address in network %s", c.ID, name)
}

// cleanSwarm removes services, and then the configurations that they had.
func (e *Engine) cleanSwarm(ctx context.Context, orphan func(Owner) bool) (did []string, err error) {
	if !e.info.Swarm.ControlAvailable {
		return nil, nil
	}
	services, err := e.docker.ServiceList(ctx, swarm.ServiceListOptions{Filters: ours()})
	if err != nil {
		return nil, fmt.Errorf("list sweep's services: %w", err)
	}
	c := cleaning{orphan: orphan}
	for _, s := range services {
		c.remove("service "+s.Spec.Name, s.Spec.Labels, func() (bool, error) { return gone(e.docker.ServiceRemove(ctx, s.ID)) })
	}
	configs, err := e.docker.ConfigList(ctx, swarm.ConfigListOptions{Filters: ours()})
	if err != nil {
		return c.did, errors.Join(c.err, fmt.Errorf("list sweep's configurations: %w", err))
	}
	for _, config := range configs {
		c.remove("configuration "+config.Spec.Name, config.Spec.Labels, func() (bool, error) { return gone(e.docker.ConfigRemove(ctx, config.ID)) })
	}
	return c.did, c.err
}
