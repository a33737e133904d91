package blueprint

import (
	"cmp"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
)

// Renamed returns b with other networks and volumes in the place of those that
// are named. What isn't named stays as it is.
func (b Blueprint) Renamed(networks, volumes map[string]string) Blueprint {
	b = b.clone()
	for i, n := range b.Networks {
		b.Networks[i].Name = cmp.Or(networks[n.Name], n.Name)
	}
	if len(b.Networks) > 0 {
		b.Host.NetworkMode = container.NetworkMode(b.Networks[0].Name)
	}
	for i, m := range b.Host.Mounts {
		if m.Type == mount.TypeVolume {
			b.Host.Mounts[i].Source = cmp.Or(volumes[m.Source], m.Source)
		}
	}
	return b
}
