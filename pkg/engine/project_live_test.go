package engine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"sweep/pkg/experiment"
)

// These tests need docker compose too, as `make test` sets it up.

// shopFile is a project of four: the service asks a database that is healthy once
// a file is in its volume, which a container puts there that ends.
const shopFile = `
name: @NAME@
services:
  api:
    image: debian:bookworm-slim
    command: [sh, -c, "getent hosts db && cat /data/ready && exec sleep 1000"]
    stop_grace_period: 1s
    volumes: [data:/data]
    ports: ["1:1"]
    labels: {someone.elses: proxy}
    depends_on:
      db: {condition: service_healthy}
      log: {condition: service_started, required: false}
  db:
    image: debian:bookworm-slim
    command: [sleep, "1000"]
    mem_limit: 64m
    volumes: [data:/data]
    healthcheck: {test: grep ready /data/ready, interval: 200ms, retries: 50}
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: debian:bookworm-slim
    command: [sh, -c, "sleep 0.3; echo ready >/data/ready"]
    volumes: [data:/data]
  log: {image: debian:bookworm-slim, command: [sleep, "1000"], healthcheck: {disable: true}}
volumes: {data: }
`

// shop writes a Compose file, whose project has the test's name, and returns
// what finds its service api.
func shop(t *testing.T, text string) (dir, name string, s experiment.Service) {
	t.Helper()
	dir, name = t.TempDir(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", ""))
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(strings.ReplaceAll(text, "@NAME@", name)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, name, experiment.Service{Compose: &experiment.Compose{File: "compose.yaml", Service: "api", Project: name}, Port: 80}
}

func take(t *testing.T, l *lab, owner Owner, s *Subject) []string {
	t.Helper()
	var said []string
	if err := s.Take(t.Context(), owner, func(what string) { said = append(said, what) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before live looks whether something is left
		if _, err := s.Release(context.Background(), owner); err != nil {
			t.Error(err)
		}
	})
	return said
}

func found(t *testing.T, l *lab, s experiment.Service, dir string) *Subject {
	t.Helper()
	subject, err := l.engine.Find(t.Context(), &experiment.Experiment{Service: s}, dir)
	if err != nil {
		t.Fatal(err)
	}
	return subject
}

// output waits for a line of the service's output.
func output(t *testing.T, s *Service, want string) string {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := s.engine.docker.ContainerInspect(t.Context(), s.id)
		if err != nil {
			t.Fatal(err)
		}
		log, err := s.engine.log(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log, want) {
			return log
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%q is not in\n%s", want, log)
		}
	}
}

func TestDependenciesComeUpInOrderAndGoAgain(t *testing.T) {
	l, owner := live(t)
	dir, name, asked := shop(t, shopFile)
	subject := found(t, l, asked, dir)
	digest := subject.Digest()
	said := take(t, l, owner, subject)
	for i, want := range []string{"starting log", "starting migrate", "migrate is done", "starting db", "db is healthy"} {
		if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%d: %q was not said in %q", i, want, said)
		}
	}
	for range 2 { // trials
		s := l.engine.Service(Spec{Owner: owner, Subject: subject, Port: 80, Experiment: "test"})
		start(t, s, small)
		output(t, s, "ready")
		c, err := l.engine.docker.ContainerInspect(t.Context(), s.id)
		if err != nil {
			t.Fatal(err)
		}
		if c.HostConfig.Memory != int64(small.Limits.Memory) || len(c.HostConfig.PortBindings) > 0 || c.Config.Labels["someone.elses"] != "" {
			t.Errorf("got %+v, labels %v", c.HostConfig, c.Config.Labels)
		}
		aliases := c.NetworkSettings.Networks[owner.name("default")].Aliases
		if !slices.Contains(aliases, "api") || !slices.Contains(aliases, name+"-api-1") {
			t.Errorf("it is called %v", aliases)
		}
		stop(t, s)
	}
	if subject.Digest() != digest {
		t.Error("its digest changed when it was taken")
	}
	did, err := l.engine.Clean(t.Context(), func(o Owner) bool { return o == owner })
	if err != nil || len(did) != 5 { // log, migrate and db, the network, the volume
		t.Errorf("cleaned %q; %v", did, err)
	}
}

func TestADependencyThatFailsIsAnErrorWithItsLastOutput(t *testing.T) {
	for _, c := range []struct{ name, db, want string }{
		{"dies", `{image: "debian:bookworm-slim", command: [sh, -c, "echo no disk; exit 3"], healthcheck: {test: "true", interval: 10s}}`, "ended with exit code 3. Its last output:\n  no disk"},
		{"is unhealthy", `{image: "debian:bookworm-slim", command: [sleep, "1000"], healthcheck: {test: "echo not yet; false", interval: 100ms, retries: 2}}`, `it is unhealthy: its check ended with exit code 1, "not yet"`},
		{"has no check", `{image: "debian:bookworm-slim", command: [sleep, "1000"]}`, "has no healthcheck"},
		{"cannot start", `{image: "debian:bookworm-slim", command: [nothing]}`, "start dependency db"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, owner := live(t)
			dir, _, asked := shop(t, "services:\n  api: {image: sweep/predictor:dev, depends_on: {db: {condition: service_healthy}}}\n  db: "+c.db)
			err := found(t, l, asked, dir).Take(t.Context(), owner, func(string) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestADependencyThatDiesLaterStopsTheSweep(t *testing.T) {
	l, owner := live(t)
	dir, _, asked := shop(t, "services:\n  api: {image: sweep/predictor:dev, depends_on: [db]}\n  db: {image: sweep/predictor:dev}")
	subject := found(t, l, asked, dir)
	take(t, l, owner, subject)
	if err := l.engine.docker.ContainerKill(t.Context(), owner.name("db"), "KILL"); err != nil {
		t.Fatal(err)
	}
	s := l.engine.Service(Spec{Owner: owner, Subject: subject, Port: 8000, Experiment: "test"})
	if _, err := s.Start(t.Context(), small); err == nil || !strings.Contains(err.Error(), "dependency db: it ended with exit code 137") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotThereIsSaidBeforeAnythingStarts(t *testing.T) {
	l, owner := live(t)
	for _, c := range []struct{ text, want string }{
		{"services: {api: {image: sweep/nothing:x}}", "service api: the engine has no image sweep/nothing:x"},
		{"services: {api: {image: sweep/predictor:dev, depends_on: [db]}, db: {image: sweep/nothing:x}}", "service db: the engine has no image"},
		{"services: {api: {image: sweep/predictor:dev}}\nnetworks: {default: {name: sweep-no-such, external: true}}", "docker network create sweep-no-such"},
		{"services: {api: {image: sweep/predictor:dev, volumes: ['data:/d']}}\nvolumes: {data: {name: sweep-no-such, external: true}}", "docker volume create sweep-no-such"},
		{"services: {api: {build: .}}", "is not built yet; `sweep run` does it first"},
	} {
		dir, _, asked := shop(t, c.text)
		if _, err := l.engine.Find(t.Context(), &experiment.Experiment{Service: asked}, dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.text, err)
		}
	}
	if did, err := l.engine.Clean(t.Context(), func(o Owner) bool { return o == owner }); len(did) > 0 || err != nil {
		t.Errorf("cleaned %v; %v", did, err)
	}
}

// dockerCompose runs docker compose, or the older docker-compose, on the
// project of a folder.
func dockerCompose(t *testing.T, dir string, args ...string) {
	t.Helper()
	command := []string{"docker-compose"}
	if exec.Command("docker", "compose", "version").Run() == nil {
		command = []string{"docker", "compose"}
	}
	command = append(command, args...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

func TestWhatComposeRunsIsUsedInPlace(t *testing.T) {
	l, owner := live(t)
	dir, name, asked := shop(t, shopFile)
	t.Setenv("COMPOSE_PROJECT_NAME", name)
	old := strings.NewReplacer("name: @NAME@", "", ", required: false", "").Replace(shopFile) // docker-compose 1 doesn't know them
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dockerCompose(t, dir, "down", "--volumes", "--timeout", "0") })
	dockerCompose(t, dir, "up", "--detach", "db")
	subject := found(t, l, asked, dir)
	notes := strings.Join(subject.Notes, "\n")
	for _, want := range []string{"Dependency db is used as docker compose runs it", "Dependency migrate is used", "Volume " + name + "_data is there already"} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not in\n%s", want, notes)
		}
	}
	before, err := l.engine.composed(t.Context(), name, "db")
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	if said := take(t, l, owner, subject); slices.Contains(said, "starting db") {
		t.Errorf("said %q", said)
	}
	s := l.engine.Service(Spec{Owner: owner, Subject: subject, Port: 80, Experiment: "test"})
	start(t, s, small)
	output(t, s, "ready")
	stop(t, s)
	if _, err := subject.Release(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	after, err := l.engine.composed(t.Context(), name, "db")
	if err != nil || len(after) != 1 || after[0].ID != before[0].ID || after[0].State != container.StateRunning {
		t.Errorf("the dependency is %+v; %v", after, err)
	}

	// Where it runs the service itself, that one is parked.
	dockerCompose(t, dir, "up", "--detach", "api")
	subject = found(t, l, asked, dir)
	if subject.original == nil || !strings.Contains(strings.Join(subject.Notes, " "), "docker compose runs it") {
		t.Errorf("got %+v", subject)
	}
	take(t, l, owner, subject)
	if _, err := l.engine.Find(t.Context(), &experiment.Experiment{Service: asked}, dir); err == nil || !strings.Contains(err.Error(), "another sweep has taken the place") {
		t.Errorf("a second sweep of it: %v", err)
	}
}
