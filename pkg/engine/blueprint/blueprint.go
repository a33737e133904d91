// Package blueprint says what a container is made from: everything that the
// engine is told of it but its name. A blueprint comes from an image, from a
// container that runs, or from a Compose file, and is the same for every trial
// but for the limits.
//
// It is pure: values in, values out; package engine asks the engine.
package blueprint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"sweep/pkg/experiment"
)

// Blueprint is what a container is made from. Its methods return copies and
// leave it as it is.
type Blueprint struct {
	Config   container.Config
	Host     container.HostConfig
	Networks []Network // none: as Host.NetworkMode says; else the first is what the container is created in
}

// Network is a network that a container joins, and how.
type Network struct {
	Name     string // or id
	Endpoint network.EndpointSettings
}

// FromImage returns the blueprint of a container of an image, by its id, as
// the image has it.
func FromImage(id string) Blueprint {
	return Blueprint{Config: container.Config{Image: id}}
}

// Under returns b with limits of CPU and memory, no swap, and no restart: that
// would hide a crash. Whatever limited CPU and memory before is gone.
func (b Blueprint) Under(l experiment.Limits) Blueprint {
	b = b.clone()
	limit(&b.Host.Resources, l)
	b.Host.AutoRemove = false
	b.Host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyDisabled}
	b.Host.LogConfig = bounded(b.Host.LogConfig)
	return b
}

// limit sets the limits as one group: an engine takes either a number of CPUs
// or a quota, and a reservation may not exceed the memory.
func limit(r *container.Resources, l experiment.Limits) {
	r.NanoCPUs = int64(l.CPU)
	r.CPUPeriod, r.CPUQuota, r.CPUCount, r.CPUPercent, r.CPUShares = 0, 0, 0, 0, 0
	r.CpusetCpus = "" // fewer cores than CPUs would be the limit instead
	r.Memory = int64(l.Memory)
	r.MemorySwap = int64(l.Memory) // memory and swap together, so: no swap
	r.MemorySwappiness = nil       // cgroup v2 refuses it
	if r.MemoryReservation > r.Memory {
		r.MemoryReservation = 0
	}
	r.KernelMemory, r.KernelMemoryTCP = 0, 0 //nolint:staticcheck // engines before 24 still take them
	r.OomKillDisable = nil                   // else it would hang at its limit
}

// bounded returns a configuration of logs that can be read back, and that a
// busy access log can't fill the disk with. Of one file alone, nothing is left
// after a rotation.
func bounded(c container.LogConfig) container.LogConfig {
	switch c.Type {
	case "local", "journald":
		return c
	case "json-file":
		if c.Config["max-size"] != "" {
			return c
		}
	}
	return container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}}
}

// With returns b with variables of the environment set, whether it had them or
// not, and with labels.
func (b Blueprint) With(env, labels map[string]string) Blueprint {
	b = b.clone()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		b.Config.Env = slices.DeleteFunc(b.Config.Env, func(e string) bool {
			return e == name || strings.HasPrefix(e, name+"=")
		})
		b.Config.Env = append(b.Config.Env, name+"="+env[name])
	}
	if b.Config.Labels == nil {
		b.Config.Labels = map[string]string{}
	}
	maps.Copy(b.Config.Labels, labels)
	return b
}

// Joining returns b in one network more, and instead of the default network in
// that alone. The network mode may not be that of the host, of another container
// or none.
func (b Blueprint) Joining(network string) Blueprint {
	b = b.clone()
	if len(b.Networks) == 0 && (b.Host.NetworkMode == "" || b.Host.NetworkMode.IsDefault() || b.Host.NetworkMode.IsBridge()) {
		b.Host.NetworkMode = container.NetworkMode(network)
	}
	b.Networks = append(b.Networks, Network{Name: network})
	return b
}

// Digest returns a short name, in hexadecimal, of the whole blueprint. It tells
// nothing of what is in it, such as secrets of the environment.
func (b Blueprint) Digest() string {
	sum := sha256.Sum256(encoded(b))
	return hex.EncodeToString(sum[:6])
}

// clone returns a deep copy.
func (b Blueprint) clone() Blueprint {
	var c Blueprint
	if err := json.Unmarshal(encoded(b), &c); err != nil {
		panic(err) // these types are made for JSON
	}
	return c
}

func encoded(b Blueprint) []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // likewise
	}
	return text
}
