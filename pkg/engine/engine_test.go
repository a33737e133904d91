package engine

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/google/go-cmp/cmp"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func TestCounters(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name string
		json string
		want measure.Counters
	}{
		{
			"cgroup v1",
			`{"read": "2026-01-02T03:04:05Z", "pids_stats": {"current": 5},
			  "cpu_stats": {"cpu_usage": {"total_usage": 1500000000}, "throttling_data": {"periods": 10, "throttled_periods": 4}},
			  "memory_stats": {"usage": 1000, "max_usage": 2000, "stats": {"inactive_file": 1, "total_inactive_file": 300, "rss": 1, "total_rss": 600, "pgmajfault": 1, "total_pgmajfault": 9}}}`,
			measure.Counters{
				Read: at, CPU: 1500 * time.Millisecond, Periods: new(uint64(10)), Throttled: new(uint64(4)), PIDs: 5,
				Memory: 700, Peak: new(experiment.Bytes(2000)), Anonymous: new(experiment.Bytes(600)), Faults: new(uint64(9)),
			},
		},
		{
			"cgroup v2 has no peak",
			`{"read": "2026-01-02T03:04:05Z", "cpu_stats": {"throttling_data": {"periods": 10}},
			  "memory_stats": {"usage": 1000, "stats": {"inactive_file": 300, "anon": 500, "pgmajfault": 0}}}`,
			measure.Counters{
				Read: at, Periods: new(uint64(10)), Throttled: new(uint64(0)),
				Memory: 700, Anonymous: new(experiment.Bytes(500)), Faults: new(uint64(0)),
			},
		},
		{
			"podman has no details",
			`{"read": "2026-01-02T03:04:05Z", "memory_stats": {"usage": 1000}}`,
			measure.Counters{Read: at, Memory: 1000},
		},
		{
			"page cache read later than the usage",
			`{"read": "2026-01-02T03:04:05Z", "memory_stats": {"usage": 200, "stats": {"inactive_file": 300}}}`,
			measure.Counters{Read: at},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var record container.StatsResponse
			if err := json.Unmarshal([]byte(test.json), &record); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, counters(record)); diff != "" {
				t.Error("counters (-want +got):\n" + diff)
			}
		})
	}
}

func TestDiscarded(t *testing.T) {
	for warning, fatal := range map[string]bool{
		"Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.":           true,
		"Your kernel does not support CPU CFS quota or the cgroup is not mounted. Quota discarded.":                            true,
		"Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.":      false,
		"The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64) and no specific": false,
	} {
		if err := discarded([]string{"something else", warning}); (err != nil) != fatal {
			t.Errorf("discarded(%q) = %v, want an error: %v", warning, err, fatal)
		}
	}
}

func TestEnforced(t *testing.T) {
	limits := experiment.Limits{CPU: 500_000_000, Memory: 200 * experiment.MiB}
	as := func(cpu, memory, swap int64) container.Resources {
		return container.Resources{NanoCPUs: cpu, Memory: memory, MemorySwap: swap}
	}
	for _, test := range []struct {
		name      string
		got       container.Resources
		swapLimit bool
		err       string
	}{
		{"all", as(5e8, 200<<20, 200<<20), true, ""},
		{"no CPU limit", as(0, 200<<20, 200<<20), true, "did not enforce 0.5 CPUs: it says 0"},
		{"another memory limit", as(5e8, 100<<20, 200<<20), true, "did not enforce 200M of memory: it says 100M"},
		{"swap", as(5e8, 200<<20, 400<<20), true, "no swap"},
		{"swap unlimited", as(5e8, 200<<20, -1), true, "no swap"},
		{"swap not accounted", as(5e8, 200<<20, -1), false, ""},
	} {
		t.Run(test.name, func(t *testing.T) { wantError(t, enforced(limits, test.got, test.swapLimit), test.err) })
	}
}

func TestEnforcedMemory(t *testing.T) {
	const odd = 10_000_001 // bytes, which is no whole number of pages
	wantError(t, enforcedMemory(odd, odd/4096*4096), "")
	wantError(t, enforcedMemory(odd, odd/65536*65536), "")
	wantError(t, enforcedMemory(200*experiment.MiB, 16<<30), "did not enforce 200M of memory: the container's limit is 16G")
	wantError(t, enforcedMemory(200*experiment.MiB, 100<<20), "the container's limit is 100M")
}

// The words are those of real engines.
func TestStarved(t *testing.T) {
	const runc = "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
	for text, want := range map[string]string{
		runc + "error during container init: error setting cgroup config for procHooks process: unable to set memory limit to 6291456 (current usage: 9515008, peak usage: 9834496): unknown": "error during container init: error setting cgroup config for procHooks process: unable to set memory limit to 6291456 (current usage: 9515008, peak usage: 9834496)",
		runc + "container init was OOM-killed (memory limit too low?): unknown": "container init was OOM-killed (memory limit too low?)",
		"Error response from daemon: cannot start a stopped process: unknown":   "Error response from daemon: cannot start a stopped process",
	} {
		if err := errors.New(text); !starved(err) || reason(err) != want {
			t.Errorf("%q: starved %v, reason %q", text, starved(err), reason(err))
		}
	}
	for _, text := range []string{
		runc + `exec: "/nothing": stat /nothing: no such file or directory: unknown`,
		runc + "error during container init: error setting rlimits for ready process: error setting rlimit type 7: operation not permitted: unknown",
	} {
		if starved(errors.New(text)) {
			t.Errorf("%q counts as out of memory", text)
		}
	}
}

func TestWatchSee(t *testing.T) {
	w := &watch{down: make(chan struct{}), oom: make(chan struct{})}
	deaths := 0
	w.died = func() { deaths++ }
	for _, m := range []events.Message{
		{Action: events.ActionOOM, TimeNano: 1},
		{Action: events.ActionOOM, TimeNano: 1}, // repeated after a resubscription
		{Action: events.ActionOOM, TimeNano: 2},
		{Action: events.ActionDie, TimeNano: 3},
	} {
		w.see(m)
	}
	if n := w.ooms.Load(); n != 2 || deaths != 1 {
		t.Errorf("saw %d kills and %d deaths, want 2 and 1", n, deaths)
	}
}

func TestOwner(t *testing.T) {
	owner := Owner{Run: "2026-01-02", Dir: "/results/a b", Host: "here"}
	labels := owner.labels(roleAgent)
	if got := ownerOf(labels); got != owner {
		t.Errorf("ownerOf(labels()) = %+v, want %+v", got, owner)
	}
	if labels["sweep.role"] != "agent" {
		t.Errorf("labels are %v, without the role", labels)
	}
	for run, want := range map[string]string{
		"2026-01-02T15:04:05+01:00": "sweep/agent:2026-01-02T15-04-05-01-00",
		".-é x":                     "sweep/agent:x",
		strings.Repeat("x", 200):    "sweep/agent:" + strings.Repeat("x", 128),
	} {
		if got := (Owner{Run: run}).tag(); got != want {
			t.Errorf("tag of run %q is %q, want %q", run, got, want)
		}
	}
}

func TestRepository(t *testing.T) {
	for ref, want := range map[string]string{
		"predictor":                        "predictor",
		"predictor:v2":                     "predictor",
		"localhost:5000/team/predictor":    "localhost:5000/team/predictor",
		"localhost:5000/team/predictor:v2": "localhost:5000/team/predictor",
		"predictor@sha256:0123":            "predictor",
	} {
		if got := repository(ref); got != want {
			t.Errorf("repository(%q) = %q, want %q", ref, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	tags := []string{"predictor:latest", "predictor:v1.0", "predictor:v2.0"}
	for ref, want := range map[string]string{"predictor:v2.1": "predictor:v2.0", "predictor:v3": "predictor:v1.0", "predictor": "predictor:latest"} {
		if got := nearest(ref, tags); got != want {
			t.Errorf("nearest(%q) = %q, want %q", ref, got, want)
		}
	}
	if got := nearest("predictor", nil); got != "" {
		t.Errorf("nearest of nothing is %q", got)
	}
}

func TestCannotLimit(t *testing.T) {
	got := cannotLimit([]string{
		"WARNING: No swap limit support",
		"WARNING: No kernel memory limit support",
		"WARNING: No cpu cfs quota support",
		"WARNING: bridge-nf-call-iptables is disabled",
	})
	if diff := cmp.Diff([]string{"No swap limit support", "No cpu cfs quota support"}, got); diff != "" {
		t.Error("cannotLimit (-want +got):\n" + diff)
	}
}

func TestTail(t *testing.T) {
	last := tail{limit: 5}
	for _, s := range []string{"ab", "", "cd", "ef", "0123456789", "x"} {
		if n, err := io.WriteString(&last, s); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	if last.String() != "6789x" {
		t.Errorf("kept %q, want %q", last.String(), "6789x")
	}
}

func TestEnded(t *testing.T) {
	if err := ended(0, "ignored"); !errors.Is(err, io.EOF) {
		t.Errorf("a good end is %v, want io.EOF", err)
	}
	wantError(t, ended(7, "no\n"), "exit code 7: no")
}

func TestLoaded(t *testing.T) {
	wantError(t, loaded(strings.NewReader(`{"stream":"Loaded image: a\n"}`)), "")
	wantError(t, loaded(strings.NewReader(`{"stream":"a"}{"errorDetail":{"message":"no space"},"error":"no space"}`)), "no space")
	wantError(t, loaded(strings.NewReader(`{"stream":`)), "unexpected EOF")
}

func TestRunsAlone(t *testing.T) {
	static := program(62, 0) // EM_X86_64
	wantError(t, runsAlone(static, "amd64"), "")
	wantError(t, runsAlone(static, "arm64"), "it is for EM_X86_64 and the engine runs arm64")
	wantError(t, runsAlone(static, "unheard-of"), "the engine runs unheard-of")
	wantError(t, runsAlone(program(62, 3), "amd64"), "linked dynamically") // PT_INTERP
	wantError(t, runsAlone([]byte("#!/bin/sh"), "amd64"), "not a Linux program")
}

// program returns the headers of a 64-bit ELF program for a machine, with one
// program header of the given type.
func program(machine uint16, header uint32) []byte {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	for _, field := range []any{
		uint16(2), machine, uint32(1), // executable
		uint64(0), uint64(64), uint64(0), uint32(0), // entry, program headers, section headers, flags
		uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0),
		header, uint32(0),
		[6]uint64{}, // the program header
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func TestArchive(t *testing.T) {
	a := archive{
		tag: "sweep/agent:r", arch: "arm64", labels: map[string]string{"sweep.run": "r"},
		entrypoint: []string{"/sweep", "agent"}, program: []byte("the program"),
	}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := a.write(b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two archives of the same image differ")
	}

	files := untar(t, first.Bytes())
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	unmarshal(t, files["manifest.json"], &manifest)
	var config struct {
		OS, Architecture string
		Config           struct {
			Entrypoint []string
			Labels     map[string]string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	unmarshal(t, files[manifest[0].Config], &config)

	layer := manifest[0].Layers[0]
	if got := untar(t, files[layer]); string(got["sweep"]) != "the program" {
		t.Errorf("the layer holds %q", got)
	}
	if config.RootFS.DiffIDs[0] != "sha256:"+strings.TrimSuffix(layer, "/layer.tar") {
		t.Errorf("layer %s has the digest %s", layer, config.RootFS.DiffIDs[0])
	}
	if config.OS != "linux" || config.Architecture != "arm64" || manifest[0].RepoTags[0] != a.tag {
		t.Errorf("config %+v, manifest %+v", config, manifest)
	}
	if diff := cmp.Diff(a.entrypoint, config.Config.Entrypoint); diff != "" {
		t.Error("entrypoint (-want +got):\n" + diff)
	}
	if diff := cmp.Diff(a.labels, config.Config.Labels); diff != "" {
		t.Error("labels (-want +got):\n" + diff)
	}
}

func untar(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

// wantError checks that err has the text in it, or is nil where text is "".
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("got the error %q, want none", err)
	case text != "" && err == nil:
		t.Errorf("got no error, want one with %q", text)
	case text != "" && !strings.Contains(err.Error(), text):
		t.Errorf("got the error %q, want one with %q", err, text)
	}
}

func TestConnectTellsWhatToDo(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none.sock")
	_, err := Connect(t.Context(), "")
	for _, text := range []string{os.Getenv("DOCKER_HOST"), "start it", "DOCKER_HOST"} {
		wantError(t, err, text)
	}
	t.Setenv("DOCKER_HOST", "nonsense")
	_, err = Connect(t.Context(), "")
	wantError(t, err, "no Docker Engine answers at tcp://nonsense:2375 (DOCKER_HOST)")
}
