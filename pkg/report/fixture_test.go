package report

import (
	"math"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// began is when every trial of the fixtures began.
func began() time.Time { return time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC) }

func cellLimits(cpu float64, mib int) experiment.Limits {
	return experiment.Limits{CPU: experiment.CPUs(math.Round(cpu * 1e9)), Memory: experiment.Bytes(mib) * experiment.MiB}
}

// A service is a made-up one: what its users see as they become more.
type service struct {
	limits  experiment.Limits
	seconds int
	target  int
	ramp    int           // seconds
	knee    float64       // users from which it gets slow
	leak    float64       // MiB per user
	dies    time.Duration // 0: never
}

// windows returns what a load on s measures: answers get slower with the
// square of the load over the knee; a queue turns into errors.
func (s service) windows() []measure.Window {
	var out []measure.Window
	for i := range s.seconds {
		n := float64(s.target) * min(1, float64(i+1)/float64(s.ramp))
		load := n / s.knee
		p50 := time.Duration((2 + 3*load*load + 400*max(0, load-1)) * (1 + 0.05*math.Sin(float64(i))) * float64(time.Millisecond))
		sent := uint64(n)
		failed := uint64(n * max(0, min(0.5, load-1.05)))
		if s.dies > 0 && time.Duration(i+1)*time.Second > s.dies {
			failed = sent / 2
		}
		done := sent - failed
		w := measure.Window{
			Start: time.Duration(i) * time.Second, Length: time.Second, Sent: sent, Done: done, Answered: done, Users: int(n),
			Response: measure.NewHistogram(measure.Bucket{Value: p50, Count: done - done/10}, measure.Bucket{Value: 2 * p50, Count: done/10 - done/50}, measure.Bucket{Value: 5 * p50, Count: done / 50}),
			Usage: &measure.Usage{
				CPU:    s.limits.CPU.Float() * min(1, 0.05+0.85*load),
				Memory: experiment.Bytes(min(float64(s.limits.Memory), (60+s.leak*n)*float64(experiment.MiB))),
			},
		}
		if failed > 0 {
			w.Errors = map[measure.Class]uint64{measure.Reset: failed}
		}
		out = append(out, w)
	}
	return out
}

func (s service) result() measure.Result {
	r := measure.Result{
		Trial: experiment.Trial{Limits: s.limits, Replicate: 1}, Began: began(), Loaded: began().Add(time.Second), Ready: true,
		Series: measure.Series{At: time.Duration(s.seconds) * time.Second, Windows: s.windows()},
	}
	if s.dies > 0 {
		r.Exit = measure.Exit{Died: true, At: r.Loaded.Add(s.dies), Code: 137, OOMKilled: true, OOMKills: 1}
	}
	return r
}

func anExperiment() *experiment.Experiment {
	second := experiment.Duration(time.Second)
	return &experiment.Experiment{
		Version: 1, Name: "prediction-api",
		Users:     experiment.Users{Target: 10000, RampOver: experiment.Duration(2 * time.Minute), Hold: experiment.Duration(30 * time.Second), Wait: experiment.Wait{Constant: &second}},
		Objective: experiment.DefaultObjective(),
		Price:     experiment.DefaultPrice(),
	}
}

// runOf returns a run with these cells. Prices are filled in.
func runOf(answer string, results []measure.Result, cells ...analysis.Cell) Run {
	e := anExperiment()
	for i := range cells {
		c := &cells[i]
		c.PriceHour = e.Price.Of(c.Trial.Limits)
		c.Measured = c.Outcome != analysis.NotMeasured
		c.Trial.Replicate = 1
		if c.Measured {
			c.Trials, c.Starts = 1, []analysis.Verdict{c.Verdict}
			c.Deciding = c.Starts
		}
	}
	return Run{
		ID: "20261123T101500Z", Experiment: e, Results: results,
		Manifest: measure.Manifest{Host: measure.Host{Kernel: "6.8.0", Architecture: "x86_64", CPUs: 8, Memory: 16 * experiment.GiB}},
		Surface:  analysis.Surface{Experiment: e.Name, Target: e.Users.Target, Objective: e.Objective, Cells: cells, Answer: answer},
	}
}

func at(seconds float64, users int, requests uint64, throughput float64, p99 time.Duration, errors float64) *analysis.Level {
	return &analysis.Level{
		At: time.Duration(seconds * float64(time.Second)), Users: users, Requests: requests, Throughput: throughput,
		P50: p99 / 7, P95: p99 / 2, P99: p99, ErrorRate: errors,
	}
}

func cellOf(cpu float64, mib int, v analysis.Verdict) analysis.Cell {
	v.Trial.Limits = cellLimits(cpu, mib)
	return analysis.Cell{Verdict: v}
}

func oomKilled() analysis.Verdict {
	return analysis.Verdict{
		Outcome: analysis.OOMKilled, LastPass: at(52, 4300, 91000, 3900.5, 21*time.Millisecond, 0), FirstFail: at(54, 4500, 99000, 3950.1, 33*time.Millisecond, 0.41),
		Breach:     &analysis.Breach{Objective: "alive", Observed: "oom_killed"},
		Cause:      &analysis.Cause{Label: analysis.CauseOOM, Evidence: []string{"memory.events oom_kill +1 at 53.6 s", "working set 199 of 200 MiB"}, ConfirmedBy: "2 CPU / 500M: +120 %"},
		PeakMemory: 209000000, CPUSecondsPerRequest: 0.00021,
	}
}

func breached() analysis.Verdict {
	return analysis.Verdict{
		Outcome: analysis.Breached, LastPass: at(74, 6160, 231400, 6102.25, 480*time.Millisecond, 0), FirstFail: at(76, 6330, 243800, 6011, 1240*time.Millisecond, 0.004),
		Breach:     &analysis.Breach{Objective: "p99", Observed: "1.24s", Limit: "1s"},
		Cause:      &analysis.Cause{Label: analysis.CauseMemory, Evidence: []string{"CPU 1.31 of 2 used, stopped in 4 % of periods", "working set 198 of 200 MiB"}},
		PeakMemory: 207618048, CPUSecondsPerRequest: 0.00022, Warnings: []string{"one bad second at 3,100 users (p99 1.1s) that passed by itself"},
	}
}

func passed() analysis.Verdict {
	last := at(150, 10000, 899213, 9894.2, 118*time.Millisecond, 0.0001)
	last.Deficit = 0.0086
	return analysis.Verdict{
		Outcome: analysis.Passed, LastPass: last,
		PeakMemory: 402653184, CPUSecondsPerRequest: 0.00018,
	}
}

func limited() analysis.Verdict {
	return analysis.Verdict{
		Outcome: analysis.GeneratorLimited, LastPass: at(90, 7500, 340000, 7400, 90*time.Millisecond, 0),
		Cause:    &analysis.Cause{Label: analysis.CauseGenerator, Evidence: []string{"the generator was 41ms late (p99) at 91 s"}},
		Warnings: []string{"12 seconds didn't count: the generator or the host was the limit"},
	}
}

func notReady() analysis.Verdict {
	why := "GET /health: 503 Service Unavailable: model is loading"
	return analysis.Verdict{
		Outcome: analysis.NotReady, Breach: &analysis.Breach{Objective: "ready", Observed: why, Limit: "1m"},
		Cause: &analysis.Cause{Label: analysis.CauseNotReady, Evidence: []string{why}},
	}
}

// reference is the run of the three reference cells.
func reference() Run {
	oom := service{limits: cellLimits(1, 200), seconds: 54, target: 10000, ramp: 120, knee: 6000, leak: 0.032, dies: 53600 * time.Millisecond}
	slow := service{limits: cellLimits(2, 200), seconds: 78, target: 10000, ramp: 120, knee: 5800, leak: 0.022}
	good := service{limits: cellLimits(2, 500), seconds: 150, target: 10000, ramp: 120, knee: 12000, leak: 0.032}
	r := runOf("2 CPU / 500M is the least of 3 measured configurations that carries 10,000 users with errors <= 1% and p99 <= 1s.",
		[]measure.Result{good.result(), oom.result(), slow.result()},
		cellOf(1, 200, oomKilled()), cellOf(2, 200, breached()), cellOf(2, 500, passed()))
	return r.withMinimal(2)
}

// withMinimal names the i-th cell as the minimal viable configuration.
func (r Run) withMinimal(i int) Run {
	c := r.Surface.Cells[i]
	r.Surface.Minimal = &analysis.Minimal{Limits: c.Trial.Limits, PriceHour: c.PriceHour, PricePerMillion: c.PricePerMillion(), Headroom: 1}
	r.Surface.Frontier = []experiment.Limits{c.Trial.Limits}
	return r
}

func allFailed() Run {
	return runOf("None of the 2 measured configurations carries 10,000 users with errors <= 1% and p99 <= 1s; the most was 6,160 on 2 CPU / 200M.", nil,
		cellOf(1, 200, oomKilled()), cellOf(2, 200, breached()))
}

func single() Run {
	return runOf("2 CPU / 500M, the only configuration measured, carries 10,000 users with errors <= 1% and p99 <= 1s.", nil, cellOf(2, 500, passed())).withMinimal(0)
}

func unknown() Run {
	return runOf("Which configuration carries 10,000 users with errors <= 1% and p99 <= 1s isn't known: 2 CPU / 500M (the generator was the limit).", nil,
		cellOf(1, 200, oomKilled()), cellOf(2, 500, limited()))
}

func neverReady() Run {
	crashed := analysis.Verdict{
		Outcome: analysis.Crashed, FirstFail: at(3, 250, 300, 100, 5*time.Millisecond, 0.6), Breach: &analysis.Breach{Objective: "alive", Observed: "crashed"},
		Cause: &analysis.Cause{Label: analysis.CauseCrash, Evidence: []string{"the service ended by itself with exit code 3 at 2.4 s"}},
	}
	dead := service{limits: cellLimits(1, 64), seconds: 3, target: 10000, ramp: 120, knee: 6000}.result()
	dead.Exit = measure.Exit{Died: true, At: dead.Loaded.Add(2400 * time.Millisecond), Code: 3}
	silent := measure.Result{Trial: experiment.Trial{Limits: cellLimits(0.5, 64), Replicate: 1}, Began: began(), NotReady: notReady().Breach.Observed}
	return runOf("None of the 2 measured configurations carries 10,000 users with errors <= 1% and p99 <= 1s; none carried any.",
		[]measure.Result{silent, dead}, cellOf(0.5, 64, notReady()), cellOf(1, 64, crashed))
}

func notMeasured() Run {
	big := cellOf(16, 500, analysis.Verdict{Outcome: analysis.NotMeasured})
	big.Why = "the host has only 8 CPUs"
	return runOf("2 CPU / 500M, the only configuration measured, carries 10,000 users with errors <= 1% and p99 <= 1s.", nil, cellOf(2, 500, passed()), big).withMinimal(0)
}

// searched is a run that measured only what it took to know the cheapest.
func searched() Run {
	follows := func(cpu float64, mib int, what analysis.Inference, fromCPU float64, fromMiB int) analysis.Cell {
		c := cellOf(cpu, mib, analysis.Verdict{Outcome: analysis.NotMeasured})
		c.Inferred, c.From = what, cellLimits(fromCPU, fromMiB)
		return c
	}
	beyond := cellOf(16, 200, analysis.Verdict{Outcome: analysis.NotMeasured})
	beyond.Why = "the host has only 8 CPUs"
	r := runOf("2 CPU / 500M is the least of 8 configurations that carries 10,000 users with errors <= 1% and p99 <= 1s; 4 were measured, and the cheaper ones that weren't grant no more than one that failed.", nil,
		follows(1, 200, analysis.InferredFailed, 2, 200), cellOf(1, 500, oomKilled()),
		cellOf(2, 200, breached()), cellOf(2, 500, passed()),
		cellOf(4, 200, analysis.Verdict{Outcome: analysis.NotMeasured}), follows(4, 500, analysis.InferredPassed, 2, 500),
		beyond, cellOf(16, 1024, passed()))
	r.Experiment.Search.Strategy = "frontier"
	return r.withMinimal(3)
}

// modelOf is the model of cells that set nothing.
func modelOf(m analysis.Model) map[experiment.Setting]*analysis.Model {
	return map[experiment.Setting]*analysis.Model{{}: &m}
}

// foreseen is a run in which a model says something of what wasn't measured.
func foreseen() Run {
	predict := func(c analysis.Cell, users, low, high int, bound analysis.Label) analysis.Cell {
		c.Predicted = &analysis.Prediction{Users: users, Low: low, High: high, Bound: bound}
		return c
	}
	r := searched()
	r.Surface.Models = modelOf(analysis.Model{
		Demand: 0.0002134, Idle: 0.0123, Base: 61.5 * float64(experiment.MiB), Each: 32100, Per: analysis.PerRequest,
		Tried: 3, Error: 0.08, Worst: 0.113, Trusted: true,
	})
	cells := r.Surface.Cells
	cells[0] = predict(cells[0], 3951, 3550, 4397, analysis.CauseMemory)
	cells[4] = predict(cells[4], 6329, 6160, 6329, analysis.CauseMemory)
	cells[5] = predict(cells[5], 37480, 33675, 41715, analysis.CauseCPU)
	cells[6] = predict(cells[6], 6420, 6160, 7145, analysis.CauseMemory)
	cells[1].Scaling = &analysis.Scaling{Levels: 4, Refused: "fewer than 6 levels of concurrency were seen"}
	cells[2].Scaling = &analysis.Scaling{Levels: 17, Refused: "throughput shows no peak as far as the load went"}
	cells[3].Scaling = &analysis.Scaling{
		Rate: 402, Contention: 0.021, Coherency: 0.00071, Levels: 21,
		Peak: analysis.Interval{Value: 37.1, Low: 33.2, High: 42.9}, Throughput: analysis.Interval{Value: 5510, Low: 5402, High: 5630},
	}
	cells[7].Scaling = cells[2].Scaling
	return r
}

// doubtful is the same with a model that isn't trusted.
func doubtful() Run {
	r := foreseen()
	m := *r.Surface.Models[experiment.Setting{}]
	m.Tried, m.Error, m.Worst, m.Each, m.Trusted = 1, 0.41, 0.41, 0, false
	m.Doubt = "it takes 3 cells that fail at a closely known load, not 1"
	r.Surface.Models = modelOf(m)
	r.Surface.Cells[0].Predicted.Low, r.Surface.Cells[0].Predicted.High = 2802, 5570
	return r
}

// repeated is a run with several starts of its cells.
func repeated() Run {
	r := runOf("2 CPU / 500M is the least of 2 measured configurations that carries 10,000 users with errors <= 1% and p99 <= 1s.", nil,
		cellOf(1, 200, oomKilled()), cellOf(2, 500, passed()))
	for i, starts := range [][]analysis.Verdict{{oomKilled(), breached(), oomKilled()}, {passed(), breached(), passed()}} {
		c := &r.Surface.Cells[i]
		for n := range starts {
			starts[n].Trial = experiment.Trial{Limits: c.Trial.Limits, Replicate: n + 1}
		}
		c.Trials, c.Starts, c.Deciding = len(starts), starts, starts
	}
	r.Surface.Cells[1].Warnings = []string{"of 3 starts 2 passed, 1 failed"}
	return r.withMinimal(1)
}

// proved is a run whose brackets were held, and whose answer is certified.
func proved() Run {
	r := runOf("2 CPU / 500M is the least of 2 measured configurations that carries 10,000 users with errors <= 1% and p99 <= 1s.", nil,
		cellOf(1, 500, breached()), cellOf(2, 500, passed()))
	c := &r.Surface.Cells[0]
	lower, upper := passed(), breached()
	lower.Trial, lower.LastPass = experiment.Trial{Limits: c.Trial.Limits, Hold: 5987, Replicate: 1}, at(60, 5987, 240000, 5900, 20*time.Millisecond, 0)
	lower.Confidence = 0.9999
	upper.Trial, upper.LastPass, upper.FirstFail = experiment.Trial{Limits: c.Trial.Limits, Hold: 6302, Replicate: 1}, nil, at(40, 6302, 160000, 5900, 2*time.Second, 0)
	c.Starts = append(c.Starts, lower, upper)
	c.LastPass, c.FirstFail, c.Proved, c.Trials, c.Deciding = lower.LastPass, upper.FirstFail, true, 3, []analysis.Verdict{upper}
	c.Levels = []analysis.Held{
		{Users: 5987, Passed: 1, Class: analysis.Lower}, {Users: 6302, Failed: 1, Class: analysis.Upper}, {Users: 10000, Failed: 1, Untold: 1, Class: analysis.Upper},
	}
	r.Surface.Cells[1].Proved = true
	r = r.withMinimal(1)
	r.Surface.Minimal.Certificate = "it carried them in 2 of 2 fresh starts; of what is cheaper 1 CPU / 500M failed in 2 of 2"
	return r
}

// heldRun is the same with what its ramp and its holds saw.
func heldRun() Run {
	r := proved()
	c := &r.Surface.Cells[0]
	for i := range c.Starts {
		v := &c.Starts[i]
		s := service{limits: c.Trial.Limits, seconds: 80, target: 10000, ramp: 120, knee: 5800, leak: 0.02}
		if v.Trial.Hold > 0 {
			s.target, s.ramp, s.seconds = v.Trial.Hold, 10, 60
		}
		res := s.result()
		for n := range res.Series.Windows { // no second is like the next
			w := &res.Series.Windows[n]
			p50 := time.Duration(float64(w.Response.Quantile(0.5)) * math.Pow(2, math.Sin(float64(n))))
			w.Response = measure.NewHistogram(measure.Bucket{Value: p50, Count: 90}, measure.Bucket{Value: 2 * p50, Count: 8}, measure.Bucket{Value: 5 * p50, Count: 2})
		}
		res.Trial = v.Trial
		r.Results = append(r.Results, res)
		for _, l := range []*analysis.Level{v.LastPass, v.FirstFail} {
			if l != nil && v.Trial.Hold > 0 {
				w := res.Series.Windows[50]
				l.At, l.P50, l.P95, l.P99 = w.End(), w.Response.Quantile(0.5), w.Response.Quantile(0.95), w.Response.Quantile(0.99)
			}
		}
	}
	c.Trial = c.Starts[2].Trial
	return r
}

// settings is a run with three settings of the same four limits, of which one is
// an image too, and cells of none beside them.
func settings() Run {
	set := func(c analysis.Cell, workers, image string) analysis.Cell {
		c.Trial.Limits.Env, c.Trial.Limits.Image = experiment.VariablesOf(map[string]string{"WORKERS": workers}), image
		return c
	}
	follows := cellOf(2, 500, analysis.Verdict{Outcome: analysis.NotMeasured})
	follows.Inferred = analysis.InferredPassed
	follows = set(follows, "2", "")
	follows.From = set(cellOf(1, 500, passed()), "2", "").Trial.Limits
	r := runOf("1 CPU / 500M with WORKERS=2 is the least of 6 configurations that carries 10,000 users with errors <= 1% and p99 <= 1s.", nil,
		set(cellOf(1, 200, oomKilled()), "1", ""), set(cellOf(1, 200, oomKilled()), "2", ""), set(cellOf(1, 200, limited()), "${cpus}", "sweep/fastapi:slim"),
		set(cellOf(1, 500, breached()), "1", ""), set(cellOf(1, 500, passed()), "2", ""), set(cellOf(1, 500, breached()), "${cpus}", "sweep/fastapi:slim"),
		set(cellOf(2, 500, passed()), "1", ""), follows, cellOf(2, 500, breached()))
	model := analysis.Model{Demand: 0.0002134, Base: 61.5 * float64(experiment.MiB), Each: 32100, Per: analysis.PerRequest, Tried: 3, Error: 0.08, Worst: 0.113, Trusted: true}
	r.Surface.Models = map[experiment.Setting]*analysis.Model{follows.Trial.Limits.Setting(): &model}
	r.Surface.Cells[7].Predicted = &analysis.Prediction{Users: 21000, Low: 19000, High: 23000, Bound: analysis.CauseCPU}
	return r.withMinimal(4)
}
