package analysis_test

import (
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// byLocust is the question, asked by Locust's workers.
func byLocust() *experiment.Experiment {
	e := question()
	e.Request = experiment.Request{}
	e.Generator.Locust = &experiment.Locust{File: "locustfile.py", Workers: 2}
	return e
}

func TestABracketByLocustIsWiderByItsBlur(t *testing.T) {
	ws := ramp()
	for _, i := range []int{7, 8, 9} {
		ws[i] = second(i, crowd(i), crowd(i), 1500*time.Millisecond)
	}
	native, locust := analysis.Judge(question(), result(ws, measure.Exit{})), analysis.Judge(byLocust(), result(ws, measure.Exit{}))
	if native.LastPass.Users != 700 || native.FirstFail.Users != 800 {
		t.Fatalf("native: %+v, %+v", native.LastPass, native.FirstFail)
	}
	// The seventh second was the first bad one: what was slow then was due up to
	// 1.5 s earlier, and three seconds are told of together.
	if locust.Outcome != analysis.Breached || locust.LastPass.Users != 200 || locust.FirstFail.Users != 1000 {
		t.Errorf("locust: %s, %+v, %+v", locust.Outcome, locust.LastPass, locust.FirstFail)
	}
	if !strings.Contains(strings.Join(locust.Warnings, "\n"), "the ramp's bracket is wider") || len(native.Warnings) != 0 {
		t.Errorf("warnings %q, of native %q", locust.Warnings, native.Warnings)
	}
}

func TestALocustWorkerIsTheLimitFromNinetyPercentOn(t *testing.T) {
	ws := ramp()
	for i := range ws {
		ws[i].Effort = &measure.Effort{Busy: 0.93, HostIdle: 0.5}
	}
	if v := analysis.Judge(byLocust(), result(ws, measure.Exit{})); v.Outcome != analysis.GeneratorLimited {
		t.Errorf("by Locust: %s", v.Outcome)
	}
	if v := analysis.Judge(question(), result(ws, measure.Exit{})); v.Outcome != analysis.Passed {
		t.Errorf("native: %s", v.Outcome)
	}
}
