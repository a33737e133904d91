package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// asIs is the setting of cells that set nothing.
var asIs = experiment.Setting{}

// A machine is a service that obeys the model.
type machine struct {
	demand, idle float64 // CPU seconds of an answer; cores
	base, each   float64 // MiB; likewise for each user, or request in flight
	inFlight     bool
	workers      float64 // answers per second that it makes at most; 0: as many as its CPU
}

const (
	waited   = 1.0   // seconds
	quickest = 0.020 // likewise
)

// asked asks for 1,000 users, whom a minute brings.
func asked(cells ...experiment.Limits) *experiment.Experiment {
	e := question()
	e.Users.RampOver = experiment.Duration(time.Minute)
	e.Matrix.List = cells
	return e
}

// carries is how many users it really carries: those of whom each is answered
// within a second.
func (m machine) carries(l experiment.Limits) float64 {
	x := m.rate(l)
	n := x * (waited + 1)
	room := (0.95*l.Memory.MiB() - m.base) / m.each
	if !m.inFlight {
		return min(n, room)
	}
	return min(n, room*(waited+quickest)/quickest, max(room+waited*x, x*(waited+quickest)))
}

func (m machine) rate(l experiment.Limits) float64 {
	x := (l.CPU.Float() - m.idle) / m.demand
	if m.workers > 0 {
		return min(x, m.workers)
	}
	return x
}

// run is what a trial of it measures.
func (m machine) run(l experiment.Limits) measure.Result {
	r := result(nil, measure.Exit{})
	r.Trial.Limits = l
	for i := range 65 {
		n := min(1000, 1000*float64(i+1)/60)
		x := min(n/(waited+quickest), m.rate(l))
		took := max(quickest, n/x-waited)
		grows := n
		if m.inFlight {
			grows = x * took
		}
		memory := m.base + m.each*grows
		w := second(i, int(n), int(x), time.Duration(took*float64(time.Second)))
		w.InFlight = int(math.Round(x * took))
		w.Usage.CPU, w.Usage.Throttled = m.idle+m.demand*x, new(0.0)
		if w.Usage.CPU > 0.99*l.CPU.Float() {
			w.Usage.Throttled = new(0.9)
		}
		w.Usage.Memory = experiment.Bytes(memory * float64(experiment.MiB))
		r.Series.Windows, r.Series.At = append(r.Series.Windows, w), w.End()
		if memory > 0.95*l.Memory.MiB() {
			r.Exit = measure.Exit{Died: true, OOMKilled: true, At: r.Loaded.Add(w.End() - time.Second/2)}
			break
		}
	}
	return r
}

func cellAt(cpus float64, mib int) experiment.Limits {
	return experiment.Limits{CPU: experiment.CPUs(cpus * 1e9), Memory: experiment.Bytes(mib) * experiment.MiB}
}

func (m machine) analyse(e *experiment.Experiment, measured ...experiment.Limits) analysis.Surface {
	var rs []measure.Result
	for _, l := range measured {
		rs = append(rs, m.run(l))
	}
	return analysis.Analyse(e, measure.Host{}, rs)
}

func predicted(t *testing.T, s analysis.Surface, l experiment.Limits) *analysis.Prediction {
	t.Helper()
	i := slices.IndexFunc(s.Cells, func(c analysis.Cell) bool { return c.Trial.Limits == l })
	return s.Cells[i].Predicted
}

func TestCellsThatWereNotMeasuredArePredicted(t *testing.T) {
	byUser := machine{demand: 0.002, idle: 0.02, base: 40, each: 0.2}
	byRequest := machine{demand: 0.002, idle: 0.02, base: 40, each: 0.4, inFlight: true}
	for _, c := range []struct {
		name     string
		is       machine
		measured []experiment.Limits
		l        experiment.Limits
		bound    analysis.Label
	}{
		{"CPU", byUser, []experiment.Limits{cellAt(0.25, 500), cellAt(0.5, 500), cellAt(0.75, 500)}, cellAt(0.4, 500), analysis.CauseCPU},
		{"more CPU", byUser, []experiment.Limits{cellAt(0.25, 500), cellAt(0.5, 500), cellAt(0.75, 500)}, cellAt(0.9, 500), analysis.CauseCPU},
		{"memory of users", byUser, []experiment.Limits{cellAt(2, 80), cellAt(2, 100), cellAt(2, 120)}, cellAt(2, 160), analysis.CauseMemory},
		{"both", byUser, []experiment.Limits{cellAt(0.25, 500), cellAt(0.5, 500), cellAt(2, 100), cellAt(2, 120)}, cellAt(0.6, 200), analysis.CauseCPU},
		{"memory that slow answers fill", byRequest, []experiment.Limits{cellAt(0.25, 80), cellAt(0.5, 80), cellAt(0.6, 100)}, cellAt(0.7, 80), analysis.CauseMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.is.analyse(asked(append(c.measured, c.l)...), c.measured...)
			if m := s.Models[asIs]; m == nil || !m.Trusted {
				t.Fatalf("model %+v", s.Models[asIs])
			}
			p, want := predicted(t, s, c.l), c.is.carries(c.l)
			if p == nil || p.Bound != c.bound || math.Abs(float64(p.Users)/want-1) > 0.1 || p.Low > p.Users || p.High < p.Users {
				t.Errorf("got %+v, want %.0f, %s; model %+v", p, want, c.bound, s.Models[asIs])
			}
		})
	}
}

func TestTheModelSaysWhatAnAnswerTakes(t *testing.T) {
	m := machine{demand: 0.002, idle: 0.02, base: 40, each: 0.4, inFlight: true}
	got := m.analyse(asked(), cellAt(0.25, 100), cellAt(0.5, 100), cellAt(0.6, 150)).Models[asIs]
	near := func(got, want float64) bool { return math.Abs(got/want-1) < 0.05 }
	if got.Per != analysis.PerRequest || !near(got.Demand, 0.002) || !near(got.Idle, 0.02) || !near(got.Base, 40*float64(experiment.MiB)) || !near(got.Each, 0.4*float64(experiment.MiB)) {
		t.Errorf("got %+v", got)
	}
}

func TestOpenLoadIsPredictedByItsRate(t *testing.T) {
	e := asked(cellAt(0.25, 500), cellAt(0.5, 500), cellAt(1, 500))
	e.Users.Rate = new(experiment.Rate(1000))
	e.Users.Wait = experiment.Wait{}
	m := machine{demand: 0.002, base: 40, each: 0.01}
	var verdicts []analysis.Verdict
	for _, l := range []experiment.Limits{cellAt(0.25, 500), cellAt(0.5, 500)} {
		v := analysis.JudgeAll(asked(), []measure.Result{m.run(l)})[0]
		n := int(m.rate(l))
		v.LastPass, v.FirstFail = &analysis.Level{Users: n}, &analysis.Level{Users: n + 10}
		verdicts = append(verdicts, v)
	}
	if p := predicted(t, analysis.Conclude(e, verdicts, possible), cellAt(1, 500)); p == nil || math.Abs(float64(p.Users)-500) > 10 {
		t.Errorf("got %+v, want 500", p)
	}
}

func TestWhatNoLimitGrantsCapsAllCells(t *testing.T) {
	m := machine{demand: 0.0001, base: 40, each: 0.01, workers: 200}
	s := m.analyse(asked(cellAt(1, 200), cellAt(2, 200), cellAt(4, 200)), cellAt(1, 200), cellAt(2, 200))
	if p := predicted(t, s, cellAt(4, 200)); p == nil || p.Bound != analysis.CauseConcurrency || p.Users < 360 || p.Users > 440 {
		t.Errorf("got %+v of %+v", p, s.Models[asIs])
	}
}

func TestWhenAModelIsTrusted(t *testing.T) {
	good := machine{demand: 0.002, base: 40, each: 0.1}
	three := []experiment.Limits{cellAt(0.25, 500), cellAt(0.5, 500), cellAt(0.75, 500)}
	for _, c := range []struct {
		name    string
		results []measure.Result
		doubt   string // "none": there is no model
	}{
		{"three cells", []measure.Result{good.run(three[0]), good.run(three[1]), good.run(three[2])}, ""},
		{"two cells", []measure.Result{good.run(three[0]), good.run(three[1])}, "takes 3 cells that fail at a closely known load, not 2"},
		{"cells that passed", []measure.Result{good.run(cellAt(2, 500)), good.run(cellAt(3, 500)), good.run(cellAt(4, 500))}, "not 0"},
		{"services that differ", []measure.Result{good.run(three[0]), machine{demand: 0.0028, base: 40}.run(three[1]), machine{demand: 0.0016, base: 40}.run(three[2])}, "mean error is over 15 %"},
		{"nothing known of CPU", []measure.Result{trial(small, analysis.OOMKilled), trial(medium, analysis.OOMKilled)}, "none"},
		{"nothing", nil, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := analysis.Analyse(asked(three...), measure.Host{}, c.results).Models[asIs]
			if (m == nil) != (c.doubt == "none") {
				t.Fatalf("got %+v", m)
			}
			if m != nil && (m.Trusted != (c.doubt == "") || !strings.Contains(m.Doubt, c.doubt)) {
				t.Errorf("got %+v", m)
			}
		})
	}
}

func TestAModelThatIsWrongAtTheTargetIsNotTrusted(t *testing.T) {
	m := machine{demand: 0.002, base: 40, each: 0.1}
	better := machine{demand: 0.0017, base: 40, each: 0.1}
	rs := []measure.Result{m.run(cellAt(0.25, 500)), m.run(cellAt(0.5, 500)), m.run(cellAt(0.75, 500)), better.run(cellAt(0.9, 500))}
	got := analysis.Analyse(asked(), measure.Host{}, rs).Models[asIs]
	if got.Trusted || got.Error > 0.15 || !strings.Contains(got.Doubt, "contrary of what was measured at the target: 0.9 CPU / 500M") {
		t.Errorf("got %+v", got)
	}
}

// shelf draws a machine and which cells of a matrix were measured.
func shelf(t *rapid.T) (m machine, cells, measured []experiment.Limits) {
	m = machine{
		demand: rapid.Float64Range(0.0005, 0.004).Draw(t, "demand"), idle: rapid.Float64Range(0, 0.05).Draw(t, "idle"),
		base: rapid.Float64Range(20, 60).Draw(t, "base"), each: rapid.Float64Range(0.01, 1).Draw(t, "each"), inFlight: rapid.Bool().Draw(t, "in flight"),
	}
	for _, cpus := range []float64{0.25, 0.5, 1} {
		for _, mib := range []int{100, 300} {
			cells = append(cells, cellAt(cpus, mib))
			if rapid.Bool().Draw(t, "measured") {
				measured = append(measured, cellAt(cpus, mib))
			}
		}
	}
	return m, cells, measured
}

func TestPredictionsAreNoEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, cells, measured := shelf(t)
		e := asked(cells...)
		var verdicts []analysis.Verdict
		for _, l := range measured {
			verdicts = append(verdicts, analysis.JudgeAll(e, []measure.Result{m.run(l)})...)
		}
		for _, v := range verdicts {
			for i := range v.Seconds {
				v.Seconds[i].Busy = 0 // scaling takes its time
			}
		}
		with := analysis.Conclude(e, verdicts, possible)
		for i := range verdicts {
			verdicts[i].Seconds = nil
		}
		without := analysis.Conclude(e, verdicts, possible)
		if with.Answer != without.Answer || !slices.Equal(with.Frontier, without.Frontier) || (with.Minimal == nil) != (without.Minimal == nil) {
			t.Fatalf("%q, without %q", with.Answer, without.Answer)
		}
		for i, c := range with.Cells {
			if c.Outcome != without.Cells[i].Outcome || c.Predicted != nil && (c.Measured || c.Outcome != analysis.NotMeasured) {
				t.Fatalf("%s: %+v", c.Trial.Limits, c)
			}
		}
	})
}

func TestPredictionsNeverContradictWhatWasMeasured(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, cells, measured := shelf(t)
		m.demand *= rapid.Float64Range(0.2, 5).Draw(t, "of which another trial told")
		s := m.analyse(asked(cells...), measured...)
		for _, c := range s.Cells {
			p := c.Predicted
			if p == nil {
				continue
			}
			if p.Low > p.Users || p.Users > p.High || p.Low < 0 {
				t.Fatalf("%s: %+v", c.Trial.Limits, p)
			}
			for _, d := range s.Cells {
				l, n := d.Trial.Limits, c.Trial.Limits
				if d.Measured && d.LastPass != nil && d.FirstFail == nil && l.Within(n) && p.Low < d.LastPass.Users {
					t.Fatalf("%s: %+v, though %s carries %d", n, p, l, d.LastPass.Users)
				}
				if d.Outcome.Failed() && n.Within(l) && p.High >= d.FirstFail.Users {
					t.Fatalf("%s: %+v, though %s fails at %d", n, p, l, d.FirstFail.Users)
				}
			}
			if c.Inferred != "" && (c.Inferred == analysis.InferredPassed) != (p.Users >= s.Target) {
				t.Fatalf("%s: %+v, though it follows that it %s", c.Trial.Limits, p, c.Inferred)
			}
		}
	})
}

func TestAHintForTheOrderOfTrials(t *testing.T) {
	m := machine{demand: 0.001, base: 40, each: 0.1}
	e := asked(cellAt(0.2, 500), cellAt(0.25, 500), cellAt(0.3, 500), cellAt(0.45, 500), cellAt(0.75, 500), cellAt(64, 500))
	var verdicts []analysis.Verdict
	for _, l := range e.Matrix.List[:3] {
		verdicts = append(verdicts, analysis.JudgeAll(e, []measure.Result{m.run(l)})...)
	}
	tooBig := func(l experiment.Limits) string {
		if l.CPU.Float() > 8 {
			return "the host has only 8 CPUs"
		}
		return ""
	}
	got := analysis.Expect(e, analysis.Cells(e, verdicts, tooBig))
	if carries, ok := got[cellAt(0.45, 500)]; !ok || carries || !got[cellAt(0.75, 500)] || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if got := analysis.Expect(e, analysis.Cells(e, verdicts[:2], tooBig)); len(got) != 0 {
		t.Errorf("%v of a model that isn't trusted", got)
	}
}
