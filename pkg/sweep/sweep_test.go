package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/sweep"
)

// model is a service and its generator as a formula, in virtual time: it
// boots, carries so many users within a millisecond, and dies beyond.
type model struct {
	boot, stop time.Duration
	carries    map[experiment.Limits]int // users; what isn't in it carries all
	of         *experiment.Experiment
	broken     map[string]error // by the call that fails
	running    experiment.Trial
	began      time.Time
	down       chan struct{}
	starts     []experiment.Trial
	closed     int
	losses     int // how often part of the load is yet to be lost
}

func (m *model) Start(_ context.Context, t experiment.Trial) (measure.Target, error) {
	m.running, m.down = t, make(chan struct{})
	m.starts = append(m.starts, t)
	return measure.Target{Container: t.Slug(), Down: m.down}, m.broken["start"]
}

func (m *model) limit() int {
	if n, ok := m.carries[m.running.Limits]; ok {
		return n
	}
	return 1 << 30
}

func (m *model) Await(ctx context.Context, _ measure.Target) error {
	if err := m.broken["await"]; err != nil {
		return err
	}
	if m.limit() == 0 { // dies while it boots
		close(m.down)
		<-ctx.Done()
		return fmt.Errorf("joining the network of a container that is gone: %w", ctx.Err())
	}
	select {
	case <-time.After(m.boot):
		m.began = time.Now()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *model) Run(ctx context.Context, _ measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		for i := 0; ; i++ {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			if m.losses > 0 && i > 2 {
				m.losses--
				yield(measure.Tick{}, fmt.Errorf("%w: agent 2 of 4 fell silent", measure.ErrLost))
				return
			}
			if err := m.broken["run"]; err != nil && i > 2 {
				yield(measure.Tick{}, err)
				return
			}
			users, done := m.of.Of(m.running).Users.Ramp().Users(time.Duration(i+1) * time.Second)
			h := measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: uint64(users)})
			w := measure.Window{Start: time.Duration(i) * time.Second, Length: time.Second, Users: users, Sent: uint64(users), Done: uint64(users), Service: h, Response: h}
			if users > m.limit() {
				w.Done, w.Service, w.Response = 0, measure.Histogram{}, measure.Histogram{}
				w.Errors = map[measure.Class]uint64{measure.Refused: uint64(users)}
				if !isClosed(m.down) {
					close(m.down)
				}
			}
			if !yield(measure.Tick{At: w.End(), Windows: []measure.Window{w}}, nil) || done {
				return
			}
		}
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (m *model) Close() error { m.closed++; return m.broken["close"] }

func (m *model) Usage(context.Context) (measure.Counters, error) {
	spent := time.Since(m.began) / 2
	if len(m.starts) <= m.losses { // a start that is lost takes more
		spent = 4 * spent / 5
	}
	return measure.Counters{Read: time.Now(), CPU: spent, Memory: experiment.MiB}, m.broken["usage"]
}

func (m *model) Stop(context.Context) (measure.Exit, error) {
	time.Sleep(m.stop)
	if isClosed(m.down) {
		return measure.Exit{Died: true, Code: 137, OOMKilled: true, At: time.Now(), Log: "out of memory, " + "hunter2"}, m.broken["stop"]
	}
	return measure.Exit{Log: "fine"}, m.broken["stop"]
}

// memory records results in memory.
type memory map[experiment.Trial]measure.Result

func (m memory) Put(r measure.Result) error {
	if _, ok := m[r.Trial]; ok {
		return errors.New("recorded twice")
	}
	m[r.Trial] = r
	return nil
}

var cells = []experiment.Limits{
	{CPU: 1e9, Memory: 200 * experiment.MiB}, {CPU: 2e9, Memory: 200 * experiment.MiB}, {CPU: 2e9, Memory: 500 * experiment.MiB},
}

func question() *experiment.Experiment {
	e, err := experiment.Parse("question.yaml", []byte(`version: 1
name: question
service: {image: model, port: 80, env: {TOKEN: "${TOKEN}"}}
request: {path: /predict}
matrix: {cells: [{cpus: 1, memory: 200M}, {cpus: 2, memory: 200M}, {cpus: 2, memory: 500M}]}
users: {target: 1000, ramp: 10s, hold: 5s, settle: 2s}
search: {preset: quick}
`), func(string) (string, bool) { return "hunter2", true })
	if err != nil {
		panic(err)
	}
	return e
}

func newModel() *model {
	return &model{
		boot: 2 * time.Second, stop: time.Second, of: question(), broken: map[string]error{},
		carries: map[experiment.Limits]int{cells[0]: 450, cells[1]: 650},
	}
}

// runAll sweeps the model in virtual time.
func runAll(t *testing.T, ctx context.Context, m *model, kept memory, observe func(sweep.Progress)) error {
	t.Helper()
	s := sweep.Sweep{
		Experiment: question(), Service: m, Generator: m, Recorder: kept, Observe: observe,
		Known: analysis.JudgeAll(question(), results(kept)), Impossible: func(experiment.Limits) string { return "" },
	}
	return s.Run(ctx)
}

func ignore(sweep.Progress) {}

func TestSweepFindsEachCellsBracket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kept := newModel(), memory{}
		began := time.Now()
		if err := runAll(t, t.Context(), m, kept, ignore); err != nil {
			t.Fatal(err)
		}
		s := analysis.Analyse(question(), measure.Host{}, results(kept))
		for i, want := range []struct {
			outcome    analysis.Outcome
			pass, fail int
		}{{analysis.OOMKilled, 400, 500}, {analysis.OOMKilled, 600, 700}, {analysis.Passed, 1000, 0}} {
			c := s.Cells[i]
			if c.Outcome != want.outcome || c.LastPass.Users != want.pass || want.fail > 0 && c.FirstFail.Users != want.fail {
				t.Errorf("%s: %s, %+v, %+v", c.Trial.Limits, c.Outcome, c.LastPass, c.FirstFail)
			}
		}
		if s.Minimal == nil || s.Minimal.Limits != cells[2] {
			t.Errorf("minimal: %+v", s.Minimal)
		}
		// 5 + 7 + 15 s of load, and boot and stop three times: the sweep adds nothing.
		if took := time.Since(began); took != 36*time.Second {
			t.Errorf("took %v, want 36s", took)
		}
		if m.closed != 3 {
			t.Errorf("generator closed %d times", m.closed)
		}
	})
}

func TestTheServicesLastWordsAreKeptOnlyWhereItFailedAndWithoutSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := memory{}
		if err := runAll(t, t.Context(), newModel(), kept, ignore); err != nil {
			t.Fatal(err)
		}
		failed, passed := kept[experiment.Trial{Limits: cells[0], Replicate: 1}], kept[experiment.Trial{Limits: cells[2], Replicate: 1}]
		if failed.Exit.Log != "out of memory, ${TOKEN}" || passed.Exit.Log != "" {
			t.Errorf("failed: %q, passed: %q", failed.Exit.Log, passed.Exit.Log)
		}
	})
}

func TestRunningAgainRunsOnlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := memory{experiment.Trial{Limits: cells[0], Replicate: 1}: {Trial: experiment.Trial{Limits: cells[0], Replicate: 1}}}
		m := newModel()
		var first sweep.Progress
		err := runAll(t, t.Context(), m, kept, func(p sweep.Progress) {
			if first.Of == 0 {
				first = p
			}
		})
		if err != nil || len(m.starts) != 2 || m.starts[0].Limits != cells[1] {
			t.Errorf("%v, started %v", err, m.starts)
		}
		if first.Number != 2 || first.Of != 3 || first.TimeLeft != 34*time.Second {
			t.Errorf("first told: trial %d of %d, %v left", first.Number, first.Of, first.TimeLeft)
		}
	})
}

func TestAServiceThatNeverStartsIsAnAnswerAndTheSweepGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kept := newModel(), memory{}
		m.carries[cells[0]] = 0
		if err := runAll(t, t.Context(), m, kept, ignore); err != nil {
			t.Fatal(err)
		}
		r := kept[experiment.Trial{Limits: cells[0], Replicate: 1}]
		if len(kept) != 3 || r.Ready || !r.Exit.Died {
			t.Errorf("%d recorded, first %+v", len(kept), r)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m, kept := newModel(), memory{}
		m.broken["await"] = fmt.Errorf("%w within 60s: refused", measure.ErrNotReady)
		if err := runAll(t, t.Context(), m, kept, ignore); err != nil {
			t.Fatal(err)
		}
		if r := kept[experiment.Trial{Limits: cells[0], Replicate: 1}]; len(kept) != 3 || !strings.Contains(r.NotReady, "refused") {
			t.Errorf("%d recorded, first %+v", len(kept), r)
		}
	})
}

func TestAnInstrumentThatFailsStopsTheSweepAndKeepsWhatThereIs(t *testing.T) {
	for _, call := range []string{"start", "await", "run", "usage", "stop", "close"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, kept := newModel(), memory{}
				fault := errors.New("the engine is gone")
				err := runAll(t, t.Context(), m, kept, func(p sweep.Progress) {
					if p.Number == 2 && p.Phase == sweep.Starting {
						m.broken[call] = fault
					}
				})
				if !errors.Is(err, fault) || len(kept) != 1 {
					t.Errorf("got %v with %d recorded; want the fault and 1", err, len(kept))
				}
			})
		})
	}
}

func TestATrialWhoseLoadIsLostIsRunAgainAndSaysSo(t *testing.T) {
	for losses, again := range map[int]bool{2: true, 3: false} {
		synctest.Test(t, func(t *testing.T) {
			m, kept := newModel(), memory{}
			m.losses = losses
			var left []time.Duration // as each start of the first trial begins
			err := runAll(t, t.Context(), m, kept, func(p sweep.Progress) {
				if p.Number == 1 && p.Phase == sweep.Starting {
					left = append(left, p.TimeLeft)
				}
			})
			if len(slices.Compact(left)) != 1 {
				t.Errorf("lost %d times: it takes %v", losses, left)
			}
			if !again {
				if !errors.Is(err, measure.ErrLost) || len(kept) != 0 || m.closed != losses {
					t.Errorf("lost %d times: %v, %d recorded, closed %d times", losses, err, len(kept), m.closed)
				}
				return
			}
			first := kept[experiment.Trial{Limits: cells[0], Replicate: 1}]
			want := "run again after 3s of load: loading the service: part of the load was lost: agent 2 of 4 fell silent"
			if err != nil || len(kept) != 3 || len(m.starts) != 3+losses || len(first.Warnings) != losses || first.Warnings[0] != want {
				t.Errorf("lost %d times: %v, %d recorded of %d starts, %q", losses, err, len(kept), len(m.starts), first.Warnings)
			}
			for _, w := range first.Series.Windows {
				if w.Usage != nil && math.Abs(w.Usage.CPU-0.5) > 0.01 {
					t.Errorf("lost %d times: the second at %v used %g CPUs, of another start", losses, w.Start, w.Usage.CPU)
				}
			}
			if v := analysis.Judge(question(), first); v.Outcome != analysis.OOMKilled || v.LastPass.Users != 400 {
				t.Errorf("lost %d times: %s, %+v", losses, v.Outcome, v.LastPass)
			}
		})
	}
}

// talkative is a generator that has something to say of its second load.
type talkative struct {
	*model
	loads int
}

func (g *talkative) Await(ctx context.Context, t measure.Target) error {
	g.loads++
	return g.model.Await(ctx, t)
}

func (g *talkative) Warnings() []string {
	if g.loads != 2 {
		return nil
	}
	return []string{"a worker was lost"}
}

func TestWhatTheGeneratorHasToSayStandsWithTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kept := newModel(), memory{}
		s := sweep.Sweep{
			Experiment: question(), Service: m, Generator: &talkative{model: m}, Recorder: kept, Observe: ignore,
			Impossible: func(experiment.Limits) string { return "" },
		}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, l := range cells {
			r := kept[experiment.Trial{Limits: l, Replicate: 1}]
			if said := slices.Equal(r.Warnings, []string{"a worker was lost"}); said != (i == 1) {
				t.Errorf("of load %d it is said: %q", i+1, r.Warnings)
			}
		}
	})
}

func TestAnInterruptionCleansUpAndRecordsNothingHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kept := newModel(), memory{}
		ctx, cancel := context.WithCancel(t.Context())
		stops := 0
		err := runAll(t, ctx, m, kept, func(p sweep.Progress) {
			if p.Number == 2 && p.Phase == sweep.Loading {
				cancel()
			}
			if p.Phase == sweep.Stopping {
				stops++
			}
		})
		if !errors.Is(err, context.Canceled) || len(kept) != 1 || stops != 2 || m.closed != 2 {
			t.Errorf("got %v, %d recorded, %d stopped, %d closed", err, len(kept), stops, m.closed)
		}
	})
}

func results(m memory) []measure.Result {
	var out []measure.Result
	for _, r := range m {
		out = append(out, r)
	}
	return out
}

// TestAFrontierRunsNoMoreThanItTakes sweeps nine cells of which those with a
// CPU or more and 300M or more carry the load, is interrupted on the way, and
// goes on where it stopped.
func TestAFrontierRunsNoMoreThanItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m, kept := question(), newModel(), memory{}
		e.Search.Strategy = "frontier"
		e.Matrix = experiment.Matrix{CPUs: []experiment.CPUs{5e8, 1e9, 2e9}, Memory: []experiment.Bytes{200 << 20, 300 << 20, 500 << 20}}
		for _, l := range e.Matrix.Cells() {
			if l.CPU < 1e9 || l.Memory < 300<<20 {
				m.carries[l] = 450
			}
		}
		var said []string
		run := func(ctx context.Context, stop func(sweep.Progress)) error {
			s := sweep.Sweep{
				Experiment: e, Service: m, Generator: m, Recorder: kept,
				Known: analysis.JudgeAll(e, results(kept)), Impossible: func(experiment.Limits) string { return "" },
				Observe: func(p sweep.Progress) {
					if p.Phase == sweep.Recorded {
						said = append(said, fmt.Sprintf("%d of %s %d: %s %s", p.Number, p.Bound, p.Of, p.Trial.Slug(), p.Verdict.Outcome))
					}
					stop(p)
				},
			}
			return s.Run(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := run(ctx, func(p sweep.Progress) {
			if p.Number == 3 && p.Phase == sweep.Loading {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || len(said) != 2 {
			t.Fatalf("%v after %q", err, said)
		}
		if err := run(t.Context(), ignore); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"1 of at most 5: 2cpu-500M-1 passed", "2 of at most 5: 0.5cpu-500M-1 oom_killed", "3 of at most 5: 1cpu-500M-1 passed",
			"4 of at most 5: 1cpu-200M-1 oom_killed", "5 of at most 5: 1cpu-300M-1 passed",
		}
		if strings.Join(said, "\n") != strings.Join(want, "\n") {
			t.Errorf("said %q, want %q", said, want)
		}
		s := analysis.Analyse(e, measure.Host{}, results(kept))
		if s.Minimal == nil || s.Minimal.Limits != (experiment.Limits{CPU: 1e9, Memory: 300 << 20}) {
			t.Errorf("%s", s.Answer)
		}
	})
}

// TestHoldsProveWhatTheRampFound runs the whole procedure in virtual time: of
// each failing cell both ends of the bracket are held on starts of their own.
func TestHoldsProveWhatTheRampFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m, kept := question(), newModel(), memory{}
		e.Search.Preset = experiment.Standard
		s := sweep.Sweep{
			Experiment: e, Service: m, Generator: m, Recorder: kept, Observe: ignore,
			Impossible: func(experiment.Limits) string { return "" },
		}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		surface := analysis.Analyse(e, measure.Host{}, results(kept))
		for i, capacity := range []int{450, 650} {
			c := surface.Cells[i]
			if !c.Proved || c.LastPass.Users > capacity || c.FirstFail.Users <= capacity || 20*(c.FirstFail.Users-c.LastPass.Users) > c.FirstFail.Users+20 {
				t.Errorf("%s: %d to %d of %d, proved: %v", c.Trial.Limits, c.LastPass.Users, c.FirstFail.Users, capacity, c.Proved)
			}
			if c.Trials > 5 {
				t.Errorf("%s took %d trials", c.Trial.Limits, c.Trials)
			}
		}
		if c := surface.Cells[2]; c.Outcome != analysis.Passed || c.Trials != 1 {
			t.Errorf("the cell that the ramp held at the target: %s after %d trials", c.Outcome, c.Trials)
		}
	})
}

// tardy is a model whose generator tells of each second three seconds after it
// has ended, and whose service uses more CPU from second to second.
type tardy struct{ *model }

func (t tardy) Run(ctx context.Context, target measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		var kept []measure.Tick
		at := time.Duration(0)
		for tick, err := range t.model.Run(ctx, target) {
			kept, at = append(kept, tick), tick.At
			now := measure.Tick{At: at}
			if len(kept) > 3 {
				now.Windows, kept = kept[0].Windows, kept[1:]
			}
			if !yield(now, err) {
				return
			}
		}
		for _, tick := range kept {
			if !yield(measure.Tick{At: at, Windows: tick.Windows}, nil) {
				return
			}
		}
	}
}

func (t tardy) Usage(context.Context) (measure.Counters, error) {
	elapsed := time.Since(t.began)
	return measure.Counters{Read: time.Now(), CPU: time.Duration(elapsed.Seconds() * float64(elapsed) / 2)}, nil
}

func TestASecondThatIsToldLateGetsWhatWasUsedInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kept := tardy{newModel()}, memory{}
		m.carries = nil
		s := sweep.Sweep{Experiment: question(), Service: m, Generator: m, Recorder: kept, Observe: ignore, Impossible: func(experiment.Limits) string { return "" }}
		if err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		windows := kept[experiment.Trial{Limits: cells[2], Replicate: 1}].Series.Windows
		if len(windows) != 15 {
			t.Fatalf("%d windows", len(windows))
		}
		for i, w := range windows {
			if w.Usage == nil || w.Usage.CPU < float64(i)+0.49 || w.Usage.CPU > float64(i)+0.51 {
				t.Errorf("second %d: %+v", i, w.Usage)
			}
		}
	})
}

// TestADeathThatIsToldLateIsWhereItWas holds what a generator that tells late finds
// against what one finds that tells at once.
func TestADeathThatIsToldLateIsWhereItWas(t *testing.T) {
	verdict := func(late bool) (v analysis.Verdict) {
		synctest.Test(t, func(t *testing.T) {
			m, kept := newModel(), memory{}
			s := sweep.Sweep{Experiment: question(), Service: m, Generator: m, Recorder: kept, Observe: ignore, Impossible: func(experiment.Limits) string { return "" }}
			if late {
				s.Service, s.Generator = tardy{m}, tardy{m}
			}
			if err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			v = analysis.Judge(question(), kept[experiment.Trial{Limits: cells[0], Replicate: 1}])
		})
		return v
	}
	want, got := verdict(false), verdict(true)
	if got.Outcome != want.Outcome || got.LastPass == nil || got.FirstFail == nil || got.LastPass.Users != want.LastPass.Users || got.FirstFail.Users != want.FirstFail.Users {
		t.Errorf("got %s, %+v, %+v; want %s, %+v, %+v", got.Outcome, got.LastPass, got.FirstFail, want.Outcome, want.LastPass, want.FirstFail)
	}
}
