package experiment_test

import (
	"strings"
	"testing"
	"time"

	"sweep/pkg/experiment"
)

func TestTrialsHaveNamesOfTheirOwn(t *testing.T) {
	cell := experiment.Limits{CPU: 5e8, Memory: 200 * experiment.MiB}
	for want, trial := range map[string]experiment.Trial{
		"0.5cpu-200M-1":          {Limits: cell, Replicate: 1},
		"0.5cpu-200M-hold6175-2": {Limits: cell, Hold: 6175, Replicate: 2},
	} {
		if got := trial.Slug(); got != want {
			t.Errorf("%+v is called %s, want %s", trial, got, want)
		}
	}
}

func TestAHoldClimbsSettlesAndIsMeasured(t *testing.T) {
	for _, c := range []struct {
		name, users string
		hold        int
		climb, held time.Duration
	}{
		{"as fast as the ramp", "{target: 1000, ramp: 20s, hold: 7s, settle: 3s}", 500, 10 * time.Second, 7 * time.Second},
		{"but not for ever", "{target: 1000, ramp: 10m, hold: 7s, settle: 3s}", 500, 20 * time.Second, 7 * time.Second},
		{"nor at once", "{target: 1000, ramp: 1s, hold: 7s, settle: 3s}", 100, time.Second, 7 * time.Second},
		{"the fastest of stairs", "{target: 1000, stairs: {step: 100, over: 1s, hold: 7s}, settle: 3s}", 1000, 10 * time.Second, 7 * time.Second},
		{"the longest hold of stages", "{target: 1000, stages: [{users: 10, hold: 2s}, {users: 1000, hold: 7s}], settle: 3s}", 1000, 5 * time.Second, 7 * time.Second},
		{"no stage holds", "{target: 1000, stages: [{users: 1000, over: 10s}], settle: 3s}", 1000, 10 * time.Second, 30 * time.Second},
		{"open load", "{rate: 1000/s, ramp: 20s, hold: 7s, settle: 3s}", 500, 10 * time.Second, 7 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := parse(t, strings.Replace(minimal("request: {path: /}"), "{target: 10, ramp: 1m}", c.users, 1))
			u := e.Of(experiment.Trial{Hold: c.hold, Replicate: 1}).Users
			if u.Target != c.hold || u.Ramp().Peak() != c.hold || u.Open() != e.Users.Open() {
				t.Errorf("its load is %+v", u)
			}
			if got := u.Measured(); got != c.climb+3*time.Second {
				t.Errorf("is measured from %v on, want %v", got, c.climb+3*time.Second)
			}
			if got := u.Ramp().Length() - u.Measured(); got != c.held {
				t.Errorf("is measured for %v, want %v", got, c.held)
			}
		})
	}
	e := parse(t, minimal("request: {path: /}"))
	if e.Of(experiment.Trial{Replicate: 1}) != e {
		t.Error("a ramp isn't the experiment's own load")
	}
}
