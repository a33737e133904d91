package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	calibrationRounds  = flag.Int("rounds", 1, "calibrate: so many trials of each service")
	calibrationCauses  = flag.Float64("causes", 0.95, "calibrate: the least share of trials whose cause is right")
	calibrationBracket = flag.Float64("bracket", 0.05, "calibrate: the most by which a bracket may miss what is true")
	calibrationSpread  = flag.Float64("spread", 0.05, "calibrate: the most by which a service's capacities may spread over the rounds, of their median")
	calibrationPreset  = flag.String("preset", "standard", "calibrate: how brackets are found, quick or standard")
	calibrationKeep    = flag.String("keep", "", "calibrate: a folder for the experiments and their results; default: they are removed")
)

// Users of all services wait so long between answer and request, and ask for a
// 99th percentile below so much. Both in seconds, as the capacities are.
const (
	waits  = 0.5
	within = 1.0
)

const (
	kib = 1 << 10
	mib = 1 << 20
	own = 7 * mib // what a service takes before its first connection
)

// known is a service of which is known when it fails, and why.
type known struct {
	name      string
	env       string // of the service, as YAML
	memory    int    // bytes
	users     string // as YAML; default: 450 within 15 s
	precision string // likewise; default: 3 %
	request   string // likewise; default: nothing more
	truth     float64
	unit      string   // of truth: users, or requests so far
	causes    []string // the right ones
	remark    string
	steady    bool    // its capacity is the same in every round
	cores     float64 // to which the load agent is held from its start on; 0: it isn't
}

// services are those of cmd/sweep/internal/calibration, whose doc has the
// formulas.
func services() []known {
	fifo := func(capacity float64) float64 { return capacity * (waits + within) }
	return []known{
		{name: "cpu", env: "COST: 2.5ms", truth: fifo(0.5 / 0.0025), causes: []string{"cpu_bound"}},
		{name: "lock", env: "HELD: 5ms", truth: fifo(1 / 0.005), causes: []string{"concurrency_cap"}},
		{name: "workers", env: "WORKERS: 8, TAKES: 40ms", truth: fifo(8 / 0.040), causes: []string{"concurrency_cap"}},
		{name: "rate", env: "RATE: 200", truth: fifo(200), causes: []string{"concurrency_cap"}, steady: true},
		{
			name: "downstream", env: "WORKERS: 8, TAKES: 40ms, PATIENCE: 500ms", truth: 8 / 0.040 * (waits + 0.5),
			causes: []string{"downstream"},
		},
		{
			name: "connections", env: fmt.Sprintf("EACH: %d", 512*kib), memory: 160 * mib, truth: (160*mib - own) / (512 * kib),
			causes: []string{"oom_killed", "memory_bound"}, remark: "the kernel kills, or evicts the program's own pages",
		},
		{
			name: "leak", env: fmt.Sprintf("EACH: %d", 64*kib), memory: 160 * mib, truth: (160*mib - own) / (64 * kib), unit: "requests",
			users: "{target: 150, ramp: 5s, hold: 15s, settle: 3s, wait: {constant: 500ms}}", precision: "20%", // no users are its capacity
			causes: []string{"leak", "oom_killed"}, remark: "leak says more: it grows though users don't",
		},
		{
			name: "gc", env: fmt.Sprintf("EACH: %d, ALLOCATES: %d, LIMIT: '${memory_bytes}'", 384*kib, 8*kib), memory: 128 * mib,
			truth: (0.92*128*mib - own) / (384 * kib), causes: []string{"memory_bound"}, remark: "its CPU goes to the collector: more memory would help",
		},
		{
			name: "backlog", env: "BACKLOG: 63, EVERY: 200ms", truth: fullBacklog(64, 0.2), request: ", connections: fresh",
			users: "{target: 260, ramp: 15s, hold: 8s, settle: 3s, wait: {between: [250ms, 750ms]}}", causes: []string{"backlog"},
		},
		{
			// Most of a round is in flight, so that chance has little say in how many are at once.
			name: "crash", env: "CONCURRENT: 200, TAKES: 900ms", truth: 200 * (waits + 0.9) / 0.9, causes: []string{"crashed"},
		},
		{name: "errors", env: "ONE_IN: 20", users: "{target: 150, ramp: 5s, hold: 5s, settle: 3s, wait: {constant: 500ms}}", causes: []string{"application_error"}},
		{name: "sleepy", env: "READY_AFTER: 1h", causes: []string{"not_ready"}},
	}
}

// all are the services, and those with a starved generator.
func all() []known { return append(services(), starved()...) }

// starved are services that have all that they need under a load whose generator
// hasn't: whatever that looks like, nothing of it is the service's fault.
func starved() []known {
	const (
		many = "{target: 3000, ramp: 10s, hold: 3s, wait: {constant: 200ms}}"
		own  = "the generator's fault, whatever it looks like"
	)
	causes := []string{"generator", "generator_limited", "host", "host_limited", "inconclusive"}
	return []known{
		{name: "rate", env: "RATE: 100000", users: many, cores: 0.05, causes: causes, remark: own},
		{name: "rate", env: "RATE: 100000", users: many, cores: 0.1, causes: causes, remark: own},
		{name: "workers", env: "WORKERS: 100000, TAKES: 20ms", users: many, cores: 0.1, causes: causes, remark: own},
	}
}

// id tells services apart: by what they are, and to how much their generator is
// held.
func (k known) id() string {
	if k.cores > 0 {
		return fmt.Sprintf("%s, its generator held to %g cores", k.name, k.cores)
	}
	return k.name
}

// fullBacklog returns the users at whom one connection in a hundred finds a
// queue of so many full, which is emptied every so many seconds. A user comes
// once in its wait and half of that, so of them all a binomial number come
// meanwhile, and are lost beyond the queue's length.
func fullBacklog(length int, every float64) float64 {
	share := every / (waits + every/2)
	for users := length + 1; ; users++ {
		lost, p := 0.0, math.Pow(1-share, float64(users))
		for x := 1; x <= users; x++ {
			p *= share / (1 - share) * float64(users-x+1) / float64(x)
			lost += p * float64(max(0, x-length))
		}
		if lost >= 0.01*share*float64(users) {
			return float64(users)
		}
	}
}

const calibrationExperiment = `version: 1
name: calibrate-@NAME@
service:
  image: sweep/calibration:dev
  port: 8000
  ready: {path: /health, within: 5s}
  env: {MODE: @NAME@, @ENV@}
request: {method: POST, path: /predict, body: '{}', expect: {contains: prediction}@REQUEST@}
matrix: {cpus: [@CPUS@], memory: [@MEMORY@]}
users: @USERS@
objective: {errors: 1%, p99: 1s}
search: {preset: @PRESET@, precision: @PRECISION@, seed: @SEED@}
`

func (k known) experiment(round int) string {
	memory, cpus, preset := cmp.Or(k.memory, 64*mib), "0.5", *calibrationPreset
	if k.cores > 0 {
		memory, cpus, preset = 256*mib, "1", "quick"
	}
	return strings.NewReplacer("@NAME@", k.name, "@CPUS@", cpus, "@PRESET@", preset, "@PRECISION@", cmp.Or(k.precision, "3%"), "@SEED@", strconv.Itoa(round), "@ENV@", k.env, "@REQUEST@", k.request, "@MEMORY@", fmt.Sprintf("%dM", memory/mib),
		"@USERS@", cmp.Or(k.users, "{target: 450, ramp: 15s, hold: 5s, settle: 3s, wait: {constant: 500ms}}")).Replace(calibrationExperiment)
}

// found is what of sweep's answer is held against what is known.
type found struct {
	Outcome   string
	Proved    bool
	Trials    int
	LastPass  *reached `json:"last_pass"`
	FirstFail *reached `json:"first_fail"`
	Cause     *named
	Warnings  []string
	Starts    []struct {
		Outcome string
		Cause   *named
	}
}

type named struct {
	Label    string
	Evidence []string
}

// labels are the causes of the trials that failed. Of those in which none did,
// what the cell is called.
func (f found) labels() []string {
	var all []string
	for _, s := range f.Starts {
		if slices.Contains([]string{"breached", "oom_killed", "crashed", "not_ready"}, s.Outcome) && s.Cause != nil {
			all = append(all, s.Cause.Label)
		}
	}
	if len(all) == 0 {
		return []string{f.label()}
	}
	return all
}

type reached struct{ Users, Requests float64 }

// in returns what was reached, 0 where nothing was.
func (r *reached) in(unit string) float64 {
	switch {
	case r == nil:
		return 0
	case unit == "requests":
		return r.Requests
	}
	return r.Users
}

// label is the cause, or, of a trial that didn't fail, its outcome.
func (f found) label() string {
	if f.Cause == nil {
		return f.Outcome
	}
	return f.Cause.Label
}

// bracket returns the last pass and the first failure over the truth. Where no
// load failed it is without bound.
func (f found) bracket(k known) (low, high float64) {
	high = math.Inf(1)
	if f.FirstFail != nil {
		high = f.FirstFail.in(k.unit) / k.truth
	}
	return f.LastPass.in(k.unit) / k.truth, high
}

// capacity is what is repeated: the most that was carried.
func (f found) capacity(k known) float64 { return f.LastPass.in(k.unit) }

// off returns by how much the bracket misses the truth, as a share of it. What
// nothing is true of must not have passed at any load.
func (f found) off(k known) float64 {
	if k.truth == 0 {
		if f.LastPass == nil || k.cores > 0 {
			return 0
		}
		return math.Inf(1)
	}
	low, high := f.bracket(k)
	return max(0, low-1, 1-high)
}

// calibration is all trials so far, by service.
type calibration struct {
	sweep, dir string
	trials     map[string][]found
}

// BenchmarkCalibrate runs sweep on services whose capacity and fault are known,
// and fails where it finds others. `make calibrate` builds what it needs.
func BenchmarkCalibrate(b *testing.B) {
	c := calibration{sweep: os.Getenv("SWEEP"), dir: *calibrationKeep, trials: map[string][]found{}}
	if _, err := os.Stat(c.sweep); err != nil {
		b.Fatal("sweep isn't here; run `make calibrate`, which builds what is missing")
	}
	if c.dir == "" {
		c.dir = b.TempDir()
	}
	for range *calibrationRounds { // services take turns: a shared machine drifts
		for _, k := range all() {
			b.Run(k.id(), func(b *testing.B) { c.try(b, k) })
		}
	}
	c.print(os.Stdout)
	c.hold(b)
}

func (c calibration) try(b *testing.B, k known) {
	b.ReportMetric(0, "ns/op")
	round := len(c.trials[k.id()]) + 1
	dir := filepath.Join(c.dir, fmt.Sprintf("%s-%d", strings.NewReplacer(" ", "-", ",", "").Replace(k.id()), round))
	file := filepath.Join(dir, "experiment.yaml")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(k.experiment(round)), 0o600); err != nil {
		b.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(b.Context(), c.sweep, "run", file, "--fresh", "--json", "--quiet", "--results", filepath.Join(dir, "results"))
	cmd.Stdout, cmd.Stderr = &out, &errs
	begun := time.Now()
	ended, unstarved := context.WithCancel(b.Context())
	hungry := make(chan error, 1)
	if k.cores > 0 {
		go func() { hungry <- starveAgents(ended, dir, k.cores) }()
	} else {
		hungry <- nil
	}
	err := cmd.Run()
	unstarved()
	if err := errors.Join(err, <-hungry); err != nil {
		b.Fatalf("%v\n%s", err, errs.String())
	}
	var answer struct{ Cells []found }
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || len(answer.Cells) != 1 {
		b.Fatalf("%v in %s", err, out.String())
	}
	f := answer.Cells[0]
	c.trials[k.id()] = append(c.trials[k.id()], f)
	fmt.Fprintf(os.Stderr, "%s: %s, %.0f to %.0f of %.0f, %s, %d trials, %.0fs\n", k.id(), f.Outcome,
		f.LastPass.in(k.unit), f.FirstFail.in(k.unit), k.truth, f.label(), f.Trials, time.Since(begun).Seconds())
	if f.Cause != nil {
		fmt.Fprintf(os.Stderr, "    %s\n", strings.Join(f.Cause.Evidence, "\n    "))
	}
	for _, w := range f.Warnings {
		fmt.Fprintf(os.Stderr, "    warning: %s\n", w)
	}
}

// tried are the services that were, for one may be asked for alone.
func (c calibration) tried() []known {
	return slices.DeleteFunc(all(), func(k known) bool { return len(c.trials[k.id()]) == 0 })
}

// right counts the trials that failed, and of these those whose cause is right;
// and likewise the cells, of which their trials decide together.
func (c calibration) right() (trials, cells score) {
	for _, k := range c.tried() {
		if k.cores > 0 {
			continue
		}
		for _, f := range c.trials[k.id()] {
			cells.add(k, f.label())
			for _, label := range f.labels() {
				trials.add(k, label)
			}
		}
	}
	return trials, cells
}

// score counts what was called right.
type score struct{ right, all int }

func (s *score) add(k known, label string) {
	s.all++
	if slices.Contains(k.causes, label) {
		s.right++
	}
}

func (s score) missed() bool { return float64(s.right) < *calibrationCauses*float64(s.all) }

// widest is how wide a bracket may be, as a share of what is true: some steps of
// the precision that is asked for, where levels between told nothing.
const widest = 0.15

// hold holds what was found against the bars.
func (c calibration) hold(b *testing.B) {
	if trials, cells := c.right(); trials.missed() || cells.missed() {
		b.Errorf("missed: the causes of %d of %d trials and of %d of %d cells are right, not of %.0f %%", trials.right, trials.all, cells.right, cells.all, 100**calibrationCauses)
	}
	for _, k := range c.tried() {
		for _, f := range c.trials[k.id()] {
			if off := f.off(k); off > *calibrationBracket {
				b.Errorf("missed: the bracket of %s is off by %.3f, not at most %.3f", k.name, off, *calibrationBracket)
			}
			if low, high := f.bracket(k); k.unit == "" && k.truth > 0 && *calibrationPreset != "quick" && (!f.Proved || high-low > widest) {
				b.Errorf("missed: the bracket of %s is from %.3f to %.3f of what is true, held: %v", k.name, low, high, f.Proved)
			}
			if k.cores > 0 && !slices.Contains(k.causes, f.label()) {
				b.Errorf("missed: %s was blamed on the service: %s", k.id(), f.label())
			}
		}
		if spread := c.spread(k); k.steady && spread > *calibrationSpread {
			b.Errorf("missed: the capacities of %s spread by %.3f of their median, not at most %.3f", k.name, spread, *calibrationSpread)
		}
	}
}

// spread returns how far a service's capacities lie apart over the rounds, as a
// share of their median.
func (c calibration) spread(k known) float64 {
	var all []float64
	for _, f := range c.trials[k.id()] {
		all = append(all, f.capacity(k))
	}
	slices.Sort(all)
	if len(all) == 0 || all[len(all)/2] == 0 {
		return 0
	}
	return (all[len(all)-1] - all[0]) / all[len(all)/2]
}

func (c calibration) print(w io.Writer) {
	trials, cells := c.right()
	fmt.Fprintf(w, "\n%d cores of %s; the causes of %d of %d trials that failed are right, of %d of %d cells. Brackets are the last pass and the first failure over what is true.\n\n",
		runtime.NumCPU(), runtime.GOARCH, trials.right, trials.all, cells.right, cells.all)
	c.printCauses(w)
	c.printBrackets(w)
}

// printCauses prints the confusion matrix: what each service is, across, and
// what it was called. The right names are in bold.
func (c calibration) printCauses(w io.Writer) {
	labels := map[string]bool{}
	for _, fs := range c.trials {
		for _, f := range fs {
			for _, label := range f.labels() {
				labels[label] = true
			}
		}
	}
	columns := slices.Sorted(maps.Keys(labels))
	fmt.Fprintf(w, "| is, called | %s | right |  |\n|---|%s---|---|\n", strings.Join(columns, " | "), strings.Repeat("--:|", len(columns)))
	for _, k := range c.tried() {
		fmt.Fprintf(w, "| %s |", k.id())
		for _, label := range columns {
			n := 0
			for _, f := range c.trials[k.id()] {
				for _, called := range f.labels() {
					if called == label {
						n++
					}
				}
			}
			switch {
			case n == 0:
				fmt.Fprint(w, "  |")
			case slices.Contains(k.causes, label):
				fmt.Fprintf(w, " **%d** |", n)
			default:
				fmt.Fprintf(w, " %d |", n)
			}
		}
		fmt.Fprintf(w, " %s | %s |\n", strings.Join(k.causes, ", "), k.remark)
	}
	fmt.Fprintln(w)
}

func (c calibration) printBrackets(w io.Writer) {
	fmt.Fprint(w, "| service | true | in | brackets | off by | capacities spread by |\n|---|--:|---|---|--:|--:|\n")
	for _, k := range c.tried() {
		if k.cores > 0 {
			continue
		}
		var brackets []string
		worst := 0.0
		for _, f := range c.trials[k.id()] {
			low, high := f.bracket(k)
			text := fmt.Sprintf("%.3f to %.3f", low, high)
			switch {
			case k.truth == 0 && f.LastPass == nil:
				text = "nothing passed"
			case k.truth == 0:
				text = fmt.Sprintf("%.0f passed", f.LastPass.in(k.unit))
			}
			brackets, worst = append(brackets, text), max(worst, f.off(k))
		}
		fmt.Fprintf(w, "| %s | %.0f | %s | %s | %.3f | %.3f |\n", k.name, k.truth, cmp.Or(k.unit, "users"), strings.Join(brackets, ", "), worst, c.spread(k))
	}
	fmt.Fprintln(w)
}
