package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sweep/pkg/measure"
)

// locustSmall is a load by Locust's workers; @FILE@ is its locustfile.
const locustSmall = `version: 1
name: small
service:
  image: sweep/predictor:dev
  port: 8000
  ready: {path: /health, within: 20s}
matrix: {cpus: [@CPUS@], memory: [100M]}
users: {target: @TARGET@, ramp: @RAMP@, hold: 6s, settle: 1s, wait: {constant: 500ms}}
objective: {errors: 1%, p99: 500ms}
search: {preset: quick, precision: 30%}
generator: {locust: {file: locustfile.py, workers: 2}}
`

// users is a locustfile of two classes of users, one of whom is checked by the
// file itself.
const users = `
from locust import FastHttpUser, constant, task

class Asks(FastHttpUser):
    weight = 3
    wait_time = constant(0.5)

    @task
    def predict(self):
        self.client.post("/predict", json={"features": [12.5, 3, 17.5]}, name="predict")

class Checks(FastHttpUser):
    wait_time = constant(0.5)

    @task
    def predict(self):
        with self.client.post("/predict", json={"features": [12.5, 3, 17.5]}, catch_response=True) as answer:
            if b"prediction" not in answer.content:
                answer.failure("no prediction")
`

func newLocustBench(t *testing.T, file string, settings ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	text := locustSmall
	for _, s := range append(settings, "CPUS=0.5", "TARGET=60", "RAMP=4s") {
		key, value, _ := strings.Cut(s, "=")
		text = strings.ReplaceAll(text, "@"+key+"@", value)
	}
	b.write("small.yaml", text)
	b.write("locustfile.py", file)
	t.Cleanup(b.expectNothingLeft)
	return b
}

// measured reads the only trial that was recorded.
func (b *bench) measured() (r measure.Result) {
	b.t.Helper()
	paths, err := filepath.Glob(filepath.Join(b.runDir(), "trials/*.json"))
	if err != nil || len(paths) != 1 {
		b.t.Fatalf("trials %v, %v", paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestAnyLocustfileMakesTheLoad(t *testing.T) {
	b := newLocustBench(t, users)
	s := b.sweep()
	if c := s.Cells[0]; c.Outcome != "passed" || c.LastPass.Users != 60 {
		t.Fatalf("got %+v", c)
	}
	held := b.measured().Series.Windows[5:9]
	for _, w := range held { // 60 users in every half second and what an answer takes
		if w.Users != 60 || w.Sent < 90 || w.Sent > 125 || w.Failed() > 0 || w.Response.Count() < w.Sent*9/10 || w.Effort == nil || w.Effort.Cores != 2 || w.Effort.Memory == 0 || w.Usage == nil {
			t.Errorf("second %v: %d users, %d requests, %d failed, %d timed, effort %+v, usage %+v", w.Start, w.Users, w.Sent, w.Failed(), w.Response.Count(), w.Effort, w.Usage)
		}
	}
	b.write("locustfile.py", users+"\n# another question\n")
	if o := b.run(nil, "run", "small.yaml", "--quiet", "--only", "cpus=0.5"); !strings.Contains(o.err, "this is a new run") {
		t.Errorf("another locustfile continued the old run:\n%s", o.err)
	}
}

func TestALocustfileThatCantBeRunIsSaidBeforeAnythingIsMeasured(t *testing.T) {
	b := newLocustBench(t, "from locust import Wasp\n")
	if o := b.run(nil, "run", "small.yaml", "--quiet"); o.code != 1 || !strings.Contains(o.err, "locustfile.py") || !strings.Contains(o.err, "Wasp") {
		t.Errorf("exit %d\n%s", o.code, o.err)
	}
}

// workers are the containers of Locust's workers, once so many run.
func (b *bench) workers(n int) []string {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		runs, _ := filepath.Glob(filepath.Join(b.dir, "results/small/*"))
		if len(runs) == 0 {
			continue
		}
		if ids := strings.Fields(docker(b.t, "ps", "-q", "--filter", "label=sweep.dir="+runs[0], "--filter", "name=-worker-")); len(ids) >= n {
			return ids
		}
	}
	b.t.Fatalf("there were never %d workers", n)
	return nil
}

func (b *bench) start(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := b.command(nil, args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	return cmd
}

// loading starts the sweep, and returns once there is load.
func (b *bench) loading() (cmd *exec.Cmd, said *output) {
	b.t.Helper()
	cmd, said = b.command(nil, "run", "small.yaml"), &output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), "req/s"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("no load after a minute:\n%s", said)
		}
	}
	return cmd, said
}

func TestALostWorkerIsTheGeneratorsFault(t *testing.T) {
	b := newLocustBench(t, users, "RAMP=30s")
	cmd, said := b.loading()
	docker(t, "kill", b.workers(2)[0])
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if c := b.sweep().Cells[0]; c.Outcome != "generator_limited" {
		t.Errorf("got %+v", c)
	}
}

func TestLocustsWorkersOfASweepThatIsKilledAreRemoved(t *testing.T) {
	b := newLocustBench(t, users, "RAMP=30s")
	cmd := b.start("run", "small.yaml", "--quiet")
	b.workers(2)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if o := b.run(nil, "restore"); o.code != 0 { // or the guard has done it already
		t.Errorf("exit %d\n%s", o.code, o.err)
	}
}

// cluster starts a Locust master with a password and a worker, as somebody else
// would, and returns the URL of its page.
func cluster(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs("../../compose")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (address string) {
		id := docker(t, append([]string{"run", "--detach", "--volume", folder + ":/mnt/locust:ro", "sweep/locust:dev", "-f", "/mnt/locust/locustfile.py"}, args...)...)
		t.Cleanup(func() { docker(t, "rm", "--force", id) })
		return docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", id)
	}
	master := run("--master", "--web-auth", "ann:hunter2hunter2")
	run("--worker", "--master-host", master)
	page, told := "http://"+master+":8089", ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if told, err = lookedAt(t, page+"/stats/requests"); strings.Contains(strings.Join(strings.Fields(told), ""), `"workers":[{`) {
			return page
		}
	}
	t.Fatalf("the cluster didn't come up: %v, %q", err, told)
	return ""
}

// lookedAt is what a page says to who has the cluster's password.
func lookedAt(t *testing.T, url string) (string, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("ann", "hunter2hunter2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestAClusterOfSomebodyElsesIsDrivenByItsPage(t *testing.T) {
	b := &bench{t: t, dir: t.TempDir()}
	page := cluster(t)
	b.write("small.yaml", `version: 1
name: small
service: {image: sweep/predictor:dev, port: 8000, ready: {path: /health}}
matrix: {cpus: [0.5], memory: [100M]}
users: {target: 60, ramp: 4s, hold: 16s, wait: {constant: 1s}}
objective: {errors: 1%, p95: 500ms}
search: {preset: quick}
generator: {locust: {url: "`+page+`", auth: "${LOCUST_AUTH}"}}
`)
	t.Cleanup(b.expectNothingLeft)
	if o := b.run([]string{"LOCUST_AUTH=ann:wrong"}, "run", "small.yaml", "--quiet"); o.code != 1 || !strings.Contains(o.err, "generator.locust.auth") {
		t.Errorf("with a wrong password: exit %d\n%s", o.code, o.err)
	}
	s := b.sweep("LOCUST_AUTH=ann:hunter2hunter2")
	if c := s.Cells[0]; c.Outcome != "passed" || c.LastPass.Users != 60 {
		t.Errorf("got %+v", c)
	}
	windows := b.measured().Series.Windows
	if w := windows[len(windows)-3]; w.Users != 60 || w.Sent < 30 || w.Failed() > 0 || w.Response.Quantile(0.95) == 0 {
		t.Errorf("near the end: %+v", w)
	}
	for name, text := range b.files() {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s holds the password", name)
		}
	}
}
