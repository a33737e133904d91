package blueprint

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

// shortID is how many characters of a container's id stand for it.
const shortID = 12

// FromContainer returns the blueprint of a container that can take another's
// place while that is stopped: same image, command, environment, networks,
// names there, static addresses, ports and volumes. What belongs to one
// container alone is not in it: its id, its labels (another tool would take the
// clone for its own), its MAC address.
//
// The error is why nothing can take its place, in words that begin after its
// name: "it is removed as soon as it stops".
func FromContainer(c container.InspectResponse) (Blueprint, error) {
	if err := replaceable(c); err != nil {
		return Blueprint{}, err
	}
	b := Blueprint{Config: *c.Config, Host: *c.HostConfig}.clone()
	b.Config.Image = c.Image // by its id: the tag may have moved
	b.Config.Labels = nil
	if len(b.Config.Entrypoint) == 0 {
		// It has none, whatever its image says: an engine takes nothing for the
		// image's, and an empty word for none.
		b.Config.Entrypoint = []string{""}
	}
	b.Config.MacAddress = "" //nolint:staticcheck // engines before 25 have one
	if len(c.ID) >= shortID && b.Config.Hostname == c.ID[:shortID] {
		b.Config.Hostname = ""
	}
	b.Host.ContainerIDFile, b.Host.ConsoleSize = "", [2]uint{}
	b.Host.Links = links(b.Host.Links)
	inheritVolumes(&b.Host, c.Mounts)
	if b.Networks = networks(c); len(b.Networks) > 0 {
		b.Host.NetworkMode = container.NetworkMode(b.Networks[0].Name) // which may have been an id
	}
	if b.Host.NetworkMode.IsHost() {
		b.Config.Hostname = "" // the host's
	}
	return b, nil
}

// replaceable returns why a container can't be stopped and started again with
// another in its place meanwhile.
func replaceable(c container.InspectResponse) error {
	h := c.HostConfig
	switch {
	case c.State.Paused:
		return errors.New("it is paused; `docker unpause` it first")
	case !c.State.Running:
		return errors.New("it is not running; start it first")
	case c.State.Restarting:
		return errors.New("it ends and is restarted again and again; mend that first")
	case c.Config.Labels["com.docker.swarm.task.id"] != "":
		return errors.New("it is a task of Swarm, which would start another as soon as it stops; name its image instead")
	case c.Config.Labels["io.kubernetes.pod.name"] != "":
		return errors.New("it is of a pod of Kubernetes, which would start another as soon as it stops; name its image instead")
	case h.CgroupParent != "":
		return fmt.Errorf("it is under the limits of the control group %s too, which would be measured with its own; name its image instead", h.CgroupParent)
	case h.AutoRemove:
		return errors.New("it is removed as soon as it stops (--rm), so it couldn't be put back; start it without --rm, or name its image instead")
	case h.NetworkMode.IsContainer():
		return fmt.Errorf("it is in the network of another container (%s), whose load would be its own; name that one", h.NetworkMode)
	case h.PidMode.IsContainer():
		return fmt.Errorf("it is among the processes of another container (%s), which would be measured with it", h.PidMode)
	case h.IpcMode.IsContainer():
		return fmt.Errorf("it shares memory with another container (%s), which would be measured with it", h.IpcMode)
	default:
		return nil
	}
}

// SharesWith returns which of its namespaces a container shares with the one of
// this id or name, or nothing. It would lose them for good when that one stops.
func SharesWith(c container.InspectResponse, id, name string) string {
	h := c.HostConfig
	for _, s := range []struct{ what, owner string }{
		{"network", h.NetworkMode.ConnectedContainer()},
		{"processes", h.PidMode.Container()},
		{"shared memory", h.IpcMode.Container()},
	} {
		if s.owner != "" && (s.owner == name || strings.HasPrefix(id, s.owner)) {
			return s.what
		}
	}
	return ""
}

// links rewrites links as inspecting a container tells them, "/db:/web/db", as
// creating one takes them: "db:db".
func links(told []string) []string {
	var out []string
	for _, l := range told {
		target, alias, _ := strings.Cut(l, ":")
		out = append(out, strings.TrimPrefix(target, "/")+":"+path.Base(alias))
	}
	return out
}

// inheritVolumes names the volumes that the engine made for a container since
// nobody had named them, so that a clone has the same ones.
func inheritVolumes(h *container.HostConfig, mounts []container.MountPoint) {
	for _, m := range mounts {
		if m.Type != mount.TypeVolume || m.Name == "" {
			continue
		}
		if i := slices.IndexFunc(h.Mounts, func(x mount.Mount) bool { return path.Clean(x.Target) == path.Clean(m.Destination) }); i >= 0 {
			h.Mounts[i].Source = m.Name
			continue
		}
		h.Binds = slices.DeleteFunc(h.Binds, func(b string) bool { return !strings.Contains(b, ":") && bindTarget(b) == path.Clean(m.Destination) })
		if !slices.ContainsFunc(h.Binds, func(b string) bool { return bindTarget(b) == path.Clean(m.Destination) }) {
			bind := m.Name + ":" + m.Destination
			if !m.RW {
				bind += ":ro"
			}
			h.Binds = append(h.Binds, bind)
		}
	}
	slices.Sort(h.Binds)
}

// bindTarget returns the path inside the container of "source:target[:mode]".
func bindTarget(bind string) string {
	parts := strings.Split(bind, ":")
	if len(parts) == 1 {
		return path.Clean(parts[0])
	}
	return path.Clean(parts[1])
}

// networks returns what a clone joins, that of the network mode first. Its
// addresses are asked for only where somebody had chosen them.
func networks(c container.InspectResponse) []Network {
	if !c.HostConfig.NetworkMode.IsUserDefined() && !c.HostConfig.NetworkMode.IsBridge() && !c.HostConfig.NetworkMode.IsDefault() {
		return nil // none, or the host's: there is nothing to join
	}
	var out []Network
	for name, e := range c.NetworkSettings.Networks {
		n := Network{Name: name, Endpoint: network.EndpointSettings{DriverOpts: e.DriverOpts, GwPriority: e.GwPriority}}
		if name != network.NetworkBridge { // there it would be refused
			n.Endpoint.IPAMConfig, n.Endpoint.Links = e.IPAMConfig, links(e.Links)
			n.Endpoint.Aliases = aliases(c, e.Aliases)
		}
		out = append(out, n)
	}
	first := c.HostConfig.NetworkMode.NetworkName()
	if c.HostConfig.NetworkMode.IsDefault() {
		first = network.NetworkBridge
	}
	rank := func(n Network) int {
		if n.Name == first {
			return 0
		}
		return 1
	}
	slices.SortFunc(out, func(a, b Network) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// aliases returns by which names a clone is found: those of the original, and
// its own name, which the engine resolves too. Its id is not one of them.
func aliases(c container.InspectResponse, told []string) []string {
	var out []string
	for _, a := range append(slices.Clone(told), strings.TrimPrefix(c.Name, "/")) {
		if a != c.ID[:min(len(c.ID), shortID)] && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}

// Shared returns what a container of b writes to that outlives it: volumes and
// folders of the host, as "volume data (/data)".
func (b Blueprint) Shared() []string {
	var out []string
	for _, bind := range b.Host.Binds {
		source, rest, _ := strings.Cut(bind, ":")
		target, mode, _ := strings.Cut(rest, ":")
		if !slices.Contains(strings.Split(mode, ","), "ro") {
			out = append(out, shared(source, target))
		}
	}
	for _, m := range b.Host.Mounts {
		if !m.ReadOnly && m.Source != "" && (m.Type == mount.TypeVolume || m.Type == mount.TypeBind) {
			out = append(out, shared(m.Source, m.Target))
		}
	}
	return out
}

// Folders returns those of [Blueprint.Shared] that are folders of the host.
func (b Blueprint) Folders() []string {
	return slices.DeleteFunc(b.Shared(), func(s string) bool { return !strings.HasPrefix(s, folder) })
}

const folder = "folder "

func shared(source, target string) string {
	kind := "volume "
	if strings.HasPrefix(source, "/") {
		kind = folder
	}
	return fmt.Sprintf("%s%s (%s)", kind, source, target)
}
