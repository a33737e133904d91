package blueprint

import (
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/google/go-cmp/cmp"

	"sweep/pkg/experiment"
)

const id = "0123456789abcdef0123456789abcdef"

// running returns a container with everything that a clone must have or must
// not have.
func running() container.InspectResponse {
	off := true
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: id, Name: "/api", Image: "sha256:beef",
			State: &container.State{Running: true, Pid: 42, StartedAt: "2026-11-24T12:00:00Z"},
			HostConfig: &container.HostConfig{
				NetworkMode: "team", Binds: []string{"named:/named:z"}, Links: []string{"/db:/api/store"},
				RestartPolicy: container.RestartPolicy{Name: "always"}, ContainerIDFile: "/run/id",
				Mounts: []mount.Mount{{Type: mount.TypeVolume, Target: "/mounted"}},
				Resources: container.Resources{
					CPUQuota: 50_000, CPUPeriod: 100_000, Memory: 1 << 30, MemorySwap: -1, MemoryReservation: 1 << 29,
					OomKillDisable: &off, MemorySwappiness: new(int64(10)), CpusetCpus: "0",
				},
			},
		},
		Config: &container.Config{
			Image: "team/api:latest", Hostname: id[:12], Env: []string{"A=1", "B=2"}, Cmd: []string{"serve"},
			Labels: map[string]string{"com.docker.compose.service": "api"},
		},
		Mounts: []container.MountPoint{
			{Type: mount.TypeVolume, Name: "named", Destination: "/named", RW: true},
			{Type: mount.TypeVolume, Name: "anon", Destination: "/data", RW: true},
			{Type: mount.TypeVolume, Name: "mounted", Destination: "/mounted", RW: true},
			{Type: mount.TypeBind, Source: "/srv", Destination: "/srv"},
		},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
			"bridge": {IPAddress: "172.17.0.5", Aliases: []string{"x"}},
			"team": {
				IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.0.0.9"}, Aliases: []string{id[:12], "web"},
				IPAddress: "10.0.0.9", MacAddress: "02:42:0a:00:00:09", EndpointID: "e", Gateway: "10.0.0.1",
			},
		}},
	}
}

func TestACloneHasWhatTheOriginalHas(t *testing.T) {
	b, err := FromContainer(running())
	if err != nil {
		t.Fatal(err)
	}
	want := Blueprint{
		Config: container.Config{Image: "sha256:beef", Env: []string{"A=1", "B=2"}, Entrypoint: []string{""}, Cmd: []string{"serve"}},
		Host: container.HostConfig{
			NetworkMode: "team", Binds: []string{"anon:/data", "named:/named:z"}, Links: []string{"db:store"},
			RestartPolicy: container.RestartPolicy{Name: "always"},
			Mounts:        []mount.Mount{{Type: mount.TypeVolume, Source: "mounted", Target: "/mounted"}},
			Resources:     running().HostConfig.Resources,
		},
		Networks: []Network{
			{"team", network.EndpointSettings{
				IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.0.0.9"}, Aliases: []string{"api", "web"},
			}},
			{"bridge", network.EndpointSettings{}},
		},
	}
	if diff := cmp.Diff(want.clone(), b.clone()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	shared := "volume anon (/data), volume named (/named), volume mounted (/mounted)"
	if got := strings.Join(b.Shared(), ", "); got != shared {
		t.Errorf("it shares %s", got)
	}
}

func TestUnderReplacesEveryOtherLimit(t *testing.T) {
	b, err := FromContainer(running())
	if err != nil {
		t.Fatal(err)
	}
	l := experiment.Limits{CPU: 250_000_000, Memory: 200 * experiment.MiB}
	got := b.Under(l).Host
	want := container.Resources{NanoCPUs: 250_000_000, Memory: 200 << 20, MemorySwap: 200 << 20}
	if diff := cmp.Diff(want, got.Resources); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.RestartPolicy.Name != container.RestartPolicyDisabled {
		t.Errorf("it would be restarted: %v", got.RestartPolicy)
	}
	if b.Host.CPUQuota != 50_000 {
		t.Error("the blueprint itself has changed")
	}
}

func TestWithReplacesVariables(t *testing.T) {
	b := Blueprint{Config: container.Config{Env: []string{"A=1", "AB=2", "C"}}}
	got := b.With(map[string]string{"A": "3", "C": "4"}, map[string]string{"l": "x"}).Config
	if diff := cmp.Diff([]string{"AB=2", "A=3", "C=4"}, got.Env); diff != "" || got.Labels["l"] != "x" {
		t.Errorf("%v\n%s", got.Labels, diff)
	}
	if b.Config.Labels != nil || len(b.Config.Env) != 3 {
		t.Error("the blueprint itself has changed")
	}
}

func TestJoiningLeavesOneInItsNetworks(t *testing.T) {
	for mode, c := range map[string]struct{ networks, want []string }{
		"":       {nil, []string{"load"}},
		"bridge": {[]string{"bridge"}, []string{"bridge", "load"}},
		"inner":  {[]string{"inner", "outer"}, []string{"inner", "outer", "load"}},
	} {
		b := Blueprint{Host: container.HostConfig{NetworkMode: container.NetworkMode(mode)}}
		for _, n := range c.networks {
			b.Networks = append(b.Networks, Network{Name: n})
		}
		var got []string
		for _, n := range b.Joining("load").Networks {
			got = append(got, n.Name)
		}
		if !slices.Equal(got, c.want) || len(b.Networks) != len(c.networks) {
			t.Errorf("in %v it joins %v, and was left in %v", c.networks, got, b.Networks)
		}
		if first := b.Joining("load").Host.NetworkMode; string(first) != c.want[0] {
			t.Errorf("in %v its mode is %s", c.networks, first)
		}
	}
}

func TestWhatCannotBePutBackIsRefused(t *testing.T) {
	for says, change := range map[string]func(*container.InspectResponse){
		"not running":         func(c *container.InspectResponse) { c.State.Running = false },
		"paused":              func(c *container.InspectResponse) { c.State.Paused = true },
		"--rm":                func(c *container.InspectResponse) { c.HostConfig.AutoRemove = true },
		"in the network of":   func(c *container.InspectResponse) { c.HostConfig.NetworkMode = "container:db" },
		"among the processes": func(c *container.InspectResponse) { c.HostConfig.PidMode = "container:db" },
		"a task of Swarm":     func(c *container.InspectResponse) { c.Config.Labels["com.docker.swarm.task.id"] = "t" },
		"again and again":     func(c *container.InspectResponse) { c.State.Restarting = true },
		"control group":       func(c *container.InspectResponse) { c.HostConfig.CgroupParent = "/slice" },
		"shares memory with":  func(c *container.InspectResponse) { c.HostConfig.IpcMode = "container:db" },
		"":                    func(*container.InspectResponse) {},
	} {
		c := running()
		change(&c)
		_, err := FromContainer(c)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

func TestSharesWith(t *testing.T) {
	for mode, want := range map[container.NetworkMode]string{
		"container:api": "network", "container:" + id: "network", container.NetworkMode("container:" + id[:12]): "network",
		"container:apis": "", "bridge": "", "host": "",
	} {
		c := running()
		c.HostConfig.NetworkMode = mode
		if got := SharesWith(c, id, "api"); got != want {
			t.Errorf("%s: shares %q, want %q", mode, got, want)
		}
	}
}

func TestChangedTellsWhatARestartDoesNot(t *testing.T) {
	for says, change := range map[string]func(*container.InspectResponse){
		"": func(c *container.InspectResponse) {
			c.State.Pid, c.State.StartedAt, c.State.FinishedAt = 43, "2026-11-24T13:00:00Z", "2026-11-24T12:59:00Z"
			c.Mounts[0], c.Mounts[1] = c.Mounts[1], c.Mounts[0]
			c.NetworkSettings.Networks["bridge"].IPAddress = "172.17.0.6"
			c.NetworkSettings.Networks["team"].EndpointID = "f"
		},
		"HostConfig.Memory: 1073741824, now 5": func(c *container.InspectResponse) { c.HostConfig.Memory = 5 },
		"State.Running: true, now false":       func(c *container.InspectResponse) { c.State.Running = false },
		"10.0.0.7": func(c *container.InspectResponse) {
			c.NetworkSettings.Networks["team"].IPAMConfig.IPv4Address = "10.0.0.7"
		},
		`Config.User: "", now "root"`: func(c *container.InspectResponse) { c.Config.User = "root" },
	} {
		now := running()
		change(&now)
		got, err := Changed(running(), now)
		if err != nil || (says == "") != (len(got) == 0) || len(got) > 1 || len(got) == 1 && !strings.Contains(got[0], says) {
			t.Errorf("want %q, got %q, %v", says, got, err)
		}
	}
}
