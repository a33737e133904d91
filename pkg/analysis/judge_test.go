package analysis_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// question asks whether 1 CPU / 200M carries 1,000 users that come within 10 s
// and stay for 5 s: 100 users and as many requests more each second.
func question() *experiment.Experiment {
	return &experiment.Experiment{
		Name:      "test",
		Request:   experiment.Request{Timeout: experiment.Duration(10 * time.Second)},
		Matrix:    experiment.Matrix{List: []experiment.Limits{small}},
		Users:     experiment.Users{Target: 1000, RampOver: experiment.Duration(10 * time.Second), Hold: experiment.Duration(5 * time.Second), Wait: experiment.Wait{Constant: new(experiment.Duration(time.Second))}},
		Objective: experiment.DefaultObjective(),
		Search:    experiment.Search{Repeats: 1},
		Price:     experiment.Price{CPUHour: 0.04, GiBHour: 0.004},
	}
}

var (
	small  = experiment.Limits{CPU: 1e9, Memory: 200 * experiment.MiB}
	medium = experiment.Limits{CPU: 2e9, Memory: 200 * experiment.MiB}
	large  = experiment.Limits{CPU: 2e9, Memory: 500 * experiment.MiB}
)

// second returns the window of second i in which all n requests took took.
func second(i, users, n int, took time.Duration) measure.Window {
	h := measure.NewHistogram(measure.Bucket{Value: took, Count: uint64(n)})
	return measure.Window{
		Start: time.Duration(i) * time.Second, Length: time.Second, Users: users,
		Sent: uint64(n), Done: uint64(n), Answered: uint64(n), Service: h, Response: h,
		Lag:    measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: uint64(n)}),
		Usage:  &measure.Usage{CPU: 0.5, Throttled: new(0.1), Memory: 100 * experiment.MiB},
		Effort: &measure.Effort{CPU: 0.2, HostIdle: 0.5},
	}
}

// ramp returns the 15 windows of question's load, all of them good.
func ramp() []measure.Window {
	var ws []measure.Window
	for i := range 15 {
		ws = append(ws, second(i, crowd(i), crowd(i), 20*time.Millisecond))
	}
	return ws
}

// crowd returns how many of question's users there are at the end of second i.
func crowd(i int) int { return min(1000, 100*(i+1)) }

func result(ws []measure.Window, exit measure.Exit) measure.Result {
	loaded := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return measure.Result{
		Trial: experiment.Trial{Limits: small, Replicate: 1}, Ready: true, Loaded: loaded,
		Series: measure.Series{At: 15 * time.Second, Windows: ws}, Exit: exit,
	}
}

func TestEveryUserCarriedPasses(t *testing.T) {
	v := analysis.Judge(question(), result(ramp(), measure.Exit{}))
	if v.Outcome != analysis.Passed || v.FirstFail != nil || v.Breach != nil || v.Cause != nil {
		t.Fatalf("got %+v", v)
	}
	if l := v.LastPass; l.Users != 1000 || l.Throughput != 1000 || l.Requests != 10500 || l.P99 != 20*time.Millisecond {
		t.Errorf("last pass: %+v", l)
	}
	if v.CPUSecondsPerRequest < 0.0007 || v.CPUSecondsPerRequest > 0.0008 { // 15 x 0.5 s over 10,500 requests
		t.Errorf("CPU seconds per request: %v", v.CPUSecondsPerRequest)
	}
}

func TestTwoBadSecondsRunningAreABreachWithItsBracket(t *testing.T) {
	ws := ramp()
	for _, i := range []int{6, 7, 8} {
		ws[i] = second(i, 100*(i+1), 100*(i+1), 2*time.Second)
		ws[i].Usage.CPU, ws[i].Usage.Throttled = 0.99, new(0.8)
	}
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	if v.Outcome != analysis.Breached || v.LastPass.Users != 600 || v.FirstFail.Users != 700 {
		t.Fatalf("got %s, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail)
	}
	if v.FirstFail.Requests != 2800 || *v.Breach != (analysis.Breach{Objective: "p99", Observed: "2s", Limit: "1s"}) {
		t.Errorf("requests %d, breach %+v", v.FirstFail.Requests, v.Breach)
	}
	if v.Cause.Label != analysis.CauseCPU || !strings.Contains(v.Cause.Evidence[0], "0.99 of 1") {
		t.Errorf("cause %+v", v.Cause)
	}
}

func TestOneBadSecondPassesByItselfButIsTold(t *testing.T) {
	ws := ramp()
	ws[4] = second(4, 500, 500, 3*time.Second)
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	if v.Outcome != analysis.Passed || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "one bad second at 500 users (p99 3s)") {
		t.Errorf("got %s, warnings %q", v.Outcome, v.Warnings)
	}
}

func TestErrorsBreachWhereTheyWeighMore(t *testing.T) {
	ws := ramp()
	for _, i := range []int{6, 7} {
		w := second(i, crowd(i), 350, 20*time.Millisecond)
		w.Sent, w.Errors = 700, map[measure.Class]uint64{measure.BadStatus: 350}
		ws[i] = w
	}
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	if v.Breach == nil || *v.Breach != (analysis.Breach{Objective: "errors", Observed: "50%", Limit: "1%"}) || v.Cause.Label != analysis.CauseApplication {
		t.Errorf("breach %+v, cause %+v", v.Breach, v.Cause)
	}
}

func TestUnansweredRequestsAreLateBeforeTheyAreAnswered(t *testing.T) {
	ws := ramp()[:8]
	for _, i := range []int{5, 6, 7} { // nobody answers any more
		ws[i] = second(i, crowd(i), 0, 0)
		ws[i].Sent = 600
	}
	watch := func(at time.Duration) analysis.Outcome {
		return analysis.Watch(question(), experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: at, Windows: ws}).Outcome
	}
	if got := watch(7500 * time.Millisecond); got != analysis.Open {
		t.Errorf("half a second later: %q, want still open", got)
	}
	if got := watch(8100 * time.Millisecond); got != analysis.Breached {
		t.Errorf("once two seconds' requests are over a second late: %q, want breached", got)
	}
}

func TestDeathIsAtOnceAndNamed(t *testing.T) {
	ws := ramp()[:8]
	ws[7] = second(7, 800, 300, 20*time.Millisecond)
	ws[7].Sent, ws[7].Errors = 800, map[measure.Class]uint64{measure.Refused: 500}
	r := result(ws, measure.Exit{Died: true, Code: 137, OOMKilled: true, OOMKills: 1})
	r.Exit.At = r.Loaded.Add(7400 * time.Millisecond)
	v := analysis.Judge(question(), r)
	if v.Outcome != analysis.OOMKilled || v.Cause.Label != analysis.CauseOOM || v.LastPass.Users != 700 || v.FirstFail.Users != 800 {
		t.Errorf("got %s, cause %+v, %+v, %+v", v.Outcome, v.Cause, v.LastPass, v.FirstFail)
	}
	r.Exit.OOMKilled, r.Exit.OOMKills, r.Exit.Code = false, 0, 3
	if v = analysis.Judge(question(), r); v.Outcome != analysis.Crashed || !strings.Contains(v.Cause.Evidence[0], "exit code 3 at 7.4 s") {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
}

func TestWhatADeathTookWithItDoesNotMoveTheBracket(t *testing.T) {
	ws := ramp()[:8]
	for _, i := range []int{2, 3, 7} { // requests of these seconds were still waiting when the service died
		ws[i].Done /= 2
		ws[i].Errors = map[measure.Class]uint64{measure.Reset: ws[i].Sent - ws[i].Done}
	}
	r := result(ws, measure.Exit{Died: true, Code: 137, OOMKilled: true})
	r.Exit.At = r.Loaded.Add(7400 * time.Millisecond)
	v := analysis.Judge(question(), r)
	if v.LastPass.Users != 700 || v.FirstFail.Users != 800 || v.FirstFail.Requests != 3600 || len(v.Warnings) != 0 {
		t.Errorf("%+v, %+v, %q", v.LastPass, v.FirstFail, v.Warnings)
	}
}

func TestADeathThatComesLongAfterTheFailureIsNotThatFailure(t *testing.T) {
	for _, c := range []struct {
		name       string
		spoil      func(i int, w *measure.Window) // those from second 4 on
		pass, fail int
	}{
		{"late for seconds", func(i int, w *measure.Window) { *w = second(i, crowd(i), crowd(i), 2*time.Second) }, 400, 500},
		{"silent for seconds, until death took what waited", func(i int, w *measure.Window) {
			*w = second(i, crowd(i), 0, 0)
			w.Sent, w.Errors, w.InFlight = 100, map[measure.Class]uint64{measure.Reset: 60, measure.Refused: 40}, 100*(i-3)
		}, 400, 500},
		{"broken for seconds", func(_ int, w *measure.Window) {
			w.Done /= 2
			w.Errors = map[measure.Class]uint64{measure.Reset: w.Sent - w.Done}
		}, 400, 500},
		{"well, but death took what was young", func(i int, w *measure.Window) {
			if i == 6 {
				w.Done /= 2
				w.Errors, w.InFlight = map[measure.Class]uint64{measure.Reset: w.Sent - w.Done}, int(w.Sent-w.Done)
			}
		}, 600, 800},
		{"well, with some underway", func(_ int, w *measure.Window) { w.InFlight = 3 }, 700, 800},
		{"late, and then well", func(i int, w *measure.Window) {
			if i < 6 {
				*w = second(i, crowd(i), crowd(i), 2*time.Second)
			}
		}, 700, 800},
	} {
		t.Run(c.name, func(t *testing.T) {
			ws := from(ramp()[:8], 4, c.spoil)
			ws[7] = second(7, 800, 300, 20*time.Millisecond)
			ws[7].Sent, ws[7].Errors = 800, map[measure.Class]uint64{measure.Refused: 500}
			r := result(ws, measure.Exit{Died: true, Code: 137, OOMKilled: true})
			r.Exit.At = r.Loaded.Add(7400 * time.Millisecond)
			v := analysis.Judge(question(), r)
			if v.Outcome != analysis.OOMKilled || v.LastPass.Users != c.pass || v.FirstFail.Users != c.fail {
				t.Errorf("got %s, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail)
			}
			if told := strings.Contains(strings.Join(v.Cause.Evidence, "; "), "it had failed before"); told != (c.fail < 800) {
				t.Errorf("evidence %q", v.Cause.Evidence)
			}
		})
	}
}

func TestAServiceThatAnswersWronglyHasNotStalled(t *testing.T) {
	e := question()
	e.Objective = experiment.Objective{P99: e.Objective.P99}
	ws := ramp()[:4]
	for i := 4; i < 16; i++ {
		w := second(i, crowd(i), 0, 0)
		w.Sent, w.InFlight, w.Errors = 500, 3, map[measure.Class]uint64{measure.BadStatus: 500}
		ws = append(ws, w)
	}
	v := analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: 16 * time.Second, Windows: ws})
	if v.Outcome != analysis.Open {
		t.Errorf("got %s, %+v", v.Outcome, v.Breach)
	}
}

func TestAStarvedHostIsNoStall(t *testing.T) {
	ws := ramp()[:4]
	for i := 4; i < 20; i++ {
		w := second(i, crowd(i), 0, 0)
		w.InFlight, w.Effort.HostIdle = 500, 0.01
		ws = append(ws, w)
	}
	v := analysis.Watch(question(), experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: 20 * time.Second, Windows: ws})
	if v.Outcome == analysis.Breached {
		t.Errorf("got %s, %+v", v.Outcome, v.Breach)
	}
}

func BenchmarkWatchAnHour(b *testing.B) {
	var buckets []measure.Bucket
	for i := range 1000 {
		buckets = append(buckets, measure.Bucket{Value: time.Duration(i) * time.Millisecond / 2, Count: 10})
	}
	h := measure.NewHistogram(buckets...)
	var ws []measure.Window
	for i := range 3600 {
		w := second(i, 1000, 10_000, time.Millisecond)
		w.First, w.Service, w.Response, w.Lag = h, h, h, measure.Histogram{}
		ws = append(ws, w)
	}
	s := measure.Series{At: time.Hour, Windows: ws}
	for b.Loop() {
		analysis.Watch(question(), experiment.Trial{Limits: small, Replicate: 1}, s)
	}
}

func TestAServiceThatDiesBeforeTheLoadHasNoLevels(t *testing.T) {
	v := analysis.Judge(question(), measure.Result{Exit: measure.Exit{Died: true, Code: 1}})
	if v.Outcome != analysis.Crashed || v.LastPass != nil || v.FirstFail != nil {
		t.Errorf("got %+v", v)
	}
	v = analysis.Judge(question(), measure.Result{NotReady: "connection refused"})
	if v.Outcome != analysis.NotReady || v.Breach.Observed != "connection refused" {
		t.Errorf("got %+v", v)
	}
}

func TestSecondsInWhichAnInstrumentWasTheLimitDecideNothing(t *testing.T) {
	late := func(w *measure.Window) {
		w.Lag = measure.NewHistogram(measure.Bucket{Value: time.Second, Count: w.Sent})
	}
	own := func(w *measure.Window) { w.Errors = map[measure.Class]uint64{measure.Own: 1} }
	starved := func(w *measure.Window) { w.Effort.HostIdle = 0.01 }
	for name, c := range map[string]struct {
		spoil func(*measure.Window)
		want  analysis.Outcome
	}{
		"a late generator":        {late, analysis.GeneratorLimited},
		"a generator out of fds":  {own, analysis.GeneratorLimited},
		"a host without idle CPU": {starved, analysis.HostLimited},
	} {
		t.Run(name, func(t *testing.T) {
			ws := ramp()
			for i := 6; i < 15; i++ { // slow, but not by the service's fault
				ws[i] = second(i, crowd(i), 700, 3*time.Second)
				c.spoil(&ws[i])
			}
			v := analysis.Judge(question(), result(ws, measure.Exit{}))
			if v.Outcome != c.want || v.LastPass.Users != 600 || v.FirstFail != nil {
				t.Errorf("got %s, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail)
			}
		})
	}
}

func TestAServiceAtItsOwnLimitIsNotTheHostsFault(t *testing.T) {
	ws := ramp()
	for _, i := range []int{6, 7} {
		ws[i] = second(i, crowd(i), 700, 3*time.Second)
		ws[i].Effort.HostIdle, ws[i].Usage.CPU = 0, 0.97
	}
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome != analysis.Breached {
		t.Errorf("got %s", v.Outcome)
	}
}

func TestATargetThatWasNotHeldIsNoPass(t *testing.T) {
	if v := analysis.Judge(question(), result(ramp()[:9], measure.Exit{})); v.Outcome != analysis.Inconclusive {
		t.Errorf("got %s", v.Outcome)
	}
}

func TestFewRequestsAreJudgedTogether(t *testing.T) {
	e := question()
	e.Users.Target = 10
	var ws []measure.Window
	for i := range 30 { // of ten requests a second one is slow, in one second of three
		w := second(i, 10, 10, 20*time.Millisecond)
		if i%15 == 0 {
			w.Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: 9}, measure.Bucket{Value: 2 * time.Second, Count: 1})
		}
		ws = append(ws, w)
	}
	v := analysis.Judge(e, result(ws, measure.Exit{}))
	if v.Outcome == analysis.Breached {
		t.Errorf("two slow requests of 300 are within 1 %%, yet %+v", v.Breach)
	}
}

func TestAServiceThatStopsAnsweringFailsThoughNobodyAsksAgain(t *testing.T) {
	ws := ramp()
	ws[13].Done, ws[13].Response, ws[13].Service = 0, measure.Histogram{}, measure.Histogram{}
	ws[14] = second(14, 1000, 0, 0)
	r := result(ws, measure.Exit{})
	r.Series.Windows[14].InFlight, r.Series.At = 1000, 24*time.Second // the answers were waited for
	if v := analysis.Judge(question(), r); v.Outcome != analysis.Breached || v.FirstFail.Users != 1000 {
		t.Errorf("got %s, %+v", v.Outcome, v.FirstFail)
	}
}

func TestAHoldThatWasCutShortProvesNothing(t *testing.T) {
	e := question()
	e.Users.Hold = experiment.Duration(60 * time.Second)
	if v := analysis.Judge(e, result(ramp(), measure.Exit{})); v.Outcome != analysis.Inconclusive {
		t.Errorf("5 of 60 s held: %s", v.Outcome)
	}
}

func TestABadSecondBeforeTheGeneratorFailsIsNotTheServices(t *testing.T) {
	ws := ramp()
	ws[4] = second(4, 500, 500, 3*time.Second)
	for i := 5; i < 15; i++ {
		ws[i].Errors = map[measure.Class]uint64{measure.Own: 1}
	}
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome != analysis.GeneratorLimited {
		t.Errorf("got %s", v.Outcome)
	}
}

func TestTheLastSecondAloneDecidesNothing(t *testing.T) {
	ws := ramp()
	ws[14] = second(14, 1000, 1000, 3*time.Second)
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome == analysis.Breached {
		t.Errorf("got %s", v.Outcome)
	}
}

func TestAnUnknownShareOfABusyHostIsNotTheServicesFault(t *testing.T) {
	ws := ramp()
	for i := 6; i < 15; i++ {
		ws[i] = second(i, crowd(i), 700, 3*time.Second)
		ws[i].Effort.HostIdle = 0.01
		if i%2 == 0 {
			ws[i].Usage = nil
		}
	}
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome != analysis.HostLimited {
		t.Errorf("got %s", v.Outcome)
	}
}

func TestDyingWhenTheLoadIsTakenAwayIsNoFailure(t *testing.T) {
	r := result(ramp(), measure.Exit{Died: true, Code: 2})
	r.Exit.At = r.Loaded.Add(r.Series.At + 3*time.Second)
	v := analysis.Judge(question(), r)
	if v.Outcome != analysis.Passed || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "exit code 2") {
		t.Errorf("got %s, %q", v.Outcome, v.Warnings)
	}
}

func TestTheDeathbedIsAWindowThatHasEnded(t *testing.T) {
	ws := ramp()[:8]
	ws[7] = measure.Window{Start: 7 * time.Second, Sent: 3} // only begun
	r := result(ws, measure.Exit{Died: true, Code: 1})
	r.Series.At = 7*time.Second + 3*time.Millisecond
	r.Exit.At = r.Loaded.Add(7*time.Second + time.Millisecond)
	if v := analysis.Judge(question(), r); v.FirstFail == nil || v.FirstFail.Users != 700 {
		t.Errorf("first fail %+v", v.FirstFail)
	}
}

func TestKilledWorkersAreTold(t *testing.T) {
	v := analysis.Judge(question(), result(ramp(), measure.Exit{OOMKills: 7}))
	if v.Outcome != analysis.Passed || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "7 times") {
		t.Errorf("got %s, %q", v.Outcome, v.Warnings)
	}
}

func TestAServiceThatAnswersNobodyIsDeadBeforeItsRequestsTimeOut(t *testing.T) {
	e := question()
	e.Request.Timeout = experiment.Duration(time.Minute)
	e.Objective = experiment.Objective{Errors: e.Objective.Errors} // only errors, and there are none yet
	ws := ramp()[:8]
	for i := 8; i < 20; i++ {
		w := second(i, crowd(i), 0, 0)
		w.InFlight, w.Usage.Memory = 900, 199*experiment.MiB
		ws = append(ws, w)
	}
	watch := func(n int) analysis.Verdict {
		return analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: time.Duration(n) * time.Second, Windows: ws[:n]})
	}
	if v := watch(17); v.Outcome != analysis.Open {
		t.Errorf("after nine seconds of silence: %s", v.Outcome)
	}
	if v := watch(18); v.Outcome != analysis.Breached || v.Breach.Observed != "no answer for 10s" {
		t.Errorf("after ten: %s, %+v", v.Outcome, v.Breach)
	}
	r := result(ws[:18], measure.Exit{})
	r.Series.At = 18 * time.Second
	v := analysis.Judge(e, r)
	if v.Outcome != analysis.Breached || v.LastPass.Users != 800 || v.FirstFail.Users != 900 || v.Cause.Label != analysis.CauseMemory {
		t.Errorf("got %s, %+v, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail, v.Cause)
	}
}

func TestAServiceThatIsSlowByNatureHasNotStalled(t *testing.T) {
	e := question()
	e.Objective = experiment.Objective{Errors: e.Objective.Errors}
	var ws []measure.Window
	for i := range 40 { // one user, whose request takes fifteen seconds
		w := second(i, 1, 0, 0)
		w.InFlight = 1
		if i%16 == 0 {
			w = second(i, 1, 1, 15*time.Second)
		}
		ws = append(ws, w)
	}
	v := analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: 40 * time.Second, Windows: ws})
	if v.Breach != nil {
		t.Errorf("got %+v", v.Breach)
	}
}

// What Watch decides while the load runs, Judge must say of the whole.
func TestWatchAndJudgeAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, ws := question(), ramp()
		for i := range ws {
			took := rapid.SampledFrom([]time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second}).Draw(t, "took")
			ws[i] = second(i, ws[i].Users, ws[i].Users, took)
			if rapid.IntRange(0, 9).Draw(t, "spoilt") == 0 {
				ws[i].Effort.HostIdle = 0
			}
		}
		trial := experiment.Trial{Limits: small, Replicate: 1}
		for n := range len(ws) + 1 {
			// At second n, answers that take longer than what has passed are still out.
			seen := make([]measure.Window, n)
			for i := range seen {
				seen[i] = ws[i]
				if age := time.Duration(n-1-i) * time.Second; ws[i].Response.Max() > age+time.Second {
					seen[i].Done, seen[i].Response, seen[i].Service = 0, measure.Histogram{}, measure.Histogram{}
				}
			}
			v := analysis.Watch(e, trial, measure.Series{At: time.Duration(n) * time.Second, Windows: seen})
			if v.Outcome != analysis.Breached {
				continue
			}
			r := result(seen, measure.Exit{})
			r.Series.At = time.Duration(n) * time.Second
			w := analysis.Judge(e, r)
			if w.Outcome != v.Outcome || w.FirstFail.Users != v.FirstFail.Users {
				t.Fatalf("at second %d: while running %s at %d, afterwards %s at %+v", n, v.Outcome, v.FirstFail.Users, w.Outcome, w.FirstFail)
			}
			return
		}
	})
}
