package analysis_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// lag makes a few requests late, so that their 99th percentile is.
func lag(d time.Duration) func(*measure.Window) {
	return func(w *measure.Window) {
		few := w.Sent / 50
		w.Lag = measure.NewHistogram(measure.Bucket{Value: 0, Count: w.Sent - few}, measure.Bucket{Value: d, Count: few})
	}
}

// allLate makes every request late.
func allLate(d time.Duration) func(*measure.Window) {
	return func(w *measure.Window) { w.Lag = measure.NewHistogram(measure.Bucket{Value: d, Count: w.Sent}) }
}

func effort(e measure.Effort) func(*measure.Window) {
	return func(w *measure.Window) { w.Effort = &e }
}

// The strictest response time of question is a second: a lag of 20 ms is
// allowed, and one of 100 ms counts.
func TestValidity(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		spoil  func(*measure.Window)
		want   analysis.Validity
		signal analysis.Signal // of the gravest reason
		beyond float64
	}{
		{"all well", func(*measure.Window) {}, analysis.Valid, "", 0},
		{"nothing known", func(w *measure.Window) { w.Effort = nil }, analysis.Valid, "", 0},
		{"a lag at the limit", lag(20 * ms), analysis.Valid, "", 0},
		{"a lag", lag(21 * ms), analysis.Degraded, analysis.SignalLag, 0.02},
		{"a lag that just counts", lag(100 * ms), analysis.Degraded, analysis.SignalLag, 0.02},
		{"one late generator of several", func(w *measure.Window) { w.Late = 101 * ms }, analysis.Invalid, analysis.SignalLag, 0.1},
		{"a long lag", lag(101 * ms), analysis.Invalid, analysis.SignalLag, 0.1},
		{"every request a little late", allLate(11 * ms), analysis.Degraded, analysis.SignalLost, 0.01},
		{"every request late", allLate(51 * ms), analysis.Invalid, analysis.SignalLost, 0.05}, // of each second
		{"out of sockets", func(w *measure.Window) { w.Errors = map[measure.Class]uint64{measure.Own: 1} }, analysis.Invalid, analysis.SignalOwn, 0},
		{"users as many as 0.1 s ago", func(w *measure.Window) { w.Users = 980 }, analysis.Valid, "", 0}, // 990 less 1 % and 1
		{"users too few", func(w *measure.Window) { w.Users = 970 }, analysis.Invalid, analysis.SignalUsers, 10.9},
		{"users too many", func(w *measure.Window) { w.Users = 1100 }, analysis.Valid, "", 0},
		{"a stall", effort(measure.Effort{Turn: 101 * ms}), analysis.Degraded, analysis.SignalTurn, 0.1},
		{"a loop that stood still", effort(measure.Effort{Turn: 1001 * ms}), analysis.Invalid, analysis.SignalTurn, 1},
		{"a busy loop", effort(measure.Effort{Busy: 0.91}), analysis.Degraded, analysis.SignalBusy, 0.9},
		{"a saturated loop", effort(measure.Effort{Busy: 1}), analysis.Invalid, analysis.SignalBusy, 0.98},
		{"a quota", effort(measure.Effort{Throttled: new(0.05)}), analysis.Valid, "", 0},
		{"a tight quota", effort(measure.Effort{Throttled: new(0.4)}), analysis.Degraded, analysis.SignalThrottled, 0.1},
		{"a quota that stops it most of the time", effort(measure.Effort{Throttled: new(0.9)}), analysis.Invalid, analysis.SignalThrottled, 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ramp()[9]
			c.spoil(&w)
			a := analysis.Assess(question(), []measure.Window{w})
			if a.Validity != c.want || (len(a.Reasons) == 0) != (c.signal == "") {
				t.Fatalf("got %s for %v", a.Validity, a.Reasons)
			}
			if c.signal != "" && (a.Reasons[0].Signal != c.signal || a.Reasons[0].Validity != c.want || math.Abs(a.Reasons[0].Threshold-c.beyond) > 1e-9) {
				t.Errorf("got %+v", a.Reasons)
			}
		})
	}
}

func TestUsersWhoNeverWaitKeepALoopBusy(t *testing.T) {
	e := question()
	e.Users.Wait = experiment.Wait{}
	w := ramp()[9]
	effort(measure.Effort{Busy: 1, Turn: 300 * time.Millisecond})(&w)
	if a := analysis.Assess(e, []measure.Window{w}); a.Validity != analysis.Degraded {
		t.Errorf("got %s for %v", a.Validity, a.Reasons)
	}
}

func TestAWholeLoadIsAsValidAsItsSeconds(t *testing.T) {
	for _, c := range []struct {
		lags []time.Duration // from the first second on
		want analysis.Validity
	}{
		{nil, analysis.Valid},
		{[]time.Duration{50e6}, analysis.Valid}, // one of fifteen
		{[]time.Duration{50e6, 50e6}, analysis.Degraded},
		{[]time.Duration{500e6}, analysis.Degraded},
		{[]time.Duration{500e6, 500e6, 50e6}, analysis.Invalid},
	} {
		ws := ramp()
		invalid, degraded := time.Duration(0), time.Duration(0)
		for i, d := range c.lags {
			if lag(d)(&ws[i]); d > 100*time.Millisecond {
				invalid += time.Second
			} else {
				degraded += time.Second
			}
		}
		a := analysis.Assess(question(), ws)
		if a.Validity != c.want || a.Invalid != invalid || a.Degraded != degraded {
			t.Errorf("%v: got %+v", c.lags, a)
		}
		if len(c.lags) > 0 && (len(a.Reasons) != 1 || a.Reasons[0].Observed != c.lags[0].Seconds()) {
			t.Errorf("%v: reasons %v, want the worst lag", c.lags, a.Reasons)
		}
	}
	if a := analysis.Assess(&experiment.Experiment{}, nil); a.Validity != analysis.Valid {
		t.Errorf("nothing was loaded: %+v", a)
	}
}

func TestDegradedSecondsCountAndAreTold(t *testing.T) {
	ws := ramp()
	for i := 3; i < 10; i++ {
		lag(30 * time.Millisecond)(&ws[i])
	}
	ws[5].Effort.Busy = 0.95
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	want := "7s of load counted, but were degraded: the generator was 30ms late (p99), an event loop was busy 95 % of the time"
	if v.Outcome != analysis.Passed || len(v.Void) != 0 || len(v.Warnings) != 1 || v.Warnings[0] != want {
		t.Errorf("got %s, %v, %q", v.Outcome, v.Void, v.Warnings)
	}
}

// starving returns question's load with a longer hold, in which a generator
// stopped by its quota is late from the 7th second on. To it, the service looks
// slow, and uses all of its CPU.
func starving() (*experiment.Experiment, []measure.Window) {
	e := question()
	e.Users.Hold = experiment.Duration(time.Minute)
	ws := ramp()[:6]
	for i := 6; i < 20; i++ {
		w := second(i, crowd(i), crowd(i), 3*time.Second)
		w.Lag = measure.NewHistogram(measure.Bucket{Value: 300 * time.Millisecond, Count: w.Sent})
		w.Usage.CPU, w.Usage.Throttled = 0.99, new(0.8)
		w.Effort = &measure.Effort{CPU: 0.48, Cores: 0.5, Busy: 0.62, Throttled: new(0.9), HostIdle: 0.5}
		ws = append(ws, w)
	}
	return e, ws
}

func TestAThrottledGeneratorIsNeverTheServicesFault(t *testing.T) {
	e, ws := starving()
	var v analysis.Verdict
	n := 0
	for ; n <= len(ws) && v.Outcome == analysis.Open; n++ {
		v = analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: time.Duration(n) * time.Second, Windows: ws[:n]})
	}
	if v.Outcome != analysis.GeneratorLimited || n-1 != 16 {
		t.Fatalf("%s after %d s, want to give up ten seconds after the 6th", v.Outcome, n-1)
	}
	r := result(ws[:16], measure.Exit{})
	r.Series.At = 16 * time.Second
	v = analysis.Judge(e, r)
	if v.Outcome != analysis.GeneratorLimited || v.LastPass.Users != 600 || v.FirstFail != nil || v.Breach != nil {
		t.Errorf("got %s, %+v, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail, v.Breach)
	}
	want := "the generator was 300ms late (p99), its lateness kept users from making 30 % of the load, the generator's CPU quota stopped it in 90 % of periods at 7 s; it used 0.48 of 0.50 cores, a loop busy 62 %"
	if v.Cause.Label != analysis.CauseGenerator || v.Cause.Evidence[0] != want {
		t.Errorf("cause %+v", v.Cause)
	}
	if len(v.Void) != 1 || v.Void[0] != (analysis.Stretch{From: 6 * time.Second, To: 16 * time.Second}) {
		t.Errorf("void %v", v.Void)
	}
}

func TestADeathIsTheServicesWhateverTheGeneratorDid(t *testing.T) {
	e, ws := starving()
	r := result(ws[:8], measure.Exit{Died: true, Code: 137, OOMKilled: true})
	r.Exit.At = r.Loaded.Add(7400 * time.Millisecond)
	if v := analysis.Judge(e, r); v.Outcome != analysis.OOMKilled || v.FirstFail.Users != 800 || v.LastPass.Users != 600 {
		t.Errorf("got %s, %+v, %+v", v.Outcome, v.LastPass, v.FirstFail)
	}
}

func TestAFrozenGeneratorIsNoStall(t *testing.T) {
	e := question()
	e.Objective = experiment.Objective{Errors: e.Objective.Errors}
	ws := ramp()[:4]
	for i := 4; i < 18; i++ { // all wait for answers that nobody reads
		w := second(i, crowd(i), 0, 0)
		w.InFlight, w.Effort = 500, &measure.Effort{Turn: 14 * time.Second}
		ws = append(ws, w)
	}
	v := analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: 18 * time.Second, Windows: ws})
	if v.Outcome != analysis.GeneratorLimited || v.FirstFail != nil {
		t.Errorf("got %s, %+v", v.Outcome, v.Breach)
	}
}

// A loop that has always something to read is neither late nor slow to turn.
// Where users never wait, that is all the same how it should be. Nor does a host
// that makes load, and has no time for its answers, show otherwise.
func TestAServiceThatOutrunsTheGeneratorDoesNotFail(t *testing.T) {
	for what, load := range map[string]struct {
		wait   experiment.Wait
		effort measure.Effort
		why    string
	}{
		"a busy loop":   {experiment.Wait{}, measure.Effort{Busy: 0.99, HostIdle: 0.5}, "an event loop was busy 99 % of the time at "},
		"a busy host":   {question().Users.Wait, measure.Effort{HostIdle: 0.5, Elsewhere: &measure.Spare{Idle: 0.01}}, "a host that makes the load 1 % idle, 0 % of it stolen at "},
		"a robbed host": {question().Users.Wait, measure.Effort{HostIdle: 0.5, Elsewhere: &measure.Spare{Idle: 0.5, Steal: 0.1}}, "a host that makes the load 50 % idle, 10 % of it stolen at "},
	} {
		e, ws := question(), ramp()
		e.Users.Wait = load.wait
		for i := 6; i < 15; i++ {
			ws[i] = second(i, crowd(i), crowd(i), 3*time.Second)
			ws[i].Effort = &load.effort
		}
		if v := analysis.Judge(e, result(ws, measure.Exit{})); v.Outcome != analysis.GeneratorLimited || v.LastPass.Users != 600 {
			t.Errorf("%s: got %s", what, v.Outcome)
		} else if why := strings.Join(v.Cause.Evidence, "; "); !strings.Contains(why, load.why) {
			t.Errorf("%s: told as %q", what, why)
		}
		for i := 6; i < 15; i++ {
			ws[i].Usage.CPU = 0.97 // of 1
		}
		if v := analysis.Judge(e, result(ws, measure.Exit{})); v.Outcome != analysis.Breached || v.FirstFail.Users != 700 {
			t.Errorf("%s, the service at its own limit: got %s", what, v.Outcome)
		}
		for i := 6; i < 15; i++ {
			ws[i].Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: ws[i].Done})
		}
		if v := analysis.Judge(e, result(ws, measure.Exit{})); v.Outcome != analysis.Passed {
			t.Errorf("%s, carried all the same: got %s", what, v.Outcome)
		}
	}
}

// What was answered in seconds that are invalid changes nothing.
func TestInvalidSecondsDecideNothing(t *testing.T) {
	spoils := []func(*measure.Window){
		lag(300 * time.Millisecond),
		func(w *measure.Window) { w.Users -= w.Users/20 + 20 },
		effort(measure.Effort{Busy: 0.99, Turn: 200 * time.Millisecond, HostIdle: 0.5}),
		effort(measure.Effort{Turn: 2 * time.Second, HostIdle: 0.5}),
	}
	took := rapid.SampledFrom([]time.Duration{20 * time.Millisecond, 20 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second})
	rapid.Check(t, func(t *rapid.T) {
		one, other := ramp(), ramp()
		for i := range one {
			d := took.Draw(t, "took")
			one[i] = second(i, crowd(i), crowd(i), d)
			other[i] = second(i, crowd(i), crowd(i), d)
			if rapid.IntRange(0, 2).Draw(t, "invalid") > 0 {
				continue
			}
			other[i] = second(i, crowd(i), crowd(i), took.Draw(t, "took otherwise"))
			spoil := rapid.SampledFrom(spoils).Draw(t, "spoil")
			spoil(&one[i])
			spoil(&other[i])
		}
		v, w := analysis.Judge(question(), result(one, measure.Exit{})), analysis.Judge(question(), result(other, measure.Exit{}))
		if v.Outcome != w.Outcome || !reflect.DeepEqual([]any{v.LastPass, v.FirstFail, v.Breach, v.Void}, []any{w.LastPass, w.FirstFail, w.Breach, w.Void}) {
			t.Fatalf("one: %s, %+v, %+v, %v\nother: %s, %+v, %+v, %v", v.Outcome, v.LastPass, v.FirstFail, v.Void, w.Outcome, w.LastPass, w.FirstFail, w.Void)
		}
		for _, s := range v.Void {
			for _, l := range []*analysis.Level{v.LastPass, v.FirstFail} {
				if l != nil && l.At > s.From && l.At <= s.To && v.Outcome != analysis.Passed {
					t.Fatalf("a level at %s, which is in %v", l.At, s)
				}
			}
		}
	})
}

func TestReasonsAreWords(t *testing.T) {
	for _, r := range []analysis.Reason{
		{Signal: analysis.SignalOwn, Observed: 12},
		{Signal: analysis.SignalLag, Observed: 0.3},
		{Signal: analysis.SignalUsers, Observed: 41},
		{Signal: analysis.SignalArrivals, Observed: 41},
		{Signal: analysis.SignalTurn, Observed: 1.5},
		{Signal: analysis.SignalBusy, Observed: 0.97},
		{Signal: analysis.SignalThrottled, Observed: 0.9},
	} {
		if text := r.String(); text == "" || strings.Contains(text, "%!") || text == string(r.Signal) {
			t.Errorf("%s: %q", r.Signal, text)
		}
	}
}

// A service that thrashes at its memory limit keeps the host busy by itself.
func TestAThrashingServiceIsNotTheHostsFault(t *testing.T) {
	ws := ramp()
	for i := 8; i < 15; i++ {
		ws[i] = second(i, crowd(i), crowd(i), 3*time.Second)
		ws[i].Effort = &measure.Effort{HostIdle: 0.01}
		ws[i].Usage = &measure.Usage{CPU: 0.7, Memory: small.Memory}
	}
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome != analysis.HostLimited {
		t.Fatalf("a busy host, and nothing known of faults: %s", v.Outcome)
	}
	for i := 8; i < 15; i++ {
		ws[i].Usage.Faults = new(9500.0)
	}
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	if v.Outcome != analysis.Breached || v.Cause.Label != analysis.CauseMemory || v.LastPass.Users != 800 {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
}
