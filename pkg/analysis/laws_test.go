package analysis_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// held returns a minute in which 1,000 users send sent requests a second.
func held(sent int, took time.Duration) []measure.Window {
	var ws []measure.Window
	for i := range 60 {
		ws = append(ws, second(i, 1000, sent, took))
	}
	return ws
}

func TestLittlesLaw(t *testing.T) {
	d := func(d time.Duration) experiment.Duration { return experiment.Duration(d) }
	constant := experiment.Wait{Constant: new(d(time.Second))}
	for _, c := range []struct {
		name string
		wait experiment.Wait
		took time.Duration
		sent int
		told string // what the warning says; empty: none
	}{
		{"constant", constant, 250 * time.Millisecond, 800, ""},
		{"constant, within 5 %", constant, 250 * time.Millisecond, 765, ""},
		{"constant, requests lost", constant, 250 * time.Millisecond, 700, "1,000 users whose rounds take 1.25s on average send 800 requests/s, but 700 were counted over 59s"},
		{"constant, requests made up", constant, 250 * time.Millisecond, 900, "but 900"},
		{"between", experiment.Wait{Between: []experiment.Duration{d(500 * time.Millisecond), d(2500 * time.Millisecond)}}, 500 * time.Millisecond, 500, ""},
		{"pacing", experiment.Wait{Pacing: new(d(2 * time.Second))}, 500 * time.Millisecond, 500, ""},
		{"pacing, overtaken", experiment.Wait{Pacing: new(d(time.Second))}, 2 * time.Second, 500, ""},
		{"pacing, requests lost", experiment.Wait{Pacing: new(d(2 * time.Second))}, 500 * time.Millisecond, 400, "send 500 requests/s, but 400"},
		{"no wait", experiment.Wait{}, 100 * time.Millisecond, 10000, ""},
		{"no wait, requests lost", experiment.Wait{}, 100 * time.Millisecond, 9000, "send 10,000 requests/s, but 9,000"},
		{"rounds too long to tell", constant, 4 * time.Second, 100, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := question()
			e.Objective = experiment.Objective{Errors: e.Objective.Errors}
			e.Users = experiment.Users{Target: 1000, Hold: d(time.Minute), Wait: c.wait}
			r := result(held(c.sent, c.took), measure.Exit{})
			r.Series.At = time.Minute
			v := analysis.Judge(e, r)
			var told string
			for _, w := range v.Warnings {
				if strings.Contains(w, "contradicts itself") {
					told = w
				}
			}
			if v.Outcome != analysis.Passed || (told == "") != (c.told == "") || !strings.Contains(told, c.told) {
				t.Errorf("got %s, %q", v.Outcome, v.Warnings)
			}
		})
	}
}

func TestTimesThatAreNotKnownHoldNoLaw(t *testing.T) {
	e := question()
	e.Users = experiment.Users{Target: 1000, Hold: experiment.Duration(time.Minute), Wait: e.Users.Wait}
	ws := held(700, 250*time.Millisecond)
	for i := range ws {
		ws[i].Done -= 50
		ws[i].Errors = map[measure.Class]uint64{measure.BadStatus: 50}
	}
	for _, w := range analysis.Judge(e, result(ws, measure.Exit{})).Warnings {
		if strings.Contains(w, "contradicts") {
			t.Error(w)
		}
	}
}

func TestUsersWhoWaitForSlowAnswersAskForLess(t *testing.T) {
	ws := ramp() // 20 ms
	for i := 9; i < 15; i++ {
		ws[i] = second(i, 1000, 800, 270*time.Millisecond)
	}
	v := analysis.Judge(question(), result(ws, measure.Exit{}))
	if want := 1 - 800*6*1.02/(950+5*1000); v.Outcome != analysis.Passed || math.Abs(v.LastPass.Deficit-want) > 0.001 {
		t.Fatalf("got %s, %+v, want a deficit of %.3f", v.Outcome, v.LastPass, want)
	}
	if want := "1,000 users made 800 requests/s, 17.7% fewer than they would with answers in 20ms as at low load"; len(v.Warnings) != 1 || v.Warnings[0] != want {
		t.Errorf("got %q", v.Warnings)
	}
	ws[11], ws[12] = second(11, 1000, 300, 2*time.Second), second(12, 1000, 300, 2*time.Second)
	v = analysis.Judge(question(), result(ws, measure.Exit{}))
	if v.FirstFail == nil || math.Abs(v.FirstFail.Deficit-(1-300*1.02/1000)) > 0.01 || len(v.Warnings) != 0 {
		t.Errorf("got %+v, %q; a failure is told by itself", v.FirstFail, v.Warnings)
	}
}

func TestFullSpeedIsNoDeficit(t *testing.T) {
	if v := analysis.Judge(question(), result(ramp(), measure.Exit{})); v.LastPass.Deficit != 0 || len(v.Warnings) != 0 {
		t.Errorf("got %+v, %q", v.LastPass, v.Warnings)
	}
}
