package engine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
	"pgregory.net/rapid"
)

func TestLayers(t *testing.T) {
	l := layers{}
	for _, step := range []struct{ message, want string }{
		{`{"status": "Pulling from team/x", "id": "v1"}`, "0 of 0 layers"},
		{`{"status": "Already exists", "progressDetail": {}, "id": "a"}`, "1 of 1 layers"},
		{`{"status": "Pulling fs layer", "progressDetail": {}, "id": "b"}`, "1 of 2 layers"},
		{`{"status": "Pulling fs layer", "progressDetail": {}, "id": "c"}`, "1 of 3 layers"},
		{`{"status": "Waiting", "progressDetail": {}, "id": "c"}`, "1 of 3 layers"},
		{`{"status": "Downloading", "progressDetail": {"current": 45000000, "total": 120000000}, "id": "b"}`, "1 of 3 layers, 45 of 120 MB"},
		{`{"status": "Retrying in 5 seconds", "progressDetail": {}, "id": "b"}`, "1 of 3 layers, 45 of 120 MB"},
		{`{"status": "Download complete", "progressDetail": {}, "id": "b"}`, "1 of 3 layers, 120 of 120 MB"},
		{`{"status": "Extracting", "progressDetail": {"current": 1, "total": 120000000}, "id": "b"}`, "1 of 3 layers, 120 of 120 MB"},
		{`{"status": "Pull complete", "progressDetail": {}, "id": "b"}`, "2 of 3 layers, 120 of 120 MB"},
		{`{"status": "Digest: sha256:12"}`, "2 of 3 layers, 120 of 120 MB"},
	} {
		var m message
		if err := json.Unmarshal([]byte(step.message), &m); err != nil {
			t.Fatal(err)
		}
		l.observe(m)
		if got := l.String(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.message, got, step.want)
		}
	}
}

func TestSeldom(t *testing.T) {
	var told []string
	say := seldom(func(line string) { told = append(told, line) }, time.Hour)
	say("a", false)
	say("b", false)
	say("c", true)
	say("c", true)
	if !slices.Equal(told, []string{"a", "c"}) {
		t.Errorf("told %q", told)
	}
}

func TestSimilar(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"sweep/predictr:dev", "sweep/predictor:dev", true},
		{"predictor:dev", "sweep/predictor:dev", true},
		{"sweep/predictor:dev", "sweep/predictor:dev", true},
		{"nginx:latest", "sweep/predictor:dev", false},
		{"", "x", false},
	} {
		if got := similar(test.a, test.b); got != test.want || similar(test.b, test.a) != got {
			t.Errorf("similar(%q, %q) = %v", test.a, test.b, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // one wrong letter is a typo
		name := rapid.StringMatching(`[a-z/:]{3,20}`).Draw(t, "name")
		at := rapid.IntRange(0, len(name)-1).Draw(t, "at")
		if typo := name[:at] + "X" + name[at+1:]; !similar(name, typo) {
			t.Errorf("%q isn't similar to %q", typo, name)
		}
	})
}

// An engine that says nothing is given up; one that speaks is waited for.
func TestPullSilence(t *testing.T) {
	const silence = 300 * time.Millisecond
	stop := make(chan struct{})
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/images/create") {
			return
		}
		for range 8 { // longer than silence in all
			w.Write([]byte(`{"status": "Waiting", "id": "a"}`))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(silence / 5):
			}
		}
		if strings.Contains(r.URL.RawQuery, "silent") {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
	}))
	defer fake.Close()
	defer close(stop)
	e := engineAt(t, fake)
	wantError(t, e.pull(t.Context(), "127.0.0.1:9/speaks:v1", silence, func(string) {}), "")
	wantError(t, e.pull(t.Context(), "127.0.0.1:9/silent:v1", silence, func(string) {}), "the engine said nothing for 300ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, e.pull(ctx, "127.0.0.1:9/speaks:v1", silence, func(string) {}), "context canceled")
}

func engineAt(t *testing.T, fake *httptest.Server) *Engine {
	docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+fake.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	return &Engine{docker: docker}
}

// A folder that goes while it is sent is the error, not what the engine makes
// of half of it.
func TestBuildLosesItsFolder(t *testing.T) {
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write([]byte(`{"error": "half a folder"}`))
	}))
	defer fake.Close()
	c, err := openContext(folder(t, map[string]string{"Dockerfile": "FROM scratch"}), "")
	if err != nil {
		t.Fatal(err)
	}
	log := func() *buildLog { return newBuildLog(nil, func(string) {}) }
	wantError(t, engineAt(t, fake).runBuild(t.Context(), c, build.ImageBuildOptions{}, log()), "half a folder")
	c.dir += "-gone"
	wantError(t, engineAt(t, fake).runBuild(t.Context(), c, build.ImageBuildOptions{}, log()), "send the folder: lstat "+c.dir)
}
