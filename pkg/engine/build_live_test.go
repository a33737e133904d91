package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// builders runs a test with each of them. What they keep of the builds is
// removed: layers by the label that each Dockerfile here begins with, and
// BuildKit's cache by what was not in it before.
func builders(t *testing.T, test func(t *testing.T, l *lab)) {
	l, _ := live(t)
	before := cached(t, l)
	t.Cleanup(func() { // what a build has let go of can be removed a little later
		waitFor(t, "nothing is left in BuildKit's cache", func() bool { return forgetCache(t, l, before) })
	})
	for name, value := range map[string]string{"classic": "0", "BuildKit": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_BUILDKIT", value)
			t.Cleanup(func() { removeLayers(t, l) })
			test(t, l)
		})
	}
}

// forgetCache removes from BuildKit's cache what isn't in before, and reports
// whether that was nothing.
func forgetCache(t *testing.T, l *lab, before map[string]bool) bool {
	none := true
	for id := range cached(t, l) {
		if before[id] {
			continue
		}
		none = false
		options := build.CachePruneOptions{All: true, Filters: filters.NewArgs(filters.Arg("id", id))}
		if _, err := l.engine.docker.BuildCachePrune(context.Background(), options); err != nil {
			t.Error(err)
		}
	}
	return none
}

func cached(t *testing.T, l *lab) map[string]bool {
	usage, err := l.engine.docker.DiskUsage(context.Background(), types.DiskUsageOptions{Types: []types.DiskUsageObject{types.BuildCacheObject}})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, record := range usage.BuildCache {
		ids[record.ID] = true
	}
	return ids
}

const buildLabel = "LABEL sweep.test=build\n"

func removeLayers(t *testing.T, l *lab) {
	ctx := context.Background()
	var left error
	for range 20 { // a layer goes after those that are made of it
		all, err := l.engine.docker.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "sweep.test=build"))})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return
		}
		for _, i := range all {
			_, left = l.engine.docker.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true})
		}
	}
	t.Errorf("layers of the builds are left: %v", left)
}

// telling collects what progress is told.
func telling(t *testing.T, into *[]string) func(string) {
	return func(line string) {
		t.Log(line)
		*into = append(*into, line)
	}
}

func TestBuild(t *testing.T) {
	builders(t, func(t *testing.T, l *lab) {
		dir := folder(t, map[string]string{
			"Dockerfile":    "FROM scratch AS base\n" + buildLabel + "ARG TOKEN\nARG PORT\nENV PORT=$PORT\nCOPY a /a-$TOKEN\nFROM base AS other\nENV OTHER=1\nFROM base\nENV LAST=1\n",
			".dockerignore": "*\n!a\n",
			"a":             "a", "b": "b",
		})
		spec := BuildSpec{
			Context: dir, Tag: "sweep-test/build:" + strings.ToLower(filepath.Base(t.Name())), Target: "other",
			Args:   map[string]string{"TOKEN": "hunter2", "PORT": "80"},
			Labels: map[string]string{"team": "prediction"},
		}
		var told []string
		built, err := l.engine.Build(t.Context(), spec, telling(t, &told))
		if err != nil {
			t.Fatal(err)
		}
		found, err := l.engine.docker.ImageInspect(t.Context(), spec.Tag)
		if err != nil {
			t.Fatal(err)
		}
		if built.ID != found.ID || built.Ref != spec.Tag {
			t.Errorf("built %+v, and the tag is %s", built, found.ID)
		}
		if found.Config.Labels["team"] != "prediction" || found.Config.Labels["sweep.test"] != "build" {
			t.Errorf("its labels are %v", found.Config.Labels)
		}
		for _, want := range []string{"PORT=80", "OTHER=1"} {
			if !slices.Contains(found.Config.Env, want) {
				t.Errorf("its environment %v lacks %s", found.Config.Env, want)
			}
		}
		if slices.Contains(found.Config.Env, "LAST=1") {
			t.Error("the target was passed over")
		}
		all := strings.Join(told, "\n")
		if !strings.Contains(all, "COPY a /a-") || !strings.HasPrefix(all, "step ") || strings.Contains(all, "hunter2") {
			t.Errorf("progress was told:\n%s", all)
		}
	})
}

// What is in a context is read from the error of a build that shows it.
func TestBuildSends(t *testing.T) {
	builders(t, func(t *testing.T, l *lab) {
		dir := folder(t, map[string]string{
			"docker/Dockerfile": "FROM debian:bookworm-slim\n" + buildLabel + "COPY . /sent\nRUN cd /sent && find . ! -type d -printf '%m %u %P %l\\n' | sort; exit 3\n",
			".dockerignore":     "docker\n.dockerignore\nignored*\n",
			"src/run.sh":        "#!/bin/sh", "src/link": "-> run.sh", "ignored.txt": "", "ignored/x": "",
		})
		if err := os.Chmod(filepath.Join(dir, "src/run.sh"), 0o750); err != nil {
			t.Fatal(err)
		}
		_, err := l.engine.Build(t.Context(), BuildSpec{Context: dir, Dockerfile: "docker/Dockerfile"}, func(string) {})
		wantError(t, err, "failed with exit code 3:\n")
		wantError(t, err, "\n  750 root src/run.sh")
		wantError(t, err, "\n  777 root src/link run.sh")
		if err != nil && strings.Contains(err.Error(), "ignored") {
			t.Error("what is ignored was sent")
		}
		t.Log(err)
	})
}

// BuildKit answers before it has read the folder.
func TestBuildSendsMuch(t *testing.T) {
	builders(t, func(t *testing.T, l *lab) {
		dir := folder(t, map[string]string{"Dockerfile": "FROM debian:bookworm-slim\n" + buildLabel + "COPY data /\nRUN sha256sum </data; exit 1\n"})
		data := make([]byte, 40<<20)
		rand.Read(data)
		if err := os.WriteFile(filepath.Join(dir, "data"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := l.engine.Build(t.Context(), BuildSpec{Context: dir}, func(string) {})
		wantError(t, err, fmt.Sprintf("\n  %x", sha256.Sum256(data)))
	})
}

func TestBuildFails(t *testing.T) {
	builders(t, func(t *testing.T, l *lab) {
		for _, test := range []struct {
			name, dockerfile string
			spec             BuildSpec
			want             []string
		}{
			{
				"a step", "FROM debian:bookworm-slim\n" + buildLabel + "ARG TOKEN\nRUN echo $TOKEN; seq 100; echo \"the model: no memory\"; exit 7\n",
				BuildSpec{Args: map[string]string{"TOKEN": "hunter2"}},
				[]string{"step ", ", RUN echo ", "failed with exit code 7:\n  82\n  83", "\n  100\n  the model: no memory"},
			},
			{
				"a secret in its last words", "FROM debian:bookworm-slim\n" + buildLabel + "ARG TOKEN\nRUN echo \"token $TOKEN\"; exit 1\n",
				BuildSpec{Args: map[string]string{"TOKEN": "hunter2"}},
				[]string{"failed with exit code 1:\n  token ***"},
			},
			{
				"what it writes to its standard error", "FROM debian:bookworm-slim\n" + buildLabel + "RUN echo no memory >&2; exit 1\n",
				BuildSpec{},
				[]string{"failed with exit code 1:\n  no memory"},
			},
			{
				"a step without a word", "FROM debian:bookworm-slim\n" + buildLabel + "RUN exit 2\n",
				BuildSpec{},
				[]string{"RUN exit 2, failed with exit code 2, and said nothing"},
			},
			{
				"what it copies", "FROM scratch\n" + buildLabel + "COPY nothing /x\n",
				BuildSpec{},
				[]string{"COPY nothing /x, failed: ", "nothing"},
			},
			{
				"a target", "FROM scratch AS one\n" + buildLabel + "FROM scratch as two\n",
				BuildSpec{Target: "three"},
				[]string{"the Dockerfile has no stage three; it has one, two"},
			},
			{
				"what it is made of", "FROM 127.0.0.1:9/nothing:here\n",
				BuildSpec{},
				[]string{"127.0.0.1:9/nothing:here"},
			},
			{
				"an unknown instruction", "FROM scratch\nRUM x\n",
				BuildSpec{},
				[]string{"unknown instruction"},
			},
		} {
			t.Run(test.name, func(t *testing.T) {
				test.spec.Context = folder(t, map[string]string{"Dockerfile": test.dockerfile})
				_, err := l.engine.Build(t.Context(), test.spec, func(string) {})
				t.Log(err)
				for _, want := range append(test.want, "build "+test.spec.Context+": ") {
					wantError(t, err, want)
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Error("the error shows an argument's value")
				}
			})
		}
	})
}

func TestBuildCancelled(t *testing.T) {
	const sleep = "7531.25" // seconds, by which the process is found
	builders(t, func(t *testing.T, l *lab) {
		dir := folder(t, map[string]string{"Dockerfile": "FROM debian:bookworm-slim\n" + buildLabel + "RUN sleep " + sleep + "\n"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := l.engine.Build(ctx, BuildSpec{Context: dir}, func(string) {})
			ended <- err
		}()
		waitFor(t, "the step runs", func() bool { return processRuns("sleep", sleep) })
		began := time.Now()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Build ended with %v", err)
		}
		waitFor(t, "the step has ended", func() bool { return !processRuns("sleep", sleep) })
		t.Logf("cancelled in %v", time.Since(began).Round(time.Millisecond))
	})
}

// processRuns reports whether a program with these arguments runs on this machine.
func processRuns(args ...string) bool {
	programs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	want := []byte(strings.Join(args, "\x00") + "\x00")
	return slices.ContainsFunc(programs, func(file string) bool {
		cmdline, err := os.ReadFile(file)
		return err == nil && bytes.Equal(cmdline, want)
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s it isn't so that %s", what)
		}
	}
}

func TestBuilderChoice(t *testing.T) {
	l, _ := live(t)
	for value, want := range map[string]build.BuilderVersion{"0": "1", "false": "1", "1": "2", "true": "2"} {
		t.Setenv("DOCKER_BUILDKIT", value)
		if got, err := l.engine.builder(t.Context()); got != want || err != nil {
			t.Errorf("DOCKER_BUILDKIT=%s is builder %s, %v", value, got, err)
		}
	}
	t.Setenv("DOCKER_BUILDKIT", "yes, please")
	_, err := l.engine.builder(t.Context())
	wantError(t, err, "set it to 1 for BuildKit")
	t.Setenv("DOCKER_BUILDKIT", "")
	ping, err := l.engine.docker.Ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.engine.builder(t.Context()); err != nil || (got == build.BuilderBuildKit) != (ping.BuilderVersion == build.BuilderBuildKit) {
		t.Errorf("by itself it takes builder %q, %v; the engine's own is %q", got, err, ping.BuilderVersion)
	}
}
