package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests in this file run the program as people do, against a live engine.
// Where none answers they fail: `make test` sets one up.

// binary is sweep, built once for all tests: static, as the agent has to be.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sweep-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sweep")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// small is an experiment of seconds: 60 users on a fraction of a core. What
// tests vary in it stands between at signs.
const small = `version: 1
name: small
service:
  @KIND@: @IMAGE@
  port: @PORT@
  ready: {path: /health, within: @WITHIN@}
  env: {SECRET: "${SECRET:-none}"}
request:
  method: POST
  path: /predict
  headers: {Content-Type: application/json}
  body: '{"features": [12.5, 3, 17.5]}'
  expect: {contains: prediction}
matrix: {cpus: [@CPUS@], memory: [@MEMORY@]}
users: {target: @TARGET@, ramp: @RAMP@, hold: @HOLD@, settle: 1s, wait: {constant: @WAIT@}, from: @FROM@}
search: {preset: @PRESET@, precision: 30%}
`

// bench is a folder with the small experiment and its results.
type bench struct {
	t   testing.TB
	dir string
}

// newBench writes the small experiment with settings such as "MEMORY=100M".
func newBench(t *testing.T, settings ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	b.ask(settings...)
	t.Cleanup(func() { b.expectNothingLeft() })
	return b
}

// ask writes the small experiment anew.
func (b *bench) ask(settings ...string) {
	b.t.Helper()
	b.write("small.yaml", experimentWith(settings...))
}

// experimentWith returns the small experiment with settings.
func experimentWith(settings ...string) string {
	defaults := []string{
		"KIND=image", "IMAGE=sweep/predictor:dev", "PORT=8000", "WITHIN=20s", "CPUS=0.25", "MEMORY=100M", "TARGET=60", "RAMP=2s", "HOLD=2s", "WAIT=500ms", "FROM=service", "PRESET=quick",
	}
	text := small
	for _, s := range append(settings, defaults...) { // the first that names a key wins
		key, value, _ := strings.Cut(s, "=")
		text = strings.ReplaceAll(text, "@"+key+"@", value)
	}
	return text
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) command(env []string, args ...string) *exec.Cmd {
	b.t.Helper()
	path, err := binary()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := command(b.t.Context(), path, b.dir, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func command(ctx context.Context, path, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	return cmd
}

// outcome is how a command ended.
type outcome struct {
	code     int
	out, err string
}

func (b *bench) run(env []string, args ...string) outcome {
	b.t.Helper()
	cmd := b.command(env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// summary is what of the JSON answer the tests look at.
type summary struct {
	Schema string
	Cells  []struct {
		CPUs      float64
		Memory    int64 `json:"memory_bytes"`
		Measured  bool
		Outcome   string
		LastPass  *struct{ Users int } `json:"last_pass"`
		FirstFail *struct{ Users int } `json:"first_fail"`
		Proved    bool
		Levels    []level
		Warnings  []string
		Cause     *struct {
			Label    string
			Evidence []string
		}
	}
	Minimal *struct{ CPUs float64 }
	Answer  string
}

// level is one that was held.
type level struct {
	Users int
	Class string
}

func (b *bench) sweep(env ...string) summary {
	b.t.Helper()
	o := b.run(env, "run", "small.yaml", "--json")
	if o.code != 0 {
		b.t.Fatalf("exit %d\n%s", o.code, o.err)
	}
	var s summary
	if err := json.Unmarshal([]byte(o.out), &s); err != nil {
		b.t.Fatalf("%v in %s", err, o.out)
	}
	return s
}

// docker asks the engine by its own command line, not through our code.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s(make test sets up an engine and its command line)", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) ours() string {
	b.t.Helper()
	var ours []string
	all := docker(b.t, "ps", "-a", "--format", `{{.Names}} {{.Label "sweep.dir"}}`) + "\n" +
		docker(b.t, "images", "--filter", "label=sweep.dir", "--format", "{{.Repository}}:{{.Tag}}") + "\n" +
		docker(b.t, "network", "ls", "--format", `{{.Name}} {{.Label "sweep.dir"}}`) + "\n" +
		docker(b.t, "volume", "ls", "--format", `{{.Name}} {{.Label "sweep.dir"}}`)
	runs, _ := filepath.Glob(filepath.Join(b.dir, "results/small*/*")) // nights have a folder of their own
	for line := range strings.Lines(all) {
		for _, run := range runs {
			if strings.Contains(line, run) || strings.Contains(line, "sweep/agent:"+filepath.Base(run)) {
				ours = append(ours, line)
			}
		}
	}
	return strings.Join(ours, "")
}

func (b *bench) expectNothingLeft() {
	if left := b.ours(); left != "" {
		b.t.Errorf("left in the engine:\n%s", left)
	}
}

func (b *bench) runDir() string {
	b.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.dir, "results/small/*"))
	if err != nil || len(dirs) == 0 {
		b.t.Fatalf("no run was made: %v", err)
	}
	return dirs[len(dirs)-1]
}

func TestARunAnswersAndItsReportIsRepeatable(t *testing.T) {
	b := newBench(t)
	s := b.sweep("SECRET=hunter2hunter2")
	if s.Schema != "sweep.summary/v1" || len(s.Cells) != 1 || s.Cells[0].Outcome != "passed" || s.Cells[0].LastPass.Users != 60 || s.Minimal == nil {
		t.Fatalf("got %+v", s)
	}
	first := b.run(nil, "report", "results")
	before := b.files()
	second := b.run(nil, "report", "results")
	after := b.files()
	if first.code != 0 || first.out != second.out {
		t.Errorf("two reports differ:\n%s%s\n%s", first.out, first.err, second.out)
	}
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s changed when the report was made again", name)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s holds what the environment held", name)
		}
	}
	for _, name := range []string{"report/matrix.svg", "report/matrix.png", "report/summary.json", "report/report.md", "report/ramp-0.25cpu-100M-1.svg", "manifest.json", "experiment.yaml", "trials/0.25cpu-100M-1.json"} {
		if before[filepath.Join(b.runDir(), name)] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if o := b.run([]string{"DOCKER_HOST=unix:///nonexistent"}, "report", "results", "--format", "csv"); o.code != 0 || strings.Count(o.out, "\n") != 2 {
		t.Errorf("a report needs no engine, yet exit %d: %s%s", o.code, o.out, o.err)
	}
}

func (b *bench) files() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(filepath.Join(b.dir, "results"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestRunningAgainMeasuresOnlyWhatIsNew(t *testing.T) {
	b := newBench(t)
	b.sweep()
	trial := filepath.Join(b.runDir(), "trials/0.25cpu-100M-1.json")
	before, err := os.Stat(trial)
	if err != nil {
		t.Fatal(err)
	}
	b.ask("MEMORY=100M, 120M")
	s := b.sweep()
	after, err := os.Stat(trial)
	if err != nil || !before.ModTime().Equal(after.ModTime()) || len(s.Cells) != 2 || !s.Cells[0].Measured || !s.Cells[1].Measured {
		t.Errorf("%v; cells %+v", err, s.Cells)
	}
	b.ask("TARGET=30")
	if o := b.run(nil, "run", "small.yaml", "--quiet"); !strings.Contains(o.err, "this is a new run") {
		t.Errorf("another question continued the old run:\n%s", o.err)
	}
}

// Both ends of the bracket are levels that fresh starts held, or didn't.
func TestHoldsProveTheBracket(t *testing.T) {
	b := newBench(t, "CPUS=0.1", "TARGET=1500", "RAMP=6s", "WAIT=200ms", "PRESET=standard")
	s := b.sweep()
	c := s.Cells[0]
	if c.Outcome != "breached" || !c.Proved || c.LastPass == nil || c.FirstFail == nil {
		t.Fatalf("got %+v", c)
	}
	for users, class := range map[int]string{c.LastPass.Users: "lower", c.FirstFail.Users: "upper"} {
		if !slices.ContainsFunc(c.Levels, func(l level) bool { return l.Users == users && l.Class == class }) {
			t.Errorf("%d isn't a level that is a %s bound: %+v", users, class, c.Levels)
		}
		trials, err := filepath.Glob(filepath.Join(b.runDir(), fmt.Sprintf("trials/0.1cpu-100M-hold%d-*.json", users)))
		if err != nil || len(trials) == 0 {
			t.Errorf("nothing is recorded of a start that held %d", users)
		}
	}
	if c.LastPass.Users >= c.FirstFail.Users || 10*(c.FirstFail.Users-c.LastPass.Users) > 4*c.FirstFail.Users {
		t.Errorf("the bracket is %d to %d", c.LastPass.Users, c.FirstFail.Users)
	}
	if o := b.run(nil, "run", "small.yaml", "--quiet"); !strings.Contains(o.err, "Everything is recorded") {
		t.Errorf("again:\n%s", o.err)
	}
}

func TestAFailingServiceIsAnAnswer(t *testing.T) {
	for _, c := range []struct{ name, setting, outcomes string }{
		{"no room to work", "MEMORY=6M", "oom_killed breached not_ready"}, // which of them is the kernel's choice
		{"nobody listens there", "PORT=9", "not_ready"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Long enough for a second bad span where each is pooled for five
			// seconds: a service that thrashes is asked for little.
			b := newBench(t, c.setting, "WITHIN=2s", "HOLD=12s")
			if s := b.sweep(); !strings.Contains(c.outcomes, s.Cells[0].Outcome) || s.Minimal != nil {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// The load agent gets a tenth of a core while the service has all that it
// wants: whatever that looks like, the service has not failed.
func TestAStarvedGeneratorIsNeverTheServicesFault(t *testing.T) {
	b := newBench(t, "CPUS=1", "MEMORY=200M", "TARGET=3000", "WAIT=200ms")
	ended, end := context.WithCancel(t.Context())
	starved := make(chan error, 1)
	go func() { starved <- starveAgents(ended, b.dir, 0.1) }()
	s := b.sweep()
	end()
	if err := <-starved; err != nil {
		t.Fatal(err)
	}
	c := s.Cells[0]
	if c.Outcome != "generator_limited" || c.Cause == nil || c.Cause.Label != "generator" {
		t.Fatalf("got %+v", c)
	}
	if evidence := strings.Join(c.Cause.Evidence, "; "); !strings.Contains(evidence, "quota") {
		t.Errorf("evidence: %s", evidence)
	} else {
		t.Log(evidence)
	}
}

// starveAgents holds the load agents of the runs in dir to so many cores, each
// as soon as it is there, until ctx is done. That none was there is an error.
func starveAgents(ctx context.Context, dir string, cores float64) error {
	known := map[string]bool{}
	for ctx.Err() == nil {
		list, err := exec.CommandContext(ctx, "docker", "ps", "--format", `{{.Names}} {{.Label "sweep.dir"}}`).Output()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("listing agents: %w", err)
		}
		for line := range strings.Lines(string(list)) {
			name, of, _ := strings.Cut(strings.TrimSpace(line), " ")
			if known[name] || !strings.Contains(name, "-agent-") || strings.HasSuffix(name, "-alone") || !strings.HasPrefix(of, dir) {
				continue
			}
			out, err := exec.CommandContext(ctx, "docker", "update", "--cpus", strconv.FormatFloat(cores, 'f', -1, 64), name).CombinedOutput()
			if err == nil {
				known[name] = true
			} else if ctx.Err() == nil {
				return fmt.Errorf("starving %s: %w: %s", name, err, out)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	if len(known) == 0 {
		return errors.New("there was no agent to starve")
	}
	return nil
}

func TestCellsBeyondTheHostAreNotRunAndSaid(t *testing.T) {
	b := newBench(t, "CPUS=0.25, 512")
	o := b.run(nil, "run", "small.yaml", "--json")
	var s summary
	if err := json.Unmarshal([]byte(o.out), &s); err != nil {
		t.Fatalf("%v\n%s", err, o.err)
	}
	if !strings.HasPrefix(o.err, "512 CPU / 100M is not run: the host has only ") || s.Cells[0].Outcome != "passed" || s.Cells[1].Outcome != "not_measured" {
		t.Errorf("%s%+v", o.err, s.Cells)
	}
}

// started runs a long experiment until it loads the service.
func (b *bench) started(env ...string) (*exec.Cmd, *output) {
	b.t.Helper()
	return b.startedWith(nil, env...)
}

func (b *bench) startedWith(settings []string, env ...string) (*exec.Cmd, *output) {
	b.t.Helper()
	b.ask(append(settings, "RAMP=40s", "MEMORY=100M, 120M")...)
	cmd := b.command(env, "run", "small.yaml")
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(out.String(), "req/s") {
		if time.Now().After(deadline) {
			b.t.Fatalf("no load after 30 s:\n%s", out)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return cmd, out
}

// output is a buffer that is written and read at once.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestCtrlCCleansUpAndSaysHowToGoOn(t *testing.T) {
	b := newBench(t)
	cmd, out := b.started()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "0 of 2 trials are recorded in results/small/") || !strings.Contains(out.String(), "Continue with: sweep run small.yaml\n") {
		t.Errorf("said:\n%s", out)
	}
	b.expectNothingLeft()
}

func TestTheLoadMayComeFromOutside(t *testing.T) {
	for _, from := range []string{"network", "host"} {
		b := newBench(t, "FROM="+from)
		if s := b.sweep(); s.Cells[0].Outcome != "passed" {
			t.Errorf("%s: %+v", from, s)
		}
		trial, err := os.ReadFile(filepath.Join(b.runDir(), "trials/0.25cpu-100M-1.json"))
		if err != nil || bytes.Contains(trial, []byte("listen_overflows")) {
			t.Errorf("%s: %v; it tells of a network namespace that it isn't in", from, err)
		}
	}
}

func TestAKilledRunIsCleanedUpByItsGuard(t *testing.T) {
	b := newBench(t)
	cmd, out := b.started()
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	b.awaitGuards()
	if b.expectNothingLeft(); t.Failed() {
		t.Logf("sweep said:\n%s", out)
	}
}

func TestARunWhoseGuardIsKilledTooIsCleanedUpByTheNext(t *testing.T) {
	b := newBench(t)
	b.killed()
	if b.ours() == "" {
		t.Fatal("nothing is left to clean up")
	}
	if o := b.run(nil, "restore"); o.code != 0 || !strings.Contains(o.out, "removed ") {
		t.Errorf("restore: exit %d: %s%s", o.code, o.out, o.err)
	}
	b.expectNothingLeft()
	if o := b.run(nil, "restore"); o.code != 0 || o.out != "nothing to put back\n" {
		t.Errorf("restore a second time: exit %d: %s%s", o.code, o.out, o.err)
	}

	b.killed()
	b.ask()
	if o := b.run(nil, "run", "small.yaml", "--quiet"); o.code != 0 || !strings.Contains(o.err, "had left something behind") {
		t.Errorf("the next run: exit %d: %s", o.code, o.err)
	}
}

// killed runs a long experiment and kills it and its guard, as a power cut
// does.
func (b *bench) killed(settings ...string) {
	b.t.Helper()
	cmd, _ := b.startedWith(settings)
	guards := b.guards()
	if len(guards) != 1 {
		b.t.Fatalf("%d guards", len(guards))
	}
	if err := syscall.Kill(guards[0], syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
}

// guards returns the processes that guard this bench's runs.
func (b *bench) guards() (pids []int) {
	b.t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // it may have ended meanwhile
		if bytes.Contains(line, []byte("\x00guard\x00"+b.dir)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// awaitGuards waits until the guards of killed runs have done their work.
func (b *bench) awaitGuards() {
	b.t.Helper()
	for began := time.Now(); len(b.guards()) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			b.t.Fatal("a guard is still at work after a minute")
		}
	}
}

func TestALivingRunIsNotCleanedUpByAnother(t *testing.T) {
	b := newBench(t)
	cmd, out := b.started()
	if o := b.run(nil, "restore"); o.code != 0 || o.out != "nothing to put back\n" {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
	if o := b.run(nil, "run", "small.yaml"); o.code != 1 || !strings.Contains(o.err, "another sweep is at work on this run") {
		t.Errorf("two at once: exit %d: %s", o.code, o.err)
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("the living run ended with %d:\n%s", code, out)
	}
}

// proxy stands between sweep and the engine, so that the engine can go away
// from one of them only.
func proxy(t *testing.T) (host string, cut func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			engine, err := net.Dial("unix", "/var/run/docker.sock")
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, engine)
			mu.Unlock()
			pump := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.(*net.UnixConn).CloseWrite()
			}
			go pump(engine, client)
			go pump(client, engine)
		}
	}()
	cut = func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			c.Close()
		}
	}
	t.Cleanup(cut)
	return "DOCKER_HOST=unix://" + path, cut
}

func TestAnEngineThatGoesAwayIsTheInstrumentsFault(t *testing.T) {
	b := newBench(t)
	host, cut := proxy(t)
	cmd, out := b.started(host)
	cut()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(out.String(), "Continue with: sweep run small.yaml\n") {
		t.Errorf("said:\n%s", out)
	}
	if recorded, _ := filepath.Glob(filepath.Join(b.runDir(), "trials/*")); len(recorded) != 0 {
		t.Errorf("recorded half a measurement: %v", recorded)
	}
	if o := b.run(nil, "restore"); o.code != 0 {
		t.Errorf("restore: %s", o.err)
	}
}

func TestWrongInputIsOneClearMessage(t *testing.T) {
	b := newBench(t)
	for name, settings := range map[string][]string{
		"image.yaml": {"IMAGE=sweep/nothing:dev"}, "unit.yaml": {"RAMP=2 potatoes"}, "tiny.yaml": {"MEMORY=5M"}, "typo.yaml": {"TARGET=60, hodl: 1s"},
	} {
		b.ask(settings...)
		if err := os.Rename(filepath.Join(b.dir, "small.yaml"), filepath.Join(b.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	b.ask()
	b.write("file", "")
	for _, c := range []struct {
		name string
		code int
		env  string
		args string
		want string
	}{
		{"no engine", 1, "DOCKER_HOST=unix:///nonexistent/docker.sock", "run small.yaml", "/nonexistent/docker.sock"},
		{"no such image", 1, "", "run image.yaml", "sweep/nothing:dev"},
		{"no such file", 2, "", "run none.yaml", "none.yaml: no such file"},
		{"no file", 2, "", "run", "run takes one experiment file"},
		{"unknown key", 2, "", "run typo.yaml", "did you mean hold?"},
		{"unknown unit", 2, "", "run unit.yaml", "unit.yaml:15:"},
		{"unknown verb", 2, "", "rnu small.yaml", `no verb "rnu"`},
		{"unknown flag", 2, "", "run small.yaml --fast", "-fast"},
		{"too little memory", 2, "", "run tiny.yaml", "5M is under Docker's minimum of 6M"},
		{"no such cell", 2, "", "run small.yaml --only cpus=7", "no cell of the matrix is like that"},
		{"no such format", 2, "", "report results --format pdf", "choose table, markdown, json or csv"},
		{"results folder is a file", 1, "", "run small.yaml --results file", "--results"},
		{"no results", 1, "", "report .", "holds no results"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := b.run([]string{c.env}, strings.Fields(c.args)...)
			if o.code != c.code || !strings.Contains(o.err, c.want) || o.out != "" {
				t.Errorf("exit %d, want %d with %q; printed %q and\n%s", o.code, c.code, c.want, o.out, o.err)
			}
			if lines := strings.Count(strings.TrimSpace(o.err), "\n") + 1; lines > 3 {
				t.Errorf("%d lines:\n%s", lines, o.err)
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, "results/*")); len(left) != 0 {
		t.Errorf("wrong input left %v", left)
	}
}

func TestACutOffResultStopsEverythingBeforeItStarts(t *testing.T) {
	b := newBench(t)
	b.sweep()
	trial := filepath.Join(b.runDir(), "trials/0.25cpu-100M-1.json")
	if err := os.Truncate(trial, 100); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"report", "results"}, {"run", "small.yaml"}} {
		if o := b.run(nil, args...); o.code != 1 || !strings.Contains(o.err, "1cpu") && !strings.Contains(o.err, "0.25cpu-100M-1.json") || !strings.Contains(o.err, "delete it") {
			t.Errorf("%v: exit %d: %s", args, o.code, o.err)
		}
	}
}

func TestTheFastAPIServiceIsMeasured(t *testing.T) {
	b := newBench(t, "IMAGE=sweep/fastapi:dev", "MEMORY=200M", "CPUS=0.5", "TARGET=20", "WITHIN=60s")
	if s := b.sweep(); s.Cells[0].Outcome != "passed" {
		t.Errorf("got %+v", s)
	}
}
