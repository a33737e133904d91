package compose

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	"github.com/docker/go-connections/nat"
	"github.com/docker/go-units"

	"sweep/pkg/engine/blueprint"
)

// unlimit takes the limits of CPU and memory out of a service, and tells them.
func unlimit(s *types.ServiceConfig) string {
	var had []string
	tell := func(key string, value any, given bool) {
		if given {
			had = append(had, fmt.Sprintf("%s %v", key, value))
		}
	}
	tell("cpus", s.CPUS, s.CPUS != 0)
	tell("cpu_quota", s.CPUQuota, s.CPUQuota != 0)
	tell("mem_limit", size(s.MemLimit), s.MemLimit != 0)
	tell("memswap_limit", size(s.MemSwapLimit), s.MemSwapLimit != 0)
	tell("mem_reservation", size(s.MemReservation), s.MemReservation != 0)
	s.CPUS, s.CPUQuota, s.CPUPeriod, s.CPUCount, s.CPUPercent = 0, 0, 0, 0, 0
	s.MemLimit, s.MemSwapLimit, s.MemReservation, s.MemSwappiness, s.OomKillDisable = 0, 0, 0, 0, false
	if s.Deploy == nil {
		return strings.Join(had, ", ")
	}
	deploy := *s.Deploy // the project keeps its own
	if l := deploy.Resources.Limits; l != nil {
		tell("cpus", l.NanoCPUs, l.NanoCPUs != 0 && s.CPUS == 0)
		tell("memory", size(l.MemoryBytes), l.MemoryBytes != 0)
		left := *l
		left.NanoCPUs, left.MemoryBytes = 0, 0
		deploy.Resources.Limits = &left
	}
	if r := deploy.Resources.Reservations; r != nil {
		tell("reserved memory", size(r.MemoryBytes), r.MemoryBytes != 0)
		left := *r
		left.MemoryBytes = 0
		deploy.Resources.Reservations = &left
	}
	s.Deploy = &deploy
	return strings.Join(had, ", ")
}

func size(b types.UnitBytes) string { return units.BytesSize(float64(b)) }

// make returns what a service is made from. The error begins with the key that
// can't be honoured.
func (f *File) make(s types.ServiceConfig) (Service, error) {
	out := Service{Name: s.Name, Image: cmp.Or(s.Image, f.Name+"-"+s.Name), Build: build(s)}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		out.After = append(out.After, After{Service: name, Condition: Condition(cmp.Or(d.Condition, string(Started))), Required: d.Required})
	}
	if err := apart(s); err != nil {
		return out, err
	}
	host, err := f.host(s)
	if err != nil {
		return out, err
	}
	out.Blueprint = blueprint.Blueprint{Config: config(s), Host: host, Networks: f.joined(s)}
	if len(out.Blueprint.Networks) > 0 {
		out.Blueprint.Host.NetworkMode = container.NetworkMode(out.Blueprint.Networks[0].Name)
	}
	return out, nil
}

// apart returns an error where a service can't have a container of its own, or
// where a value asks for what sweep doesn't do.
func apart(s types.ServiceConfig) error {
	for _, x := range []struct{ key, value string }{
		{"network_mode", s.NetworkMode}, {"pid", s.Pid}, {"ipc", s.Ipc}, {"uts", s.Uts}, {"cgroup", s.Cgroup},
	} {
		if strings.HasPrefix(x.value, types.ServicePrefix) || strings.HasPrefix(x.value, types.ContainerPrefix) {
			return fmt.Errorf("%s: %s: what it shares with another container would be measured with it", x.key, x.value)
		}
	}
	if p := s.PullPolicy; p != "" && p != types.PullPolicyMissing && p != types.PullPolicyIfNotPresent {
		return fmt.Errorf("pull_policy: %s: images are pulled where they are missing, and never else", p)
	}
	for _, link := range s.Links {
		if name, alias, ok := strings.Cut(link, ":"); ok && alias != name {
			return fmt.Errorf("links: %s: give %s that alias under networks instead", link, name)
		}
	}
	for _, option := range s.SecurityOpt {
		name, value, _ := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
		if name == "seccomp" && value != "unconfined" && value != "builtin" || name == "systempaths" {
			return fmt.Errorf("security_opt: %s: only what the engine knows by name is handed on", option)
		}
	}
	return nil
}

func build(s types.ServiceConfig) *Build {
	if s.Build == nil {
		return nil
	}
	out := Build{Context: s.Build.Context, Dockerfile: s.Build.Dockerfile, Target: s.Build.Target, Args: map[string]string{}}
	for name, value := range s.Build.Args {
		if value != nil {
			out.Args[name] = *value
		}
	}
	out.Refused = inspect("services."+s.Name+".build", s.Build, buildRules).refused
	return &out
}

func config(s types.ServiceConfig) container.Config {
	c := container.Config{
		Hostname: s.Hostname, Domainname: s.DomainName, User: s.User, WorkingDir: s.WorkingDir,
		Tty: s.Tty, OpenStdin: s.StdinOpen, StopSignal: s.StopSignal,
		Cmd: strslice.StrSlice(s.Command), Entrypoint: strslice.StrSlice(s.Entrypoint),
		Healthcheck: healthcheck(s.HealthCheck),
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[name]; value != nil {
			c.Env = append(c.Env, name+"="+*value)
		}
	}
	for _, port := range s.Expose {
		number, protocol, _ := strings.Cut(port, "/")
		if c.ExposedPorts == nil {
			c.ExposedPorts = nat.PortSet{}
		}
		c.ExposedPorts[nat.Port(number+"/"+cmp.Or(protocol, "tcp"))] = struct{}{}
	}
	if s.StopGracePeriod != nil {
		seconds := int(math.Ceil(time.Duration(*s.StopGracePeriod).Seconds()))
		c.StopTimeout = &seconds
	}
	return c
}

func healthcheck(h *types.HealthCheckConfig) *container.HealthConfig {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	out := container.HealthConfig{
		Test: h.Test, Interval: long(h.Interval), Timeout: long(h.Timeout),
		StartPeriod: long(h.StartPeriod), StartInterval: long(h.StartInterval),
	}
	if h.Retries != nil {
		out.Retries = int(min(*h.Retries, math.MaxInt32)) //nolint:gosec // bounded
	}
	return &out
}

func long(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

func (f *File) host(s types.ServiceConfig) (container.HostConfig, error) {
	h := container.HostConfig{
		Annotations: s.Annotations, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		DNS: s.DNS, DNSOptions: s.DNSOpts, DNSSearch: s.DNSSearch, ExtraHosts: slices.Sorted(slices.Values(s.ExtraHosts.AsList(":"))),
		GroupAdd: s.GroupAdd, OomScoreAdj: int(s.OomScoreAdj), Privileged: s.Privileged, ReadonlyRootfs: s.ReadOnly,
		SecurityOpt: securityOptions(s.SecurityOpt), StorageOpt: s.StorageOpt, ShmSize: int64(s.ShmSize), Sysctls: s.Sysctls, Runtime: s.Runtime, Init: s.Init,
		NetworkMode: container.NetworkMode(s.NetworkMode), PidMode: container.PidMode(s.Pid), IpcMode: container.IpcMode(s.Ipc),
		UTSMode: container.UTSMode(s.Uts), UsernsMode: container.UsernsMode(s.UserNSMode), CgroupnsMode: container.CgroupnsMode(s.Cgroup),
		RestartPolicy: restartPolicy(s), Resources: resources(s),
	}
	if s.Logging != nil {
		h.LogConfig = container.LogConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	}
	for _, t := range s.Tmpfs {
		target, options, _ := strings.Cut(t, ":")
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[target] = options
	}
	for i, v := range s.Volumes {
		if err := f.mount(&h, v); err != nil {
			return h, fmt.Errorf("volumes[%d]: %w", i, err)
		}
	}
	for _, x := range s.Secrets {
		h.Mounts = append(h.Mounts, readOnly(f.project.Secrets[x.Source].File, types.FileReferenceConfig(x), "/run/secrets/"))
	}
	for _, x := range s.Configs {
		h.Mounts = append(h.Mounts, readOnly(f.project.Configs[x.Source].File, types.FileReferenceConfig(x), "/"))
	}
	return h, nil
}

// securityOptions returns options as the engine takes them: older files have a
// colon in them.
func securityOptions(options []string) []string {
	var out []string
	for _, o := range options {
		if !strings.Contains(o, "=") {
			o = strings.Replace(o, ":", "=", 1)
		}
		out = append(out, o)
	}
	return out
}

// restartPolicy returns when a dependency is started again. The service under
// test never is.
func restartPolicy(s types.ServiceConfig) container.RestartPolicy {
	if s.Restart != "" {
		name, most, _ := strings.Cut(s.Restart, ":")
		n, _ := strconv.Atoi(most) // compose-go has checked it
		return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: n}
	}
	if s.Deploy == nil || s.Deploy.RestartPolicy == nil {
		return container.RestartPolicy{}
	}
	p := container.RestartPolicy{Name: container.RestartPolicyMode(s.Deploy.RestartPolicy.Condition)}
	switch p.Name {
	case "none":
		p.Name = container.RestartPolicyDisabled
	case "any", "":
		p.Name = container.RestartPolicyAlways
	case container.RestartPolicyOnFailure:
		if n := s.Deploy.RestartPolicy.MaxAttempts; n != nil {
			p.MaximumRetryCount = int(min(*n, math.MaxInt32)) //nolint:gosec // bounded
		}
	}
	return p
}

// resources returns limits: those under deploy count, where both are given.
func resources(s types.ServiceConfig) container.Resources {
	r := container.Resources{
		NanoCPUs: nano(s.CPUS), CPUShares: s.CPUShares, CPUQuota: s.CPUQuota, CPUPeriod: s.CPUPeriod, CpusetCpus: s.CPUSet,
		Memory: int64(s.MemLimit), MemoryReservation: int64(s.MemReservation), MemorySwap: int64(s.MemSwapLimit),
		DeviceCgroupRules: s.DeviceCgroupRules,
	}
	if n := int64(s.MemSwappiness); n != 0 {
		r.MemorySwappiness = &n
	}
	if s.OomKillDisable {
		r.OomKillDisable = &s.OomKillDisable
	}
	if s.PidsLimit != 0 {
		r.PidsLimit = &s.PidsLimit
	}
	for _, d := range s.Devices {
		r.Devices = append(r.Devices, container.DeviceMapping{PathOnHost: d.Source, PathInContainer: cmp.Or(d.Target, d.Source), CgroupPermissions: cmp.Or(d.Permissions, "rwm")})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		u := s.Ulimits[name]
		l := units.Ulimit{Name: name, Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			l.Soft, l.Hard = int64(u.Single), int64(u.Single)
		}
		r.Ulimits = append(r.Ulimits, &l)
	}
	if s.Deploy == nil {
		return r
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		r.NanoCPUs = cmp.Or(nano(float32(l.NanoCPUs)), r.NanoCPUs)
		r.Memory = cmp.Or(int64(l.MemoryBytes), r.Memory)
		if l.Pids != 0 {
			r.PidsLimit = &l.Pids
		}
	}
	if l := s.Deploy.Resources.Reservations; l != nil {
		r.MemoryReservation = cmp.Or(int64(l.MemoryBytes), r.MemoryReservation)
	}
	return r
}

// nano returns billionths of a CPU. A float32 is right to seven digits.
func nano(cpus float32) int64 { return int64(math.Round(float64(cpus)*1e5)) * 1e4 }

// mount adds a volume or folder.
func (f *File) mount(h *container.HostConfig, v types.ServiceVolumeConfig) error {
	switch v.Type {
	case types.VolumeTypeBind:
		bind(h, v)
	case types.VolumeTypeVolume:
		m := mount.Mount{Type: mount.TypeVolume, Source: f.project.Volumes[v.Source].Name, Target: v.Target, ReadOnly: v.ReadOnly}
		if v.Volume != nil && v.Volume.NoCopy {
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
		}
		h.Mounts = append(h.Mounts, m)
	case types.VolumeTypeTmpfs:
		m := mount.Mount{Type: mount.TypeTmpfs, Target: v.Target, ReadOnly: v.ReadOnly}
		if v.Tmpfs != nil {
			m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: os.FileMode(v.Tmpfs.Mode)}
		}
		h.Mounts = append(h.Mounts, m)
	default:
		return fmt.Errorf("what is mounted can't be of type %s", v.Type)
	}
	return nil
}

// bind adds a folder of the host. Only the older way to ask for it makes the
// folder where it is missing.
func bind(h *container.HostConfig, v types.ServiceVolumeConfig) {
	b := v.Bind
	if b == nil {
		b = &types.ServiceVolumeBind{CreateHostPath: true}
	}
	if !b.CreateHostPath && b.SELinux == "" {
		h.Mounts = append(h.Mounts, mount.Mount{
			Type: mount.TypeBind, Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly,
			BindOptions: &mount.BindOptions{Propagation: mount.Propagation(b.Propagation)},
		})
		return
	}
	mode := []string{"rw"}
	if v.ReadOnly {
		mode[0] = "ro"
	}
	for _, option := range []string{b.SELinux, b.Propagation} {
		if option != "" {
			mode = append(mode, option)
		}
	}
	h.Binds = append(h.Binds, v.Source+":"+v.Target+":"+strings.Join(mode, ","))
}

// readOnly returns how a secret's or config's file is mounted. Unlike a bind, a
// mount whose file is missing is an error.
func readOnly(file string, x types.FileReferenceConfig, folder string) mount.Mount {
	target := cmp.Or(x.Target, x.Source)
	if !path.IsAbs(target) {
		target = folder + target
	}
	return mount.Mount{Type: mount.TypeBind, Source: file, Target: target, ReadOnly: true}
}

// joined returns the networks of a service: the first is that of the highest
// priority.
func (f *File) joined(s types.ServiceConfig) []blueprint.Network {
	var out []blueprint.Network
	for _, key := range s.NetworksByPriority() {
		n := blueprint.Network{Name: f.project.Networks[key].Name}
		if container.NetworkMode(n.Name).IsUserDefined() { // else it takes neither names nor addresses
			n.Endpoint = f.endpoint(s, s.Networks[key])
		}
		out = append(out, n)
	}
	return out
}

// endpoint returns how a service joins a network: by all the names that its
// container would have there if docker compose had started it.
func (f *File) endpoint(s types.ServiceConfig, n *types.ServiceNetworkConfig) network.EndpointSettings {
	e := network.EndpointSettings{Aliases: []string{cmp.Or(s.ContainerName, f.Name+"-"+s.Name+"-1")}}
	if n.ServiceNameAliasEnabled() {
		e.Aliases = append(e.Aliases, s.Name)
	}
	if n == nil {
		return e
	}
	e.Aliases, e.DriverOpts = append(e.Aliases, n.Aliases...), n.DriverOpts
	slices.Sort(e.Aliases)
	e.Aliases = slices.Compact(e.Aliases)
	if n.Ipv4Address != "" || n.Ipv6Address != "" || len(n.LinkLocalIPs) > 0 {
		e.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.Ipv4Address, IPv6Address: n.Ipv6Address, LinkLocalIPs: n.LinkLocalIPs}
	}
	return e
}
