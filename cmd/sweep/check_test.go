package main

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var nights = flag.Int("nights", 10, "nights: so many of each kind")

// gateExperiment asks enough of the generator that it can be starved, and little
// of the service.
const gateExperiment = `version: 1
name: small
service: {image: "@IMAGE@", port: 8000, ready: {path: /health, within: 5s}}
request: {method: POST, path: /predict, body: '{}', expect: {contains: prediction}}
matrix: {cpus: [0.5], memory: [64M]}
users: {target: 150, ramp: 1s, hold: 2s, settle: 1s, wait: {constant: 50ms}}
search: {preset: quick}
`

// What the service of the gate is made of; see cmd/sweep/internal/calibration.
const (
	steady    = "MODE=cpu COST=100us"
	costlier  = "MODE=cpu COST=120us"
	hoards    = "MODE=connections EACH=204800"
	hoardMore = "MODE=connections EACH=266240"
	crashes   = "MODE=crash CONCURRENT=37 TAKES=50ms" // at half of the users
)

// gate is a folder with an experiment on an image of its own, which can be made
// anew.
type gate struct {
	*bench
	image string
}

func newGate(t testing.TB, env string) *gate {
	t.Helper()
	g := &gate{bench: &bench{t: t, dir: t.TempDir()}, image: fmt.Sprintf("sweep/gate-%d:%d", os.Getpid(), time.Now().UnixNano())}
	g.write("small.yaml", strings.ReplaceAll(gateExperiment, "@IMAGE@", g.image))
	g.becomes(env, "first")
	t.Cleanup(func() {
		g.expectNothingLeft()
		docker(t, append([]string{"image", "rm", "--force"}, strings.Fields(docker(t, "images", "--quiet", "--filter", "label=sweep.gate="+g.image))...)...)
	})
	return g
}

// becomes makes the image anew, by its old name.
func (g *gate) becomes(env, label string) {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), "docker", "build", "--quiet", "--tag", g.image, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("FROM sweep/calibration:dev\nENV %s\nLABEL sweep.gate=%q night=%q\n", env, g.image, label))
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("%v\n%s(make calibration builds what this is made from)", err, out)
	}
}

// verdict is what of the JSON line the tests look at.
type verdict struct {
	Schema, Verdict, Reason, Sentence string
	Trials                            int
	Starts                            struct{ Carried, Failed, Void int }
	Cause                             *struct{ Label string }
}

// check runs sweep check and returns its exit code and verdict.
func (g *gate) check(args ...string) (int, verdict) {
	g.t.Helper()
	o := g.run(nil, append([]string{"check", "small.yaml", "--baseline", "capacity.yaml", "--json", "--quiet"}, args...)...)
	var v verdict
	if err := json.Unmarshal([]byte(o.out), &v); err != nil {
		g.t.Fatalf("exit %d, %v in %q\n%s", o.code, err, o.out, o.err)
	}
	g.t.Logf("exit %d, %d trials, %s: %s", o.code, v.Trials, v.Reason, v.Sentence)
	return o.code, v
}

// starvedCheck is check while the load agents are held to a little of a core.
func (g *gate) starvedCheck(after time.Duration) (int, verdict) {
	g.t.Helper()
	ended, end := context.WithCancel(g.t.Context())
	starved := make(chan error, 1)
	go func() {
		select {
		case <-time.After(after):
		case <-ended.Done():
		}
		starved <- starveAgents(ended, g.dir, 0.02)
	}()
	code, v := g.check()
	end()
	if err := <-starved; err != nil {
		g.t.Fatal(err)
	}
	return code, v
}

func TestTheNightlyCheck(t *testing.T) {
	g := newGate(t, steady)
	if o := g.run(nil, "check", "small.yaml", "--baseline", "capacity.yaml"); o.code != 2 || !strings.Contains(o.err, "--update") {
		t.Fatalf("without a baseline: exit %d: %s", o.code, o.err)
	}
	if code, v := g.check("--update", "--starts", "1"); code != 0 || v.Reason != "updated" {
		t.Fatal("no baseline was made")
	}
	agreed, err := os.ReadFile(filepath.Join(g.dir, "capacity.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	g.interrupted()
	if code, v := g.check(); code != 0 || v.Schema != "sweep.check/v1" || v.Verdict != "holds" || v.Trials > 3 {
		t.Error("an unchanged service doesn't hold within three trials")
	}

	g.write("capacity.yaml", regexp.MustCompile(`cpus: \d+, memory: (\d+M|\d+G), kernel`).ReplaceAllString(string(agreed), "cpus: 512, memory: 64G, kernel"))
	if code, v := g.check(); code != 4 || v.Reason != "other_host" || !strings.Contains(v.Sentence, "512 CPUs") || v.Trials != 0 {
		t.Error("a baseline of another host is compared with")
	}
	if o := g.run(nil, "check", "small.yaml", "--baseline", "capacity.yaml", "--update"); o.code != 2 || !strings.Contains(o.err, "--accept-host") {
		t.Errorf("--update on another host: exit %d: %s", o.code, o.err)
	}
	g.write("capacity.yaml", string(agreed))

	if code, v := g.starvedCheck(0); code != 4 || v.Reason != "not_measured" || v.Starts.Void != 3 || v.Starts.Failed > 0 {
		t.Errorf("a starved generator: %+v", v)
	}

	if nights, _ := filepath.Glob(filepath.Join(g.dir, "results/small-nightly/*")); len(nights) != 2 {
		t.Errorf("a night that was interrupted wasn't continued: %v", nights) // that one, and the starved one
	}

	g.becomes(crashes, "crashes")
	code, v := g.check("--junit", "junit.xml", "--summary", "summary.md")
	if code != 3 || v.Reason != "not_carried" || v.Cause == nil || v.Cause.Label != "crashed" || !strings.Contains(v.Sentence, "the baseline's image carried them in 2 of 2") {
		t.Errorf("a service that crashes: %+v", v)
	}
	g.expectPublished()
}

// interrupted begins a night and ends it after its first trial.
func (g *gate) interrupted() {
	g.t.Helper()
	cmd := g.command(nil, "check", "small.yaml", "--baseline", "capacity.yaml", "--quiet")
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	recorded := func() int {
		trials, _ := filepath.Glob(filepath.Join(g.dir, "results/small-nightly/*/trials/*.json"))
		return len(trials)
	}
	for deadline := time.Now().Add(time.Minute); recorded() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.t.Fatalf("no trial after a minute:\n%s", out)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		g.t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out.String(), "Continue with: sweep check small.yaml --baseline capacity.yaml\n") {
		g.t.Errorf("exit %d:\n%s", code, out)
	}
	g.expectNothingLeft()
}

// expectPublished looks at what CI systems read of a regression.
func (g *gate) expectPublished() {
	g.t.Helper()
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	junit, err := os.ReadFile(filepath.Join(g.dir, "junit.xml"))
	if err == nil {
		err = xml.Unmarshal(junit, &suite)
	}
	summary, otherErr := os.ReadFile(filepath.Join(g.dir, "summary.md"))
	if err := errors.Join(err, otherErr); err != nil {
		g.t.Fatal(err)
	}
	if suite.Tests != 3 || suite.Failures != 2 { // tonight's cell, the baseline's, the verdict
		g.t.Errorf("JUnit:\n%s", junit)
	}
	if !strings.Contains(string(summary), "regressed") {
		g.t.Errorf("summary:\n%s", summary)
	}
}

// nightKind is a kind of night, and what the gate must say of it.
type nightKind struct {
	name     string
	baseline string // what the service is made of
	tonight  string
	starved  bool // its generator, from the second trial on
	want     int  // exit code
	words    string
	least    float64 // share of the nights that must be so
}

func nightKinds() []nightKind {
	const most = 0.9
	return []nightKind{
		{"unchanged", steady, steady, false, exitDone, "still carries", 1},
		{"20 % more CPU time", steady, costlier, false, exitRegressed, "CPU time per request", most},
		{"crashes at half the users", steady, crashes, false, exitRegressed, "crashed", most},
		{"generator starved midway", steady, steady, true, exitInconclusive, "generator", 1},
		{"30 % more memory a connection", hoards, hoardMore, false, exitRegressed, "peak memory", most},
	}
}

// BenchmarkNights runs nights of each kind on live Docker and fails where the
// gate is wrong. Each night has an image of its own, also where nothing has
// changed. `make nights` builds what it needs.
func BenchmarkNights(b *testing.B) {
	gates := map[string]*gate{}
	var rows []string
	for _, kind := range nightKinds() {
		g := gates[kind.baseline]
		if g == nil {
			g = newGate(b, kind.baseline)
			gates[kind.baseline] = g
			if code, v := g.check("--update"); code != exitDone {
				b.Fatalf("no baseline of %s: %+v", kind.baseline, v)
			}
		}
		rows = append(rows, g.manyNights(kind))
	}
	fmt.Printf("\n| service | nights | exit 0 | exit 3 | exit 4 | as it should | trials a night | seconds a night |\n|---|--:|--:|--:|--:|--:|--:|--:|\n%s\n", strings.Join(rows, "\n"))
}

// manyNights runs nights of one kind and returns its row of the table.
func (g *gate) manyNights(kind nightKind) string {
	g.t.Helper()
	exits, right, trials, began := map[int]int{}, 0, 0, time.Now()
	for i := range *nights {
		g.becomes(kind.tonight, fmt.Sprintf("%s, night %d", kind.name, i+1))
		ask := func() (int, verdict) { return g.check() }
		if kind.starved {
			ask = func() (int, verdict) { return g.starvedCheck(firstTrialDone) }
		}
		code, v := ask()
		exits[code]++
		trials += v.Trials
		if code == kind.want && strings.Contains(v.Sentence, kind.words) {
			right++
		} else {
			fmt.Printf("%s, night %d: exit %d: %s\n", kind.name, i+1, code, v.Sentence)
		}
	}
	n := float64(*nights)
	if float64(right) < kind.least*n {
		g.t.Errorf("%s: right in %d of %d nights", kind.name, right, *nights)
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %.1f | %.0f |", kind.name, *nights, exits[exitDone], exits[exitRegressed], exits[exitInconclusive],
		right, float64(trials)/n, time.Since(began).Seconds()/n)
}

// firstTrialDone is about when a night of the gate has made its first start.
const firstTrialDone = 12 * time.Second
