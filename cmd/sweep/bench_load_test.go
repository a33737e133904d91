package main_test // apart: it knows the program by its command line alone

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// The shape of the comparison. Runs are short and repeated: a shared machine
// drifts over minutes, so tools take turns, and each is judged by the wrk of
// its own round.
const (
	flatUsers  = 64
	flatFor    = 4 * time.Second
	flatRounds = 5

	rampFor     = 20 * time.Second
	usersCount  = 10_000
	usersWait   = time.Second
	usersHold   = 10 * time.Second
	usersRounds = 5
	manyCount   = 50_000
	manyWait    = 10 * time.Second
	manyHold    = 15 * time.Second
	manyRounds  = 3

	// Other programs on our two cores may take so much of one (in percent) before
	// a round is given up and run again, after a pause, so often at most.
	quiet       = 5
	flatRepeats = 20
	flatPause   = 5 * time.Second

	filesWanted = manyCount + 200 // a socket a user, and what a process has open anyway

	serverCore, generatorCore = "0", "1"

	features = `{"features": [1, 2, 3]}`
	asJSON   = "Content-Type: application/json"
)

// tools are the generators in the order in which they take turns, wrk first:
// it is what the others are measured by.
var tools = []string{"wrk", "sweep", "hey", "k6", "vegeta"}

// BenchmarkLoad runs sweep's load generator and those that others use against
// one nginx, each on the same core, and fails where sweep misses a target.
// `make bench-load` builds what it needs.
func BenchmarkLoad(b *testing.B) {
	l := newLoadBench(b)
	b.Run("flat", l.flat)
	b.Run("users", l.users)
	b.Run("many", l.many)
	l.print(b, os.Stdout)
	for _, row := range l.rows {
		if row.verdict() == "missed" {
			b.Errorf("missed: %s: %s, not %s", row.name, row.cell("sweep"), row.target)
		}
	}
}

// loadBench is a server, the programs that load it, and the table of figures.
type loadBench struct {
	programs map[string]string // path by name
	data     string            // folder of our scripts
	scratch  string
	url      string
	nginx    *os.Process
	files    uint64 // how many a process may open
	part     string // what the names of rows begin with
	rows     []row
}

func newLoadBench(b *testing.B) *loadBench {
	b.Helper()
	if runtime.GOOS != "linux" || runtime.NumCPU() < 2 {
		b.Fatal("the comparison needs Linux and two cores: one for the server, one for the generator")
	}
	data, err := filepath.Abs("testdata/bench")
	if err != nil {
		b.Fatal(err)
	}
	l := &loadBench{programs: programs(b), data: data, scratch: b.TempDir()}
	if l.files, err = openFiles(filesWanted); err != nil {
		b.Fatal(err)
	}
	l.serve(b, 1)
	return l
}

// programs finds every program before anything starts.
func programs(b *testing.B) map[string]string {
	b.Helper()
	found := map[string]string{"sweep": os.Getenv("SWEEP"), "k6": os.Getenv("K6"), "vegeta": os.Getenv("VEGETA")}
	b.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin") // where nginx lies
	for _, name := range []string{"wrk", "hey", "nginx", "taskset"} {
		found[name], _ = exec.LookPath(name)
	}
	for name, path := range found {
		if _, err := os.Stat(path); err != nil {
			b.Fatalf("%s isn't here; run `make bench-load`, which installs and builds what is missing", name)
		}
	}
	return found
}

// openFiles raises the limit of open files for us and those we start, to want
// where the machine permits it, and says how far it got.
func openFiles(want uint64) (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	if limit.Max < want { // root alone may, and not in every container
		raised := syscall.Rlimit{Cur: want, Max: want}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return want, nil
		}
	}
	limit.Cur = min(limit.Max, 1<<20) // some containers permit a thousand million
	return limit.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// serve starts nginx with so many workers on its core, and waits until it
// answers.
func (l *loadBench) serve(b *testing.B, workers int) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	l.url = "http://" + address + "/predict"

	text, err := os.ReadFile(filepath.Join(l.data, "nginx.conf"))
	if err != nil {
		b.Fatal(err)
	}
	config := strings.NewReplacer("@LISTEN@", address, "@FILES@", strconv.FormatUint(l.files, 10), "@WORKERS@", strconv.Itoa(workers)).Replace(string(text))
	prefix := b.TempDir()
	path := filepath.Join(prefix, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}

	var said bytes.Buffer
	cmd := exec.CommandContext(b.Context(), l.programs["taskset"], "-c", serverCore, l.programs["nginx"],
		"-p", prefix, "-c", path, "-e", filepath.Join(prefix, "error.log"))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its worker goes with it
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	l.nginx = cmd.Process
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.Cleanup(func() { <-ended })
	for range 100 {
		select {
		case err := <-ended:
			ended <- err
			b.Fatalf("nginx ended: %v\n%s", err, said.String())
		case <-time.After(50 * time.Millisecond):
		}
		if l.answers() {
			return
		}
	}
	b.Fatalf("nginx doesn't answer at %s", l.url)
}

func (l *loadBench) answers() bool {
	response, err := http.Post(l.url, "application/json", strings.NewReader(features))
	if err != nil {
		return false
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	http.DefaultClient.CloseIdleConnections()
	return response.StatusCode == http.StatusOK && strings.Contains(string(body), "prediction")
}

// sample is what one run of one generator gave. What it doesn't tell is absent.
type sample struct {
	out      []byte
	requests float64 // answered
	failed   float64
	cpu      float64 // seconds, by the kernel's account
	figures  map[string]float64
}

// The names of figures in a sample and in the table's rows.
const (
	rate      = "requests/s, flat out"
	rateRatio = "- over wrk's requests/s"
	cost      = "CPU µs/request, flat out"
	costRatio = "- over wrk's CPU µs/request"
	busy      = "nginx's core busy, %"
	others    = "other programs, % of a core"
	allocates = "allocations/request"
	achieved  = "achieved of demanded rate"
	p99       = "p99 response, ms"
	lag       = "p99 lag, ms"
	peak      = "peak memory, MB"
	failures  = "failed requests"
	ownErrors = "errors of its own"
)

// run runs a generator on its core. The kernel accounts for what it spent, not
// the generator itself.
func (l *loadBench) run(b *testing.B, input string, env []string, name string, args ...string) (sample, error) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), l.programs["taskset"],
		append([]string{"-c", generatorCore, l.programs[name]}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	cmd.Env = append(append(os.Environ(), "URL="+l.url, "BODY="+features), env...)
	begun, worked, all := time.Now(), l.nginxTime(), coresTime()
	if err := cmd.Start(); err != nil {
		return sample{figures: map[string]float64{}}, err
	}
	exited, memory := make(chan struct{}), make(chan float64)
	go func() { memory <- peakMemory(cmd.Process.Pid, exited) }()
	err := cmd.Wait()
	close(exited)
	s := sample{out: out.Bytes(), figures: map[string]float64{peak: <-memory}}
	if err != nil {
		return s, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args[3:], " "), err, last(errs.String()), last(out.String()))
	}
	s.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	wall, served := time.Since(begun).Seconds(), (l.nginxTime() - worked).Seconds()
	s.figures[busy] = 100 * served / wall
	s.figures[others] = max(0, 100*((coresTime()-all).Seconds()-served-s.cpu)/wall)
	return s, nil
}

// last is the end of what a program said.
func last(text string) string {
	return text[max(0, len(text)-2000):]
}

// peakMemory follows a process until it exits. Its rusage won't do: there the
// peak of whoever started it, us, is inherited over exec.
func peakMemory(pid int, exited <-chan struct{}) float64 {
	peak := 0.0
	for {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			peak = max(peak, 1024*sum(text, `VmHWM:\s+(\d+) kB`))
		}
		select {
		case <-exited:
			return peak
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// nginxTime is how much CPU time the worker of nginx has had.
func (l *loadBench) nginxTime() time.Duration {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", l.nginx.Pid))
	if err != nil {
		return 0 // a kernel built without it: the row stays empty
	}
	text, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(children)) + "/stat")
	fields := strings.Fields(string(text))
	if len(fields) < 15 {
		return 0
	}
	return ticks(fields[13:15]...)
}

// coresTime is how long our two cores have been busy, with whatever.
func coresTime() (total time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 8 && (f[0] == "cpu"+serverCore || f[0] == "cpu"+generatorCore) {
			total += ticks(f[1], f[2], f[3], f[6], f[7], f[8]) // not 4 and 5, idle and waiting
		}
	}
	return total
}

// ticks adds up times of the kernel in its USER_HZ.
func ticks(counts ...string) (total time.Duration) {
	for _, count := range counts {
		n, _ := strconv.Atoi(count)
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}

// sum adds up the first groups of all matches.
func sum(text []byte, pattern string) (total float64) {
	for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		value, _ := strconv.ParseFloat(string(match[1]), 64)
		total += value
	}
	return total
}

// -- each generator's command line, and what it tells ------------------------

// flatOut has a generator send as fast as it can.
func (l *loadBench) flatOut(b *testing.B, tool string) (s sample, err error) {
	b.Helper()
	switch tool {
	case "wrk":
		s, err = l.wrk(b)
	case "hey":
		s, err = l.hey(b)
	case "k6":
		s, err = l.k6(b, flatUsers, 0, flatFor, 0)
	case "vegeta":
		s, err = l.vegeta(b)
	case "sweep":
		s, err = l.sweep(b, flatUsers, 0, flatFor, 0)
	}
	if err != nil {
		return s, err
	}
	if s.requests == 0 || s.figures[rate] == 0 || s.failed > 0 {
		return s, fmt.Errorf("%s: %.0f requests answered, %.0f failed\n%s", tool, s.requests, s.failed, last(string(s.out)))
	}
	s.figures[cost] = 1e6 * s.cpu / s.requests
	return s, nil
}

func (l *loadBench) wrk(b *testing.B) (sample, error) {
	s, err := l.run(b, "", nil, "wrk", "-t1", "-c"+strconv.Itoa(flatUsers), "-d"+flatFor.String(),
		"-s", filepath.Join(l.data, "post.lua"), l.url)
	s.requests = sum(s.out, `(\d+) requests in`)
	s.failed = sum(s.out, `(?:connect|read|write|timeout) (\d+)`) + sum(s.out, `Non-2xx or 3xx responses: (\d+)`)
	s.figures[rate] = sum(s.out, `Requests/sec:\s+([\d.]+)`)
	return s, err
}

func (l *loadBench) hey(b *testing.B) (sample, error) {
	s, err := l.run(b, "", nil, "hey", "-c", strconv.Itoa(flatUsers), "-z", flatFor.String(),
		"-m", "POST", "-T", "application/json", "-d", features, l.url)
	s.requests = sum(s.out, `\[200\]\s+(\d+) responses`)
	s.failed = sum(s.out, `\[\d+\]\s+(\d+) responses`) - s.requests + sum(s.out, `(?m)^\s+\[(\d+)\]\s+[^\d\s]`)
	s.figures[rate] = sum(s.out, `Requests/sec:\s+([\d.]+)`)
	return s, err
}

func (l *loadBench) vegeta(b *testing.B) (sample, error) {
	body, results := filepath.Join(l.scratch, "body"), filepath.Join(l.scratch, "vegeta")
	if err := os.WriteFile(body, []byte(features), 0o600); err != nil {
		return sample{}, err
	}
	users := strconv.Itoa(flatUsers)
	s, err := l.run(b, "POST "+l.url, nil, "vegeta", "attack", "-rate", "0", "-workers", users, "-max-workers", users,
		"-duration", flatFor.String(), "-body", body, "-header", asJSON, "-output", results)
	if err != nil {
		return s, err
	}
	s.out, err = exec.CommandContext(b.Context(), l.programs["vegeta"], "report", "-type", "json", results).Output()
	var told struct{ Requests, Rate, Success float64 }
	err = errors.Join(err, json.Unmarshal(s.out, &told), os.Remove(results)) // or its writeback falls into the next run
	s.requests, s.figures[rate] = told.Requests*told.Success, told.Rate
	s.failed = told.Requests - s.requests
	return s, err
}

func (l *loadBench) k6(b *testing.B, users int, ramp, hold, wait time.Duration) (sample, error) {
	env := []string{
		"K6_NO_USAGE_REPORT=true", "K6_AUTO_EXTENSION_RESOLUTION=false", // nor anything else over the network
		fmt.Sprintf("USERS=%d", users), fmt.Sprintf("RAMP=%g", ramp.Seconds()),
		fmt.Sprintf("HOLD=%g", hold.Seconds()), fmt.Sprintf("WAIT=%g", wait.Seconds()),
	}
	s, err := l.run(b, "", env, "k6", "run", "--quiet", filepath.Join(l.data, "k6.js"))
	if err != nil {
		return s, err
	}
	var told map[string]struct{ Values map[string]float64 }
	err = json.Unmarshal(s.out, &told)
	s.failed = told["http_req_failed"].Values["passes"] // k6 counts what is true, and true is failed
	s.requests = told["http_reqs"].Values["count"] - s.failed
	s.figures[rate] = told["http_reqs"].Values["rate"]
	s.figures[failures] = s.failed
	if ramp > 0 {
		held := told["http_reqs{phase:hold}"].Values["count"] / hold.Seconds()
		s.figures[achieved] = held / (float64(users) / wait.Seconds())
		s.figures[p99] = told["http_req_duration{phase:hold}"].Values["p(99)"]
	}
	return s, err
}

// loadAnswer is what of `sweep load --json` we look at.
type loadAnswer struct {
	Schema     string
	Requests   float64
	Throughput float64
	Errors     map[string]float64
	Generator  struct {
		Allocations *float64 `json:"allocations_per_request"`
	}
	Hold struct {
		Throughput float64
		Response   struct{ P99 float64 } `json:"response_ms"`
		Lag        struct{ P99 float64 } `json:"lag_ms"`
	}
	Valid bool
}

func (l *loadBench) sweep(b *testing.B, users int, ramp, hold, wait time.Duration) (sample, error) {
	s, err := l.run(b, "", nil, "sweep", "load", l.url, "--users", strconv.Itoa(users),
		"--ramp", ramp.String(), "--hold", hold.String(), "--wait", wait.String(),
		"--method", "POST", "--header", asJSON, "--body", features, "--json")
	if err != nil {
		return s, err
	}
	var t loadAnswer
	err = json.Unmarshal(s.out, &t)
	if err == nil && t.Schema != "sweep.load/v1" {
		err = errors.New("another schema")
	}
	if err != nil {
		return s, fmt.Errorf("sweep load: %w: %s", err, last(string(s.out)))
	}
	for _, n := range t.Errors {
		s.failed += n
	}
	s.requests, s.figures[rate] = t.Requests-s.failed, t.Throughput
	s.figures[failures], s.figures[ownErrors] = s.failed, t.Errors["generator"]
	if t.Generator.Allocations != nil {
		s.figures[allocates] = *t.Generator.Allocations
	}
	if wait > 0 {
		s.figures[achieved] = t.Hold.Throughput / (float64(users) / wait.Seconds())
		s.figures[p99], s.figures[lag] = t.Hold.Response.P99, t.Hold.Lag.P99
		if !t.Valid {
			return s, fmt.Errorf("sweep calls its own measurement invalid: %s", last(string(s.out)))
		}
	}
	return s, nil
}

// -- the parts ---------------------------------------------------------------

// flat has every tool send as fast as it can, in turns: forwards and backwards,
// for who comes first meets another machine than who comes last. A round that
// other programs disturbed is run again, whatever came out of it.
func (l *loadBench) flat(b *testing.B) {
	got := byFigure{}
	order, repeats := slices.Clone(tools), flatRepeats
	for round := 1; round <= flatRounds; {
		samples, disturbed := l.flatRound(b, got, order, round, repeats > 0)
		if disturbed {
			repeats--
			say("round %d again: other programs took more than %d%% of a core", round, quiet)
			time.Sleep(flatPause)
			continue
		}
		got.takeRound(samples)
		slices.Reverse(order)
		round++
	}
	b.ReportMetric(0, "ns/op")
	l.row(rate, grouped, goal{}, got)
	l.row(rateRatio, ratio, goal{"≥", 1}, got)
	l.row(cost, decimal, goal{}, got)
	l.row(costRatio, ratio, goal{"≤", 1}, got)
	l.row(busy, grouped, goal{}, got)
	l.row(others, grouped, goal{"≤", quiet}, got) // or the ratios are chance
	l.row(allocates, ratio, goal{}, got)
}

// flatRound lets every tool that hasn't failed have its turn. A disturbed round
// ends at once if it may be repeated.
func (l *loadBench) flatRound(
	b *testing.B, got byFigure, order []string, round int, repeatable bool,
) (samples map[string]sample, disturbed bool) {
	b.Helper()
	samples = map[string]sample{}
	for _, tool := range order {
		if got.of(rate).failed(tool) {
			continue // it was said
		}
		s, err := l.flatOut(b, tool)
		if err != nil {
			b.Errorf("%v", err)
			got.fail(tool, rate, rateRatio, cost, costRatio, busy, others)
			continue
		}
		samples[tool] = s
		say("round %d/%d %s %s/s, %.1f CPU-µs/request, nginx's core %.0f%% busy, others %.0f%%", round, flatRounds, tool,
			grouped(s.figures[rate]), s.figures[cost], s.figures[busy], s.figures[others])
		if repeatable && s.figures[others] > quiet {
			return samples, true
		}
	}
	return samples, false
}

// takeRound keeps what each tool gave in a round, and how that compares with wrk.
func (g byFigure) takeRound(samples map[string]sample) {
	wrk, ok := samples["wrk"]
	for tool, s := range samples {
		for name, value := range s.figures {
			g.of(name).add(tool, value)
		}
		if ok {
			g.of(rateRatio).add(tool, s.figures[rate]/wrk.figures[rate])
			g.of(costRatio).add(tool, s.figures[cost]/wrk.figures[cost])
		}
	}
}

// users has sweep carry many users that think between requests, and k6 once:
// the others have no users.
func (l *loadBench) users(b *testing.B) {
	got := byFigure{}
	for round := range usersRounds {
		if !got.of(peak).failed("sweep") {
			s, err := l.sweep(b, usersCount, rampFor, usersHold, usersWait)
			got.take(b, "sweep", round, usersRounds, s, err)
		}
	}
	s, err := l.k6(b, usersCount, rampFor, usersHold, usersWait)
	got.take(b, "k6", 0, 1, s, err)
	b.ReportMetric(0, "ns/op")
	l.part = fmt.Sprintf("%s users, wait %v: ", grouped(usersCount), usersWait)
	l.row(achieved, ratio, goal{"≥", 0.99}, got)
	l.row(failures, grouped, never, got)
	l.row(p99, decimal, goal{"<", 5}, got)
	l.row(lag, decimal, goal{"<", 5}, got)
	l.row(peak, megabytes, goal{"<", 32e6}, got)
	l.row(others, grouped, goal{}, got)
}

// many has sweep alone carry more users than there are ports to an address.
func (l *loadBench) many(b *testing.B) {
	got := byFigure{}
	// Where a process may not have as many files open, nginx needs more of
	// them, half full at most since connections fall on them at random. Sweep
	// sees to itself.
	l.serve(b, int(1+2*filesWanted/l.files))
	for round := range manyRounds {
		if !got.of(peak).failed("sweep") {
			s, err := l.sweep(b, manyCount, rampFor, manyHold, manyWait)
			got.take(b, "sweep", round, manyRounds, s, err)
		}
	}
	b.ReportMetric(0, "ns/op")
	l.part = fmt.Sprintf("%s users, wait %v: ", grouped(manyCount), manyWait)
	l.row(achieved, ratio, goal{"≥", 0.99}, got)
	l.row(failures, grouped, never, got)
	l.row(ownErrors, grouped, never, got)
	l.row(peak, megabytes, goal{"<", 150e6}, got)
	l.row(others, grouped, goal{}, got)
}

// -- figures -----------------------------------------------------------------

// figures are the values of one figure by tool. A tool with an entry and no
// values failed; one without an entry has no such figure.
type figures map[string][]float64

func (f figures) add(tool string, value float64) { f[tool] = append(f[tool], value) }

func (f figures) failed(tool string) bool {
	values, ok := f[tool]
	return ok && len(values) == 0
}

// byFigure are figures by name.
type byFigure map[string]figures

func (g byFigure) of(name string) figures {
	if g[name] == nil {
		g[name] = figures{}
	}
	return g[name]
}

// fail says that a tool has these figures, but gave none.
func (g byFigure) fail(tool string, names ...string) {
	for _, name := range names {
		g.of(name)[tool] = []float64{}
	}
}

// take keeps what a run gave, or that it failed.
func (g byFigure) take(b *testing.B, tool string, round, rounds int, s sample, err error) {
	b.Helper()
	if err != nil {
		b.Errorf("%v", err)
		g.fail(tool, achieved, failures, p99, peak, others)
		if tool == "sweep" {
			g.fail(tool, lag, ownErrors)
		}
		return
	}
	for name, value := range s.figures {
		g.of(name).add(tool, value)
	}
	say("round %d/%d %s %.3f of the demanded rate, %.0f failed, p99 %.1f ms, lag %.1f ms, %.0f MB, others %.0f%%", round+1,
		rounds, tool, s.figures[achieved], s.failed, s.figures[p99], s.figures[lag], s.figures[peak]/1e6, s.figures[others])
}

// say tells how far the benchmark is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// -- the table ---------------------------------------------------------------

// goal is what sweep's figure has to be; the zero goal asks nothing.
type goal struct {
	sign  string
	limit float64
}

// never is the goal of what no run at all may have.
var never = goal{"≤", 0}

func (g goal) met(value float64) bool {
	switch g.sign {
	case "≥":
		return value >= g.limit
	case "≤":
		return value <= g.limit
	}
	return value < g.limit
}

// row is a line of the table: one figure of every tool.
type row struct {
	name   string
	show   func(float64) string
	goal   goal
	target string
	values figures
}

func (l *loadBench) row(name string, show func(float64) string, g goal, got byFigure) {
	r := row{name: l.part + name, show: show, goal: g, values: got.of(name)}
	if g.sign != "" {
		r.target = g.sign + " " + show(g.limit)
	}
	l.rows = append(l.rows, r)
}

// value is the median of a tool's values, or the worst of what must never be.
func (r row) value(tool string) float64 {
	values := slices.Sorted(slices.Values(r.values[tool]))
	if r.goal == never {
		return values[len(values)-1]
	}
	return values[len(values)/2]
}

func (r row) cell(tool string) string {
	values, ok := r.values[tool]
	switch {
	case !ok:
		return "n/a"
	case len(values) == 0:
		return "failed"
	}
	return r.show(r.value(tool))
}

func (r row) verdict() string {
	switch {
	case r.goal.sign == "":
		return ""
	case len(r.values["sweep"]) > 0 && r.goal.met(r.value("sweep")):
		return "ok"
	}
	return "missed"
}

func grouped(value float64) string {
	text := strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func decimal(value float64) string   { return fmt.Sprintf("%.1f", value) }
func ratio(value float64) string     { return fmt.Sprintf("%.3f", value) }
func megabytes(value float64) string { return grouped(value / 1e6) }

// print writes the machine and the table, as Markdown that reads well as it is.
func (l *loadBench) print(b *testing.B, w io.Writer) {
	lines := [][]string{
		{"", "sweep", "target", "", "wrk", "hey", "k6", "vegeta"},
		{"---", "--:", "--:", "---", "--:", "--:", "--:", "--:"},
	}
	for _, r := range l.rows {
		lines = append(lines, []string{
			r.name, r.cell("sweep"), r.target, r.verdict(), r.cell("wrk"), r.cell("hey"), r.cell("k6"), r.cell("vegeta"),
		})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintf(w, "\n%s\n\n", l.machine(b))
	for _, line := range lines {
		fmt.Fprintf(w, "| %-*s ", widths[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(w, "| %*s ", widths[i+1], cell)
		}
		fmt.Fprintln(w, "|")
	}
	fmt.Fprintln(w)
}

// machine says where these figures come from.
func (l *loadBench) machine(b *testing.B) string {
	read := func(path, pattern string) string {
		text, _ := os.ReadFile(path)
		return first(string(text), pattern)
	}
	ask := func(pattern, path string, args ...string) string {
		out, _ := exec.CommandContext(b.Context(), path, args...).CombinedOutput() // some say it and exit 1
		return cmp.Or(first(string(out), pattern), "of unknown version")
	}
	return fmt.Sprintf("%s, %d cores, Linux %s. nginx %s on core %s, one generator at a time on core %s: sweep by %s, "+
		"wrk %s, hey %s, k6 %s, vegeta %s.",
		read("/proc/cpuinfo", `model name\s*: (.*)`), runtime.NumCPU(), read("/proc/sys/kernel/osrelease", `(\S+)`),
		ask(`nginx/(\S+)`, l.programs["nginx"], "-v"), serverCore, generatorCore, runtime.Version(),
		ask(`wrk (?:debian/)?(\S+)`, l.programs["wrk"], "-v"), ask(`(\S+)`, "dpkg-query", "-W", "-f", "${Version}", "hey"),
		ask(`v(\d\S+)`, l.programs["k6"], "version"),
		// -version of a vegeta from `go install` is empty; Go knows.
		ask(`mod\s+github.com/tsenart/vegeta/v12\s+v(\S+)`, "go", "version", "-m", l.programs["vegeta"]))
}

// first is the first group of the first match, or nothing.
func first(text, pattern string) string {
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return match[1]
}
