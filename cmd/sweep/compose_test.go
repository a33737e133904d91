package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests in this file sweep services of Compose projects. They need docker
// compose, as `make test` sets it up.

// askCompose writes the small experiment for a service of a Compose project.
func (b *bench) askCompose(compose string, settings ...string) {
	b.t.Helper()
	b.ask(append([]string{"KIND=compose", "IMAGE=" + compose}, settings...)...)
}

// external makes a network unless it is there, and then removes it at the end.
func external(t *testing.T, name string) {
	t.Helper()
	if exec.Command("docker", "network", "inspect", name).Run() == nil {
		return
	}
	docker(t, "network", "create", name)
	t.Cleanup(func() { docker(t, "network", "rm", name) })
}

// The team's own project: FastAPI on a network that other projects share.
func TestTheTeamsProjectIsSwept(t *testing.T) {
	external(t, "proyecto2_default")
	file, err := filepath.Abs("../../compose/prediction.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.askCompose("{file: "+file+", service: api, project: sweeptest}", "MEMORY=300M", "CPUS=0.5", "TARGET=20", "WITHIN=60s")
	o := b.run(nil, "run", "small.yaml", "--json")
	if !strings.Contains(o.err, "What the Compose file grants api (cpus 1, memory 200MiB) doesn't count") || !strings.Contains(o.out, `"passed"`) {
		t.Errorf("with nothing running: exit %d\n%s%s", o.code, o.err, o.out)
	}

	compose := func(args ...string) {
		t.Helper()
		args = append([]string{"--project-name", "sweeptest", "--file", file}, args...)
		if out, err := dockerCompose(args...).CombinedOutput(); err != nil {
			t.Fatalf("docker compose %v: %v\n%s", args, err, out)
		}
	}
	t.Cleanup(func() { compose("down", "--timeout", "0") }) // leaves the network, which is external
	compose("up", "--detach", "--no-build")
	id := docker(t, "ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project=sweeptest")
	before := inspected(t, id)
	o = b.run(nil, "run", "small.yaml", "--json", "--fresh")
	if !strings.Contains(o.err, "docker compose runs it, so it is taken as it runs") || strings.Contains(o.err, "Not as it was") || !strings.Contains(o.out, `"passed"`) {
		t.Errorf("with docker-compose running it: exit %d\n%s%s", o.code, o.err, o.out)
	}
	if after := inspected(t, id); !reflect.DeepEqual(before, after) {
		t.Errorf("it was\n%v\nand is\n%v", before, after)
	}
}

// dockerCompose is docker compose, or the older docker-compose.
func dockerCompose(args ...string) *exec.Cmd {
	if exec.Command("docker", "compose", "version").Run() == nil {
		return exec.Command("docker", append([]string{"compose"}, args...)...)
	}
	return exec.Command("docker-compose", args...)
}

// inspected is what the engine tells of a running container, but for what any
// restart changes.
func inspected(t *testing.T, id string) map[string]any {
	t.Helper()
	var all []map[string]any
	if err := json.Unmarshal([]byte(docker(t, "inspect", id)), &all); err != nil || len(all) != 1 {
		t.Fatalf("inspect %s: %v", id, err)
	}
	c := all[0]
	state, _ := c["State"].(map[string]any)
	c["State"] = state["Status"]
	settings, _ := c["NetworkSettings"].(map[string]any)
	networks, _ := settings["Networks"].(map[string]any)
	for name, n := range networks {
		n, _ := n.(map[string]any)
		networks[name] = []any{n["Aliases"], n["IPAMConfig"], n["Links"]}
	}
	c["NetworkSettings"] = networks
	return c
}

// shop is a project with a dependency that is healthy once a container that
// ends has written to a volume.
const shop = `
services:
  api: {image: "sweep/predictor:dev", depends_on: {db: {condition: service_healthy}}, volumes: ["data:/data"]}
  db:
    image: debian:bookworm-slim
    command: [sleep, "1000"]
    volumes: ["data:/data"]
    healthcheck: {test: grep ready /data/ready, interval: 200ms, retries: 50}
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate: {image: "debian:bookworm-slim", command: [sh, -c, "echo ready >/data/ready"], volumes: ["data:/data"]}
volumes: {data: }
`

func TestAProjectIsStartedForTheSweepAndGoneAfterIt(t *testing.T) {
	b := newBench(t)
	b.write("compose.yaml", shop)
	b.askCompose("{file: compose.yaml, service: api}", "FROM=network") // the project's own
	o := b.run(nil, "run", "small.yaml", "--json")
	if !strings.Contains(o.err, "starting db\n") || !strings.Contains(o.err, "db is healthy after") || !strings.Contains(o.out, `"passed"`) {
		t.Errorf("exit %d\n%s%s", o.code, o.err, o.out)
	}
}

func TestAKilledSweepOfAProjectLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.write("compose.yaml", shop)
	b.askCompose("{file: compose.yaml, service: api}", "RAMP=40s")
	cmd := b.command(nil, "run", "small.yaml")
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "load", func() bool { return strings.Contains(out.String(), "req/s") })
	made := b.ours()
	for _, part := range []string{"-db ", "-default ", "-data "} {
		if !strings.Contains(made, part) {
			t.Errorf("%s isn't among\n%s", part, made)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Release() // waiting would wait for the guard as well, which has its output
	eventually(t, 20*time.Second, "an end", func() bool { return b.ours() == "" })
}

// eventually waits for something to be so.
func eventually(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatalf("no %s within %v", what, limit)
		}
	}
}

func TestAComposeFileThatCannotBeHonouredIsRefusedByName(t *testing.T) {
	b := newBench(t)
	b.write("compose.yaml", "services: {api: {image: sweep/predictor:dev, gpus: all, post_start: [{command: x}]}}")
	b.askCompose("{file: compose.yaml, service: api}")
	if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "\n  services.api.gpus: ") || !strings.Contains(o.err, "\n  services.api.post_start: ") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	b.askCompose("{file: compose.yaml, service: apy}")
	if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "did you mean api?") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
