package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sweep/cmd/sweep/internal/draft"
	"sweep/pkg/load"
)

// container starts a container for the time of the test and returns its name.
func container(t *testing.T, what string, args ...string) string {
	t.Helper()
	name := fmt.Sprintf("init-test-%s-%d", what, os.Getpid())
	docker(t, append([]string{"run", "--detach", "--name", name}, args...)...)
	t.Cleanup(func() { docker(t, "rm", "--force", name) })
	return name
}

// initialised runs init and returns the text that it wrote.
func (b *bench) initialised(args ...string) string {
	b.t.Helper()
	file := filepath.Join(b.dir, "init.yaml")
	o := b.run(nil, append([]string{"init", "--force", "--out", "init.yaml"}, args...)...)
	text, err := os.ReadFile(file)
	if o.code != 0 || err != nil || !strings.Contains(o.out, "Wrote init.yaml") || !strings.Contains(o.out, "sweep plan init.yaml") || !strings.Contains(o.out, "sweep run init.yaml") {
		b.t.Fatalf("exit %d, %v: %s%s", o.code, err, o.out, o.err)
	}
	if strings.Contains(string(text), "hunter2") {
		b.t.Errorf("a secret of the environment is in the file:\n%s", text)
	}
	return string(text)
}

func expectIn(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// What init writes for a service that it has never seen runs as it stands, but
// for the size of the question.
func TestInitWritesWhatRuns(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	name := container(t, "fast", "--env", "SECRET=hunter2hunter2", "sweep/fastapi:dev")
	text := b.initialised("--container", name)
	expectIn(t, text, "container: "+name, "port: 8000", "path: /health", "path: /predict", "method: POST", "contains: prediction", "answered 200")
	for _, edit := range [][2]string{{`cpus: .*`, "cpus: [0.5]"}, {`memory: .*`, "memory: [200M]"}, {`target: .*`, "target: 20"}, {`ramp: .*`, "ramp: 2s"}, {`hold: .*`, "hold: 2s"}} {
		text = regexp.MustCompile(edit[0]).ReplaceAllLiteralString(text, edit[1])
	}
	b.write("small.yaml", text)
	if s := b.sweep(); len(s.Cells) != 1 || s.Cells[0].Outcome != "passed" {
		t.Errorf("got %+v", s)
	}
	if running := docker(t, "inspect", "--format", "{{.State.Running}}", name); running != "true" {
		t.Errorf("the container isn't back: running %s", running)
	}
	expectNoLooker(t)
}

func TestInitOfAServiceWithoutADescription(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	name := container(t, "bare", "--memory", "100m", "sweep/predictor:dev")
	text := b.initialised("--container", name)
	expectIn(t, text, "shows no OpenAPI document", "method: GET", "path: /health", "memory: [50M, 100M, 200M]", "answered 200")
	if o := b.run(nil, "plan", "init.yaml"); o.code != 0 {
		t.Errorf("plan: exit %d: %s", o.code, o.err)
	}
	if o := b.run(nil, "init", "--container", name, "--out", "init.yaml"); o.code != 2 || !strings.Contains(o.err, "--force") {
		t.Errorf("over a file: exit %d: %s", o.code, o.err)
	}
	if o := b.run(nil, "init", "--container", name, "--out", "-"); o.code != 0 || o.out != text {
		t.Errorf("to standard output: exit %d: %s%s", o.code, o.out, o.err)
	}
	other := container(t, "other", "sweep/predictor:dev")
	if o := b.run(nil, "init"); o.code != 2 || !strings.Contains(o.err, "sweep init --container "+name) || !strings.Contains(o.err, "sweep init --container "+other) {
		t.Errorf("two that could be meant: exit %d: %s", o.code, o.err)
	}
}

func TestInitSaysWhatIsWrong(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	mute := container(t, "mute", "debian:bookworm-slim", "perl", "-MIO::Socket::INET", "-e",
		`$s = IO::Socket::INET->new(LocalPort => 5432, Listen => 5); while ($c = $s->accept) { print $c "not HTTP\n"; close $c }`)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--container " + mute, 2, "doesn't answer HTTP"},
		{"--container " + mute[:len(mute)-1] + "x", 1, "did you mean " + mute},
		{"--container a --compose b", 2, "either"},
		{"--service a", 2, "--compose"},
		{"--compose nothere.yaml", 2, "nothere.yaml"},
		{"argument", 2, "sweep init --container argument"},
	} {
		if o := b.run(nil, append([]string{"init"}, strings.Fields(c.args)...)...); o.code != c.code || !strings.Contains(o.err, c.want) || o.out != "" {
			t.Errorf("%s: exit %d: %s%s", c.args, o.code, o.out, o.err)
		}
	}
	expectNoLooker(t)
}

// expectNoLooker expects that nothing is left of init's own agents.
func expectNoLooker(t *testing.T) {
	t.Helper()
	left := docker(t, "ps", "--all", "--filter", "label=sweep.dir", "--format", `{{.Label "sweep.dir"}}`) + docker(t, "images", "--filter", "label=sweep.dir", "--format", "{{.Tag}}")
	if strings.Contains(left, "sweep-init-") {
		t.Errorf("left in the engine: %s", left)
	}
}

const project = `name: init-test
services:
  api:
    image: sweep/predictor:dev
    ports: ["18111:8000", "9090"]
    environment: {SECRET: hunter2hunter2}
    deploy: {resources: {limits: {cpus: '1', memory: 100M}}}
  worker: {image: sweep/predictor:dev}
`

func TestInitOfAComposeFile(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	b.write("compose.yaml", project)
	text := b.initialised("--compose", "compose.yaml")
	expectIn(t, text, "compose: {file: compose.yaml, service: api}", "port: 8000", "9090", "nothing runs", "cpus: [0.5, 1", "memory: [50M, 100M, 200M]")

	if err := os.Mkdir(filepath.Join(b.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if o := b.run(nil, "init", "--compose", "compose.yaml", "--out", "sub/init.yaml"); o.code != 0 {
		t.Errorf("into a folder: exit %d: %s", o.code, o.err)
	}
	below, err := os.ReadFile(filepath.Join(b.dir, "sub/init.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expectIn(t, string(below), "file: '../compose.yaml'")

	container(t, "composed", "--label", "com.docker.compose.project=init-test", "--label", "com.docker.compose.service=api", "--expose", "9090", "sweep/predictor:dev")
	text = b.initialised("--compose", "compose.yaml")
	expectIn(t, text, "compose: {file: compose.yaml, service: api}", "port: 8000", "path: /health", "answered 200")

	b.write("compose.yaml", project+"  more: {image: x, expose: ['80']}\n")
	if o := b.run(nil, "init", "--compose", "compose.yaml"); o.code != 2 || !strings.Contains(o.err, "--service api, or --service more") {
		t.Errorf("two with ports: exit %d: %s", o.code, o.err)
	}
	if o := b.run(nil, "init", "--compose", "compose.yaml", "--service", "non"); o.code != 2 || !strings.Contains(o.err, "it has api, more, worker") {
		t.Errorf("no such service: exit %d: %s", o.code, o.err)
	}
}

// visiting returns a visit to a server of this machine, through an agent in
// this process.
func visiting(t *testing.T, server *httptest.Server) (*visit, int) {
	ours, its := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- load.Serve(t.Context(), its, its) }()
	v := &visit{agent: load.NewLooker(ours), told: &output{}, facts: &draft.Facts{}}
	t.Cleanup(func() {
		v.agent.Close()
		<-ended
		server.Close()
	})
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	return v, port
}

func TestAVisitFindsTLS(t *testing.T) {
	v, port := visiting(t, httptest.NewTLSServer(http.NotFoundHandler()))
	if err := v.reach(t.Context(), []int{port}); err != nil || !v.facts.HTTPS || v.facts.Port != port {
		t.Errorf("got %v, %+v", err, v.facts)
	}
}

func TestAVisitFindsADescriptionByItsPage(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/docs", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `SwaggerUIBundle({url: '/v2/api.json'})`) })
	mux.HandleFunc("/v2/api.json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"paths": {"/items": {"get": {}}}}`) })
	v, port := visiting(t, httptest.NewServer(mux))
	v.facts.Port = port
	if err := v.request(t.Context()); err != nil || v.facts.Document != "/v2/api.json" || v.facts.Request.Path != "/items" {
		t.Errorf("got %v, %+v", err, v.facts)
	}
}
