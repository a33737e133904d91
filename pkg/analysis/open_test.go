package analysis_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// openQuestion is question with 1,000 requests a second instead of users: each
// second of the ramp 100/s more, then 5 s of them.
func openQuestion() *experiment.Experiment {
	e := question()
	e.Users.Rate, e.Users.Wait = new(experiment.Rate(1000)), experiment.Wait{}
	return e
}

// openRamp returns the 15 windows of openQuestion's load, all of them good. A
// window has half of a second's rise less than the rate at its end.
func openRamp() []measure.Window {
	var ws []measure.Window
	for i := range 15 {
		ws = append(ws, second(i, crowd(i), min(1000, 100*i+50), 20*time.Millisecond))
	}
	return ws
}

// unanswer makes a window of one in which nobody is answered. All requests
// timed out, and at its end this many wait.
func unanswer(w measure.Window, waiting int) measure.Window {
	w.Done, w.Answered, w.Response, w.Service, w.InFlight = 0, 0, measure.Histogram{}, measure.Histogram{}, waiting
	w.Errors = map[measure.Class]uint64{measure.Timeout: w.Sent}
	return w
}

func TestOpenLoadThatIsCarriedPasses(t *testing.T) {
	ws := openRamp()
	for i := 9; i < 15; i++ { // slower, but nobody asks for less
		ws[i] = second(i, 1000, int(ws[i].Sent), 600*time.Millisecond)
		ws[i].InFlight = 600
	}
	v := analysis.Judge(openQuestion(), result(ws, measure.Exit{}))
	if v.Outcome != analysis.Passed || v.LastPass.Users != 1000 || v.LastPass.Deficit != 0 || len(v.Warnings) != 0 {
		t.Errorf("got %s, %+v, %q", v.Outcome, v.LastPass, v.Warnings)
	}
}

func TestLittlesLawIsOfUsers(t *testing.T) {
	e := openQuestion()
	e.Users.RampOver, e.Users.Hold = 0, experiment.Duration(time.Minute)
	r := result(held(1000, 250*time.Millisecond), measure.Exit{}) // of users without a wait it would be 4,000
	r.Series.At = time.Minute
	if v := analysis.Judge(e, r); v.Outcome != analysis.Passed || len(v.Warnings) != 0 {
		t.Errorf("got %s, %q", v.Outcome, v.Warnings)
	}
}

func TestGoodputOfOpenLoadIsOfWhatWasSent(t *testing.T) {
	for _, c := range []struct {
		right uint64 // of a hundred
		want  analysis.Outcome
	}{{100, analysis.Passed}, {95, analysis.Passed}, {94, analysis.Breached}} {
		e, ws := openQuestion(), openRamp()
		e.Objective = experiment.Objective{Goodput: new(experiment.Share(0.95))}
		for i := range ws { // from the first second of the ramp on
			right := (ws[i].Sent*c.right + 99) / 100
			ws[i].Errors = map[measure.Class]uint64{measure.BadStatus: ws[i].Sent - right}
			ws[i].Done, ws[i].Answered = right, right
		}
		v := analysis.Judge(e, result(ws, measure.Exit{}))
		if v.Outcome != c.want || v.Outcome == analysis.Breached && v.Breach.Objective != "goodput" {
			t.Errorf("%d %% right: got %s, %+v", c.right, v.Outcome, v.Breach)
		}
	}
}

func TestAPerfectServiceHasAllTheGoodput(t *testing.T) {
	e := openQuestion()
	e.Objective = experiment.Objective{Goodput: new(experiment.Share(1))}
	if v := analysis.Judge(e, result(openRamp(), measure.Exit{})); v.Outcome != analysis.Passed {
		t.Errorf("got %s, %+v", v.Outcome, v.Breach)
	}
}

func TestArrivalsThatAreMissing(t *testing.T) {
	for _, c := range []struct {
		second int
		sent   uint64
		want   analysis.Validity
	}{
		{12, 1000, analysis.Valid},
		{12, 989, analysis.Valid}, // 1 % and one are allowed
		{12, 988, analysis.Invalid},
		{12, 1100, analysis.Valid},
		{12, 0, analysis.Invalid},
		{4, 450, analysis.Valid}, // of 500 at its end
		{4, 445, analysis.Valid},
		{4, 444, analysis.Invalid},
	} {
		w := openRamp()[c.second]
		w.Sent = c.sent
		a := analysis.Assess(openQuestion(), []measure.Window{w})
		if a.Validity != c.want || c.want == analysis.Invalid && a.Reasons[0].Signal != analysis.SignalArrivals {
			t.Errorf("%d sent in second %d: got %s for %v", c.sent, c.second, a.Validity, a.Reasons)
		}
	}
}

// Whatever the shape of the rate: a load that makes every arrival misses none,
// and one that leaves out 1 % and three is found out.
func TestArrivalsAreHeldAgainstTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := openQuestion()
		e.Users.Stages = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) experiment.Stage {
			return experiment.Stage{
				Users: rapid.IntRange(0, 500).Draw(t, "rate"),
				Over:  experiment.Duration(rapid.Int64Range(0, 3e9).Draw(t, "over")),
				Hold:  experiment.Duration(rapid.Int64Range(1, 3e9).Draw(t, "hold")),
			}
		}), 1, 3).Draw(t, "stages")
		ramp := e.Users.Ramp()
		due := slices.Collect(ramp.Arrivals)
		for begin := time.Duration(0); begin < ramp.Length(); begin += time.Second {
			w := measure.Window{Start: begin, Length: min(time.Second, ramp.Length()-begin)}
			for _, at := range due {
				if at >= w.Start && at < w.End() {
					w.Sent++
				}
			}
			if a := analysis.Assess(e, []measure.Window{w}); a.Validity != analysis.Valid {
				t.Fatalf("all %d at %s: %v", w.Sent, begin, a.Reasons)
			}
			few := uint64(math.Ceil(3.01 + 0.01*float64(w.Sent)))
			if w.Sent -= min(w.Sent, few); w.Sent == 0 {
				continue
			}
			if a := analysis.Assess(e, []measure.Window{w}); a.Validity != analysis.Invalid {
				t.Fatalf("%d less than all at %s counts", few, begin)
			}
		}
	})
}

func TestOpenLoadKeepsALoopBusyOnlyIfItIsTooMuch(t *testing.T) {
	w := openRamp()[12]
	effort(measure.Effort{Busy: 1, Turn: 300 * time.Millisecond})(&w)
	if a := analysis.Assess(openQuestion(), []measure.Window{w}); a.Validity != analysis.Invalid {
		t.Errorf("got %s for %v", a.Validity, a.Reasons)
	}
}

// The last second of an open load has more requests in flight than half of its
// rate as soon as it is a little slow. That alone is no standstill.
func TestTheLastSecondOfAnOpenLoadAloneDecidesNothing(t *testing.T) {
	for name, spoil := range map[string]func(measure.Window) measure.Window{
		"slow": func(w measure.Window) measure.Window {
			w.Response = measure.NewHistogram(measure.Bucket{Value: 3 * time.Second, Count: w.Sent})
			w.Answered, w.InFlight = 20, 980 // those of the second before
			return w
		},
		"wrong": func(w measure.Window) measure.Window {
			w = unanswer(w, 3)
			w.Errors = map[measure.Class]uint64{measure.BadStatus: w.Sent}
			return w
		},
	} {
		e, ws := openQuestion(), openRamp()
		e.Users.Hold = experiment.Duration(15 * time.Second)
		for i := 15; i < 25; i++ {
			ws = append(ws, second(i, 1000, 1000, 20*time.Millisecond))
		}
		ws[24] = spoil(ws[24])
		r := result(ws, measure.Exit{})
		r.Series.At = 28 * time.Second
		v := analysis.Judge(e, r)
		if v.Outcome != analysis.Passed {
			t.Errorf("%s: got %s, %+v", name, v.Outcome, v.Breach)
		}
	}
}

// At ten requests a second, five are judged together, and there is no second
// span after the last.
func TestAServiceThatStopsAnsweringBeforeAnOpenLoadEndsFails(t *testing.T) {
	e := openQuestion()
	e.Users.Target, e.Users.RampOver, e.Users.Hold = 10, 0, experiment.Duration(time.Minute)
	e.Users.Rate = new(experiment.Rate(10))
	var ws []measure.Window
	for i := range 60 {
		ws = append(ws, second(i, 10, 10, 20*time.Millisecond))
	}
	for i := 57; i < 60; i++ {
		ws[i] = unanswer(ws[i], 10*(i-56))
	}
	r := result(ws, measure.Exit{})
	r.Series.At = 70 * time.Second
	if v := analysis.Judge(e, r); v.Outcome != analysis.Breached || v.FirstFail == nil || v.FirstFail.At != time.Minute {
		t.Errorf("got %s, %+v", v.Outcome, v.FirstFail)
	}
	ws[59].Answered = 4 // late, and of earlier seconds: it still answers
	if v := analysis.Judge(e, r); v.Outcome != analysis.Passed {
		t.Errorf("an answer came: got %s, %+v", v.Outcome, v.Breach)
	}
}

func TestAServiceThatStopsAnsweringUnderOpenLoadFailsWhileItRuns(t *testing.T) {
	e, ws := openQuestion(), openRamp()
	for i := 5; i < 15; i++ {
		ws[i].Done, ws[i].Answered, ws[i].Response, ws[i].InFlight = 0, 0, measure.Histogram{}, 500*(i-4)
	}
	watch := func(n int) analysis.Verdict {
		return analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: time.Duration(n)*time.Second + 100*time.Millisecond, Windows: ws[:n]})
	}
	if v := watch(7); v.Outcome != analysis.Open {
		t.Errorf("one second is over a second late: got %s", v.Outcome)
	}
	if v := watch(8); v.Outcome != analysis.Breached || v.FirstFail.Users != 600 || v.LastPass.Users != 500 {
		t.Errorf("two are: got %s, %+v", v.Outcome, v.FirstFail)
	}
}

// A rate may go down to 0. Then nothing comes after the bad second.
func TestAServiceThatStopsAnsweringBeforeARateOfNothingFails(t *testing.T) {
	e := openQuestion()
	d := func(d time.Duration) experiment.Duration { return experiment.Duration(d) }
	e.Users.Stages = []experiment.Stage{{Users: 1000, Over: d(10 * time.Second), Hold: d(5 * time.Second)}, {Over: 1, Hold: d(30 * time.Second)}}
	e.Request.Timeout = d(time.Minute)
	ws := openRamp()
	ws[14] = unanswer(ws[14], 1000)
	ws[14].Errors = nil
	for i := 15; i < 26; i++ {
		w := second(i, 0, 0, 0)
		w.InFlight = 1000
		ws = append(ws, w)
	}
	v := analysis.Watch(e, experiment.Trial{Limits: small, Replicate: 1}, measure.Series{At: 26 * time.Second, Windows: ws})
	if v.Outcome != analysis.Breached || v.FirstFail.Users != 1000 {
		t.Errorf("got %s, %+v", v.Outcome, v.FirstFail)
	}
}
