package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
)

// write writes files into a new folder: name, text, and so on.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checked reads a project, of which nothing runs.
func checked(t *testing.T, o Options) (Project, error) {
	t.Helper()
	f, err := Read(t.Context(), o)
	if err != nil {
		return Project{}, err
	}
	p := f.Project()
	return p, p.Check(func(string) bool { return false })
}

// shop loads service api of compose.yaml in a new folder.
func shop(t *testing.T, text string, more ...string) Project {
	t.Helper()
	dir := write(t, append([]string{"compose.yaml", text}, more...)...)
	p, err := checked(t, Options{Files: []string{"compose.yaml"}, WorkingDir: dir, Name: "shop", Service: "api"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fails(t *testing.T, o Options, text string) string {
	t.Helper()
	o.WorkingDir, o.Name = write(t, "compose.yaml", text), "shop"
	o.Files = []string{"compose.yaml"}
	if o.Service == "" {
		o.Service = "api"
	}
	p, err := checked(t, o)
	if err == nil {
		t.Fatalf("no error; got %+v", p)
	}
	return err.Error()
}

func TestEachKeyBecomesWhatTheEngineTakes(t *testing.T) {
	p := shop(t, `
services:
  api:
    image: api:1
    container_name: front
    command: serve --port 80
    entrypoint: ["/init", "--"]
    environment: {A: "1", FROM_FILE: over, UNSET: }
    env_file: api.env
    user: "1000:1000"
    working_dir: /srv
    hostname: h
    domainname: d
    init: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true", "seccomp:unconfined"]
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nofile: 1000, nproc: {soft: 1, hard: 2}}
    shm_size: 64m
    tmpfs: ["/run", "/tmp:size=1m"]
    extra_hosts: ["a=10.0.0.1", "b:10.0.0.2"]
    dns: 1.1.1.1
    dns_search: [x.y]
    dns_opt: [ndots:1]
    devices: ["/dev/null:/dev/zip:r"]
    stop_signal: SIGINT
    stop_grace_period: 1500ms
    healthcheck: {test: curl localhost, interval: 2s, timeout: 1s, retries: 5, start_period: 3s}
    logging: {driver: local, options: {max-size: 5m}}
    read_only: true
    privileged: true
    pid: host
    ipc: shareable
    group_add: ["44"]
    pids_limit: 100
    cpuset: "0"
    oom_score_adj: 10
    pull_policy: missing
    expose: ["81", "82/udp"]
    labels: {traefik.enable: "true"}
    ports: ["80:80"]
    cpus: 0.5
    mem_limit: 300m
    secrets: [token, {source: key, target: /etc/key}]
    configs: [conf]
    volumes:
      - data:/data
      - ./here:/here:ro
      - type: bind
        source: ./there
        target: /there
        bind: {create_host_path: false}
      - /anonymous
      - {type: tmpfs, target: /fast, tmpfs: {size: 1048576}}
    networks:
      back: {aliases: [other], ipv4_address: 10.9.0.5, priority: 10}
      default: {}
secrets: {token: {file: ./token.txt}, key: {file: ./key.pem}}
configs: {conf: {file: ./app.conf}}
volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs}}}
networks:
  back: {name: outside, external: true}
  default: {internal: true, driver: bridge, driver_opts: {a: b}, ipam: {config: [{subnet: 10.8.0.0/24, gateway: 10.8.0.1}]}}
`, "api.env", "FROM_FILE=under\nONLY_FILE=yes\n")
	b := p.Service.Blueprint
	c, h := b.Config, b.Host
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"command", []string(c.Cmd), []string{"serve", "--port", "80"}},
		{"entrypoint", []string(c.Entrypoint), []string{"/init", "--"}},
		{"environment", c.Env, []string{"A=1", "FROM_FILE=over", "ONLY_FILE=yes"}},
		{"user, folder, names", []string{c.User, c.WorkingDir, c.Hostname, c.Domainname}, []string{"1000:1000", "/srv", "h", "d"}},
		{"stop", []any{c.StopSignal, *c.StopTimeout}, []any{"SIGINT", 2}},
		{"exposed", len(c.ExposedPorts), 2},
		{"published", len(h.PortBindings), 0},
		{"labels", len(c.Labels), 0},
		{"healthcheck", []any{c.Healthcheck.Test, c.Healthcheck.Interval.String(), c.Healthcheck.Retries}, []any{[]string{"CMD-SHELL", "curl localhost"}, "2s", 5}},
		{"capabilities", []string{h.CapAdd[0], h.CapDrop[0]}, []string{"NET_ADMIN", "ALL"}},
		{"security", h.SecurityOpt, []string{"no-new-privileges=true", "seccomp=unconfined"}},
		{"sysctls", h.Sysctls["net.core.somaxconn"], "1024"},
		{"ulimits", []int64{h.Ulimits[0].Soft, h.Ulimits[0].Hard, h.Ulimits[1].Soft, h.Ulimits[1].Hard}, []int64{1000, 1000, 1, 2}},
		{"shm", h.ShmSize, int64(64 << 20)},
		{"tmpfs", h.Tmpfs, map[string]string{"/run": "", "/tmp": "size=1m"}},
		{"hosts", h.ExtraHosts, []string{"a:10.0.0.1", "b:10.0.0.2"}},
		{"dns", slices.Concat(h.DNS, h.DNSSearch, h.DNSOptions), []string{"1.1.1.1", "x.y", "ndots:1"}},
		{"devices", h.Devices, []container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/zip", CgroupPermissions: "r"}}},
		{"logging", h.LogConfig, container.LogConfig{Type: "local", Config: map[string]string{"max-size": "5m"}}},
		{"flags", []bool{h.ReadonlyRootfs, h.Privileged, *h.Init}, []bool{true, true, true}},
		{"modes", []string{string(h.PidMode), string(h.IpcMode)}, []string{"host", "shareable"}},
		{"what isn't swept stays", []any{*h.PidsLimit, h.CpusetCpus, h.OomScoreAdj, h.GroupAdd[0]}, []any{int64(100), "0", 10, "44"}},
		{"what is swept doesn't", []int64{h.NanoCPUs, h.Memory}, []int64{0, 0}},
		{"image", []string{p.Service.Image}, []string{"api:1"}},
		{"shared", len(b.Shared()), 2}, // not what is read only, nor what is the container's own
	} {
		if diff := cmp.Diff(x.want, x.got); diff != "" {
			t.Errorf("%s:\n%s", x.what, diff)
		}
	}
	joined := []any{}
	for _, n := range b.Networks {
		joined = append(joined, n.Name, n.Endpoint.Aliases)
	}
	if diff := cmp.Diff([]any{"outside", []string{"api", "front", "other"}, "shop_default", []string{"api", "front"}}, joined); diff != "" {
		t.Error(diff)
	}
	if b.Networks[0].Endpoint.IPAMConfig.IPv4Address != "10.9.0.5" || string(h.NetworkMode) != "outside" {
		t.Errorf("got %+v in %s", b.Networks[0].Endpoint, h.NetworkMode)
	}
	var mounts []string
	for _, m := range h.Mounts {
		mounts = append(mounts, string(m.Type)+" "+filepath.Base(m.Source)+" "+m.Target)
	}
	want := []string{"volume shop_data /data", "bind there /there", "volume . /anonymous", "tmpfs . /fast", "bind token.txt /run/secrets/token", "bind key.pem /etc/key", "bind app.conf /conf"}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Error(diff)
	}
	if len(h.Binds) != 1 || !strings.HasSuffix(h.Binds[0], "/here:/here:ro") {
		t.Errorf("got %v", h.Binds)
	}
	if !p.Networks[0].External || p.Networks[1].Name != "shop_default" || !p.Networks[1].Options.Internal || p.Networks[1].Options.IPAM.Config[0].Subnet != "10.8.0.0/24" || p.Volumes[0].Options.DriverOpts["type"] != "tmpfs" {
		t.Errorf("got %+v %+v", p.Networks, p.Volumes)
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "cpus 0.5, mem_limit 300MiB") {
		t.Errorf("got %q", p.Notes)
	}
}

func TestDependenciesKeepTheirLimitsAndComeInOrder(t *testing.T) {
	p := shop(t, `
services:
  api:
    image: x
    deploy: {replicas: 3, placement: {constraints: [node.role==worker]}, resources: {limits: {cpus: "1", memory: 200M}, reservations: {memory: 50M}}}
    depends_on:
      cache: {condition: service_started, required: false}
      migrate: {condition: service_completed_successfully}
      extra: {condition: service_started, required: false}
  migrate: {image: x, depends_on: {db: {condition: service_healthy}}}
  db: {image: x, restart: "on-failure:3", deploy: {resources: {limits: {cpus: "0.7", memory: 100M}, reservations: {memory: 50M}}}}
  cache: {image: x, mem_limit: 64m, cpus: 0.25, deploy: {restart_policy: {condition: any}}}
  extra: {image: x, profiles: [never]}
  stranger: {image: x, models: [m]}
models: {m: {model: ai/x}}
`)
	var order []string
	for _, d := range p.Dependencies {
		order = append(order, d.Name)
	}
	if diff := cmp.Diff([]string{"cache", "db", "migrate"}, order); diff != "" {
		t.Error(diff)
	}
	cache, db := p.Dependencies[0].Blueprint.Host, p.Dependencies[1].Blueprint.Host
	if db.NanoCPUs != 700_000_000 || db.Memory != 100<<20 || db.MemoryReservation != 50<<20 || cache.Memory != 64<<20 || cache.NanoCPUs != 250_000_000 {
		t.Errorf("got %+v, %+v", db.Resources, cache.Resources)
	}
	if db.RestartPolicy.MaximumRetryCount != 3 || cache.RestartPolicy.Name != "always" {
		t.Errorf("got %+v, %+v", db.RestartPolicy, cache.RestartPolicy)
	}
	if diff := cmp.Diff([]After{{"cache", Started, false}, {"migrate", Completed, true}}, p.Service.After); diff != "" {
		t.Error(diff)
	}
	if h := p.Service.Blueprint.Host; h.NanoCPUs != 0 || h.Memory != 0 || h.MemoryReservation != 0 {
		t.Errorf("got %+v", h.Resources)
	}
	if !p.Completes("migrate") || p.Completes("db") || p.Requires("cache") || !p.Requires("db") {
		t.Error("who waits for what is wrong")
	}
	for _, want := range []string{"cpus 1, memory 200MiB", "has 3 containers", "services.api.deploy.placement: Swarm's"} {
		if !strings.Contains(strings.Join(p.Notes, "\n"), want) {
			t.Errorf("%q is not in %q", want, p.Notes)
		}
	}
}

func TestFilesAreFoundAndMergedAsDockerComposeDoes(t *testing.T) {
	dir := write(t,
		"compose.yaml", "name: named\ninclude: [more/db.yaml]\nservices: {api: {extends: {file: base.yaml, service: base}, image: 'x:${TAG}${NONE}', depends_on: [db]}, odd: {image: x, profiles: [odd]}}\n",
		"compose.override.yaml", "services: {api: {environment: {OVER: ridden}}}\n",
		"base.yaml", "services: {base: {image: base, user: someone}}\n",
		"prod.yaml", "services: {api: {command: [prod]}}\n",
		"more/db.yaml", "services: {db: {image: db, volumes: ['./data:/data']}}\n",
		".env", "TAG=file\nOTHER=x\n",
	)
	loaded := func(o Options) Project {
		t.Helper()
		o.WorkingDir = dir
		p, err := checked(t, o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := loaded(Options{Files: []string{"compose.yaml"}, Service: "api"})
	if one.Name != "named" || one.Service.Image != "x:file" || one.Service.Blueprint.Config.User != "someone" || len(one.Service.Blueprint.Config.Env) != 0 || len(one.Dependencies) != 1 {
		t.Errorf("got %+v", one)
	}
	if len(one.Notes) != 1 || !strings.Contains(one.Notes[0], `"NONE" variable is not set`) {
		t.Errorf("got %q", one.Notes)
	}
	if source := one.Dependencies[0].Blueprint.Host.Binds[0]; !strings.HasPrefix(source, filepath.Join(dir, "more/data")) {
		t.Errorf("an included file's folder is %s", source)
	}
	folder := loaded(Options{Files: []string{"."}, Service: "api", Env: []string{"TAG=env", "COMPOSE_PROJECT_NAME=env"}})
	if folder.Name != "env" || folder.Service.Image != "x:env" || !slices.Equal(folder.Service.Blueprint.Config.Env, []string{"OVER=ridden"}) {
		t.Errorf("got %+v", folder)
	}
	two := loaded(Options{Files: []string{"compose.yaml", "prod.yaml"}, Service: "api", Name: "mine"})
	if two.Name != "mine" || !slices.Equal(two.Service.Blueprint.Config.Cmd, []string{"prod"}) {
		t.Errorf("got %+v", two)
	}
	if odd := loaded(Options{Files: []string{"compose.yaml"}, Service: "odd"}); odd.Service.Image != "x" {
		t.Errorf("a service that is named needs no profile; got %+v", odd)
	}
}

func TestABuildIsRefusedOnlyWhereItIsNeeded(t *testing.T) {
	p := shop(t, "services: {api: {image: x, build: {context: ./src, dockerfile: D, target: t, args: {A: b}, ssh: [default], network: host}}}")
	b := p.Service.Build
	if filepath.Base(b.Context) != "src" || !filepath.IsAbs(b.Context) || b.Dockerfile != "D" || b.Target != "t" || b.Args["A"] != "b" {
		t.Errorf("got %+v", b)
	}
	if len(b.Refused) != 2 || !strings.HasPrefix(b.Refused[0], "services.api.build.network: ") || !strings.HasPrefix(b.Refused[1], "services.api.build.ssh: ") {
		t.Errorf("got %q", b.Refused)
	}
}

func TestErrorsSayWhatAndWhere(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an unknown service", "services: {apy: {image: x}}", "did you mean apy?"},
		{"a syntax error", "services:\n  api:\n\timage: x\n", "line 3"},
		{"an unknown key", "services: {api: {imagine: x}}", "imagine"},
		{"a missing env file", "services: {api: {image: x, env_file: gone.env}}", "gone.env"},
		{"a dependency that needs a profile", "services: {api: {image: x, depends_on: [db]}, db: {image: x, profiles: [p]}}", "undefined service"},
		{"a cycle", "services: {api: {image: x, depends_on: [b]}, b: {image: x, depends_on: [api]}}", "cycle"},
		{"another's network", "services: {api: {image: x, network_mode: 'service:db'}, db: {image: x}}", "services.api.network_mode: service:db"},
		{"another's processes", "services: {api: {image: x, pid: 'container:y'}}", "services.api.pid: container:y"},
		{"links by another name", "services: {api: {image: x, links: ['db:database']}, db: {image: x}}", "services.api.links: db:database"},
		{"a file with a profile of system calls", "services: {api: {image: x, security_opt: ['seccomp:p.json']}}", "services.api.security_opt: seccomp:p.json"},
		{"an image as volume", "services: {api: {image: x, volumes: [{type: image, source: y, target: /z}]}}", "services.api.volumes[0]"},
		{"a secret that isn't a file", "services: {api: {image: x, secrets: [s]}}\nsecrets: {s: {environment: S}}", "secrets.s.environment"},
		{"a dependency's key", "services: {api: {image: x, depends_on: [db]}, db: {image: x, post_start: [{command: y}]}}", "services.db.post_start: "},
		{"a network's key", "services: {api: {image: x}}\nnetworks: {default: {enable_ipv4: false}}", "networks.default.enable_ipv4: "},
		{"a key of joining a network", "services: {api: {image: x, networks: {n: {interface_name: eth7}}}}\nnetworks: {n: }", "services.api.networks.n.interface_name: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fails(t, Options{}, c.text); !strings.Contains(got, c.want) {
				t.Errorf("%q is not in\n%s", c.want, got)
			}
		})
	}
}

func TestWhatRunsAlreadyMayHaveAnyKey(t *testing.T) {
	dir := write(t, "compose.yaml", "services: {api: {image: x, depends_on: [db]}, db: {image: x, gpus: all, depends_on: {old: {condition: service_healthy}}, network_mode: 'service:old'}, old: {image: x}}")
	f, err := Read(t.Context(), Options{Files: []string{"compose.yaml"}, WorkingDir: dir, Service: "api"})
	if err != nil {
		t.Fatal(err)
	}
	p := f.Project()
	if err := p.Check(func(name string) bool { return name == "db" }); err != nil {
		t.Error(err)
	}
	if err := p.Check(func(name string) bool { return name != "db" }); err == nil || !strings.Contains(err.Error(), "services.db.gpus: ") || !strings.Contains(err.Error(), "services.db.network_mode: ") {
		t.Errorf("got %v", err)
	}
	if a := p.Dependencies[1].After; len(a) != 1 || a[0].Condition != Healthy {
		t.Errorf("it waits for %v", a)
	}
}
