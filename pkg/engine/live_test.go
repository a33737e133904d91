package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// These tests need a Docker Engine, and fail without one.

// A lab is an engine with an image of testdata/probe.
type lab struct {
	engine *Engine
	owner  Owner
	probe  string // the program
	image  Image
}

// shared is made once for all tests.
var shared = sync.OnceValues(newLab)

func TestMain(m *testing.M) {
	code := m.Run()
	if l, err := shared(); err == nil {
		if _, err := l.engine.Clean(context.Background(), func(o Owner) bool { return o.Run == l.owner.Run }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.RemoveAll(filepath.Dir(l.probe))
	}
	os.Exit(code)
}

func newLab() (*lab, error) {
	ctx := context.Background()
	engine, err := Connect(ctx, "")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sweep-engine-")
	if err != nil {
		return nil, err
	}
	l := &lab{engine: engine, probe: filepath.Join(dir, "probe"), owner: Owner{Run: filepath.Base(dir), Dir: dir, Host: "test"}}
	host, err := engine.Host(ctx)
	if err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", l.probe, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+host.Architecture)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	program, err := os.ReadFile(l.probe)
	if err != nil {
		return nil, err
	}
	tag := "sweep/probe:" + l.owner.Run
	err = engine.load(ctx, archive{
		tag: tag, arch: host.Architecture, labels: l.owner.labels(roleService),
		entrypoint: []string{"/sweep"}, program: program,
	})
	if err != nil {
		return nil, err
	}
	l.image, err = engine.Image(ctx, tag)
	return l, err
}

// live returns the lab and an owner for this test, whose containers and images
// have to be gone when it ends.
func live(t *testing.T) (*lab, Owner) {
	t.Helper()
	l, err := shared()
	if err != nil {
		t.Fatalf("this test needs a Docker Engine: %v", err)
	}
	owner := l.owner
	owner.Run += "-" + strings.TrimPrefix(t.Name(), "Test")
	t.Cleanup(func() {
		left, err := l.engine.Clean(context.Background(), func(o Owner) bool { return o == owner })
		if len(left) > 0 || err != nil {
			t.Errorf("the test left %v behind; error %v", left, err)
		}
	})
	return l, owner
}

var small = experiment.Trial{Limits: experiment.Limits{CPU: 500_000_000, Memory: 32 * experiment.MiB}, Replicate: 1}

// service returns a service in one of the probe's modes.
func (l *lab) service(owner Owner, mode string) *Service {
	return l.engine.Service(Spec{
		Owner: owner, Subject: l.engine.subject(l.image), Port: 8080, Experiment: "test",
		Env: map[string]experiment.Value{
			"MODE":  {Resolved: mode},
			"GRANT": {Resolved: "${cpus}/${memory_bytes}"},
		},
	})
}

func start(t *testing.T, s *Service, trial experiment.Trial) measure.Target {
	t.Helper()
	began := time.Now()
	target, err := s.Start(t.Context(), trial)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Start took %v", time.Since(began).Round(time.Millisecond))
	return target
}

func stop(t *testing.T, s *Service) measure.Exit {
	t.Helper()
	began := time.Now()
	exit, err := s.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Stop took %v", time.Since(began).Round(time.Millisecond))
	if again, err := s.Stop(t.Context()); again.Code != exit.Code || again.Died != exit.Died || err != nil {
		t.Errorf("a second Stop returned %+v, %v", again, err)
	}
	return exit
}

func usage(t *testing.T, s *Service) measure.Counters {
	t.Helper()
	c, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func awaitDown(t *testing.T, target measure.Target) {
	t.Helper()
	select {
	case <-target.Down:
	case <-time.After(10 * time.Second):
		t.Fatal("the service isn't down after 10 s")
	}
}

func TestHost(t *testing.T) {
	l, _ := live(t)
	host, err := l.engine.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if host.Engine == "" || host.API == "" || host.Kernel == "" || host.Architecture == "" || host.CPUs == 0 || host.Memory == 0 {
		t.Errorf("the host is %+v", host)
	}
}

func TestImageMissing(t *testing.T) {
	l, _ := live(t)
	_, err := l.engine.Image(t.Context(), l.image.Ref+"x")
	wantError(t, err, "no image "+l.image.Ref+"x; build it, or pull it")
	wantError(t, err, "did you mean sweep/probe:") // of this run, or of one that runs beside it
	_, err = l.engine.Image(t.Context(), "sweep/none")
	wantError(t, err, "docker pull sweep/none`")
}

func TestServiceLives(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "spin")
	target := start(t, s, small)
	if target.Address != "127.0.0.1:8080" {
		t.Errorf("address is %s", target.Address)
	}
	c, err := l.engine.docker.ContainerInspect(t.Context(), target.Container)
	if err != nil {
		t.Fatal(err)
	}
	if c.HostConfig.NanoCPUs != 5e8 || c.HostConfig.Memory != 32<<20 || c.HostConfig.MemorySwap != 32<<20 {
		t.Errorf("limits are %+v", c.HostConfig.Resources)
	}
	if want := fmt.Sprintf("/sweep-%s-0.5cpu-32M-1", owner.Run); c.Name != want {
		t.Errorf("name is %s, want %s", c.Name, want)
	}
	if !slices.Contains(c.Config.Env, "GRANT=0.5/33554432") || ownerOf(c.Config.Labels) != owner {
		t.Errorf("environment %v, labels %v", c.Config.Env, c.Config.Labels)
	}
	if _, err := s.Start(t.Context(), small); err == nil {
		t.Error("a second trial started beside the first")
	}

	before := usage(t, s)
	after := before
	for waited := time.Now(); after.Since(before) == nil && time.Since(waited) < 5*time.Second; { // the engine tells once a second
		time.Sleep(50 * time.Millisecond)
		after = usage(t, s)
	}
	u := after.Since(before)
	if u == nil {
		t.Fatal("the engine told nothing new within five seconds")
	}
	if u.CPU < 0.25 || u.CPU > 0.75 {
		t.Errorf("a service that spins on 0.5 CPU used %+v", u)
	}
	if u.Throttled == nil || *u.Throttled < 0.5 {
		t.Errorf("it was throttled in a share of %v of its time", u.Throttled)
	}
	if u.Memory <= 0 || u.PIDs == 0 {
		t.Errorf("usage is %+v", u)
	}

	exit := stop(t, s)
	if exit.Died || exit.OOMKilled || exit.OOMKills > 0 || !strings.Contains(exit.Log, "listening") {
		t.Errorf("exit is %+v", exit)
	}
	if last := usage(t, s); last.CPU < after.CPU {
		t.Errorf("after its end the service's CPU went from %v to %v", after.CPU, last.CPU)
	}
}

func TestServiceOutOfMemory(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "eat")
	awaitDown(t, start(t, s, small))
	usage(t, s) // of a dead service it is the last known, no error
	exit := stop(t, s)
	if !exit.Died || !exit.OOMKilled || exit.OOMKills == 0 || exit.Code != 137 || exit.At.IsZero() || !strings.Contains(exit.Log, "eating") {
		t.Errorf("exit is %+v", exit)
	}
}

func TestServiceChildOutOfMemory(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "eat-child")
	target := start(t, s, small)
	deadline := time.Now().Add(10 * time.Second)
	// The engine tells of memory once a second, of the kill at once.
	for u := usage(t, s); u.OOMKills == 0 || u.Peak != nil && *u.Peak < 24*experiment.MiB; u = usage(t, s) {
		if time.Now().After(deadline) {
			t.Fatalf("within 10 s %d kills were seen, and a peak of %v", u.OOMKills, u.Peak)
		}
		time.Sleep(20 * time.Millisecond)
	}
	select {
	case <-target.Down:
		t.Error("the service is down, though only its child was killed")
	default:
	}
	exit := stop(t, s)
	if exit.Died || exit.OOMKilled || exit.OOMKills != 1 {
		t.Errorf("exit is %+v", exit)
	}
	if p := exit.PeakMemory; p != nil && *p < 24*experiment.MiB {
		t.Errorf("peak is %s", *p)
	}
}

func TestServiceExits(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "exit")
	awaitDown(t, start(t, s, small))
	exit := stop(t, s)
	if !exit.Died || exit.OOMKilled || exit.Code != 3 || !strings.Contains(exit.Log, "stdout: about") || !strings.Contains(exit.Log, "stderr: about") {
		t.Errorf("exit is %+v", exit)
	}
}

// What the runtime needs for an environment of 1.9 MB doesn't fit into 6 MiB.
func TestServiceStarved(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "")
	for i := range 19 {
		s.spec.Env[fmt.Sprint("BIG", i)] = experiment.Value{Resolved: strings.Repeat("x", 100_000)}
	}
	trial := small
	trial.Limits.Memory = experiment.MinMemory
	awaitDown(t, start(t, s, trial))
	exit := stop(t, s)
	if !exit.Died || !exit.OOMKilled || exit.OOMKills == 0 || exit.Error == "" || exit.At.IsZero() {
		t.Errorf("exit is %+v", exit)
	}
	t.Log(exit.Error)
}

func TestServiceCannotStart(t *testing.T) {
	l, owner := live(t)
	program, err := os.ReadFile(l.probe)
	if err != nil {
		t.Fatal(err)
	}
	a := archive{
		tag: "sweep/probe:" + owner.Run, arch: "amd64", labels: owner.labels(roleService),
		entrypoint: []string{"/none"}, program: program,
	}
	if err := l.engine.load(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.engine.docker.ImageRemove(context.Background(), a.tag, image.RemoveOptions{}) })
	broken, err := l.engine.Image(t.Context(), a.tag)
	if err != nil {
		t.Fatal(err)
	}
	s := l.engine.Service(Spec{Owner: owner, Subject: l.engine.subject(broken), Port: 8080})
	_, err = s.Start(t.Context(), small)
	wantError(t, err, "start "+a.tag+" with 0.5 CPU / 32M: the engine refuses to run it: ")
	wantError(t, err, "/none")

	for limits, text := range map[experiment.Limits]string{
		{CPU: 500_000_000, Memory: 5 * experiment.MiB}:          "5M of memory is less than the engine accepts, 6M",
		{CPU: 500_000_000, Memory: 1 << 50}:                     "more than the engine's host has",
		{CPU: 100_000_000_000_000, Memory: 32 * experiment.MiB}: "100000 CPUs is more than the engine's host has",
	} {
		_, err := s.Start(t.Context(), experiment.Trial{Limits: limits, Replicate: 1})
		wantError(t, err, text)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.service(owner, "").Start(ended, small); err == nil {
		t.Error("a service started though its context had ended")
	}
}

func TestServiceStopsAfterInterrupt(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Start(ctx, small); err != nil {
		t.Fatal(err)
	}
	cancel()
	if exit, err := s.Stop(ctx); exit.Died || err != nil {
		t.Errorf("Stop returned %+v, %v", exit, err)
	}
}

func TestServiceReplacesLeftover(t *testing.T) {
	l, owner := live(t)
	left, s := l.service(owner, ""), l.service(owner, "")
	awaitDown := start(t, left, small).Down
	start(t, s, small)
	select {
	case <-awaitDown:
	case <-time.After(5 * time.Second):
		t.Error("the leftover lives on")
	}
	stop(t, s)
	left.watch.close()

	foreign := owner
	foreign.Dir = "/elsewhere"
	other := l.service(foreign, "")
	start(t, other, small)
	defer stop(t, other)
	_, err := s.Start(t.Context(), small)
	wantError(t, err, "exists and is not this run's")
}

func TestAgent(t *testing.T) {
	l, owner := live(t)
	s := l.service(owner, "")
	target := start(t, s, small)
	defer stop(t, s)

	began := time.Now()
	agent, err := l.engine.LoadAgent(t.Context(), owner, l.probe)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("LoadAgent took %v", time.Since(began).Round(time.Millisecond))
	defer func() {
		if err := agent.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // the first may have learnt how many files it may open
		began = time.Now()
		conn, err := agent.Attach(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("Attach took %v", time.Since(began).Round(time.Millisecond))
		converse(t, conn, target.Address)
		began = time.Now()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("Close took %v", time.Since(began).Round(time.Millisecond))
	}
}

// converse sends lines to the probe as an agent and checks its answers.
func converse(t *testing.T, conn io.ReadWriter, address string) {
	t.Helper()
	in := bufio.NewReader(conn)
	ask := func(question string) (string, error) {
		if _, err := io.WriteString(conn, question+"\n"); err != nil {
			return "", err
		}
		return in.ReadString('\n')
	}
	if answer, err := ask("hello"); answer != "hello\n" || err != nil {
		t.Errorf("the echo is %q, %v", answer, err)
	}
	long := strings.Repeat("0123456789", 5000)
	if answer, err := ask(long); answer != long+"\n" || err != nil {
		t.Errorf("the echo of %d bytes has %d, %v", len(long)+1, len(answer), err)
	}
	if answer, err := ask("get http://" + address); !strings.Contains(answer, "GRANT=0.5/33554432") || err != nil {
		t.Errorf("the service answered %q, %v", answer, err)
	}
	_, err := ask("exit")
	wantError(t, err, "the agent ended with exit code 7: the probe was told to fail")
}

func TestAgentNeedsService(t *testing.T) {
	l, owner := live(t)
	agent, err := l.engine.LoadAgent(t.Context(), owner, l.probe)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := agent.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	s := l.service(owner, "exit")
	target := start(t, s, small)
	awaitDown(t, target)
	_, err = agent.Attach(t.Context(), target)
	wantError(t, err, "run an agent beside container")
	stop(t, s)

	_, err = l.engine.LoadAgent(t.Context(), owner, "live_test.go")
	wantError(t, err, "not a Linux program")
	wantError(t, err, "CGO_ENABLED=0")
}

func TestClean(t *testing.T) {
	l, owner := live(t)
	living, orphan := owner, owner
	orphan.Run += "-orphan"
	kept, killed := l.service(living, ""), l.service(orphan, "")
	start(t, kept, small)
	defer stop(t, kept)
	target := start(t, killed, small)
	defer killed.watch.close()
	agent, err := l.engine.LoadAgent(t.Context(), orphan, l.probe)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := agent.Attach(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := l.engine.docker.ContainerCreate(t.Context(), &container.Config{Image: "debian:bookworm-slim"}, nil, nil, nil, owner.Run+"-foreign")
	if err != nil {
		t.Fatal(err)
	}
	defer l.engine.remove(context.Background(), foreign.ID)

	removed, err := l.engine.Clean(t.Context(), func(o Owner) bool { return o == orphan })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("removed sweep-%s-agent-%.12s", orphan.Run, target.Container), "removed " + killed.name, "removed " + agent.tag,
	}
	if !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	for _, id := range []string{kept.id, foreign.ID} {
		if _, err := l.engine.docker.ContainerInspect(t.Context(), id); err != nil {
			t.Errorf("it is not an orphan's: %v", err)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the agent lives on")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
