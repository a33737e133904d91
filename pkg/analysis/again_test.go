package analysis_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// slowFrom returns the windows of question's load up to second until, of which
// those from second from on are slow.
func slowFrom(from, until int, took time.Duration) []measure.Window {
	ws := ramp()[:until]
	for i := from; i < until; i++ {
		ws[i] = second(i, crowd(i), crowd(i), took)
	}
	return ws
}

// stoppedAfter is a trial whose load was stopped after its windows.
func stoppedAfter(ws []measure.Window) measure.Result {
	r := result(ws, measure.Exit{})
	r.Series.At = time.Duration(len(ws)) * time.Second
	return r
}

// p99 is the objective of question with another limit.
func p99(limit time.Duration) experiment.Objective {
	o := experiment.DefaultObjective()
	o.P99 = new(experiment.Duration(limit))
	return o
}

func TestWhatAnotherObjectiveCanSay(t *testing.T) {
	const stopped = "stopped at 800 users: p99 <= 1s was breached from 700 on"
	const none = -1
	died := stoppedAfter(ramp()[:5])
	died.Exit = measure.Exit{Died: true, OOMKilled: true, Code: 137, At: died.Loaded.Add(4500 * time.Millisecond)}
	late := stoppedAfter(ramp())
	for i := 3; i < 15; i++ {
		late.Series.Windows[i].Lag = measure.NewHistogram(measure.Bucket{Value: 80 * time.Millisecond, Count: 100})
	}
	for name, c := range map[string]struct {
		result    measure.Result
		objective experiment.Objective
		outcome   analysis.Outcome
		last      int // users
		first     int
		warning   string
	}{
		"the same says the same":          {stoppedAfter(slowFrom(6, 8, 2*time.Second)), p99(time.Second), analysis.Breached, 600, 700, ""},
		"looser: nothing lies beyond":     {stoppedAfter(slowFrom(6, 8, 2*time.Second)), p99(3 * time.Second), analysis.Inconclusive, 800, none, stopped + "; what lies beyond wasn't run"},
		"looser, still breached":          {stoppedAfter(slowFrom(6, 8, 2*time.Second)), p99(1500 * time.Millisecond), analysis.Breached, 600, 700, ""},
		"looser, breached in one second":  {stoppedAfter(append(slowFrom(6, 7, 1200*time.Millisecond), slowFrom(7, 8, 2*time.Second)[7])), p99(1500 * time.Millisecond), analysis.Inconclusive, 700, none, stopped},
		"looser, stopped within the hold": {stoppedAfter(slowFrom(11, 13, 2*time.Second)), p99(3 * time.Second), analysis.Inconclusive, 1000, none, "stopped at 1,000 users, where p99 <= 1s was breached; the rest of the hold wasn't run"},
		"looser, but nothing was cut off": {stoppedAfter(slowFrom(13, 15, 2*time.Second)), p99(3 * time.Second), analysis.Passed, 1000, none, ""},
		"a death is one by any":           {died, p99(9 * time.Second), analysis.OOMKilled, 400, 500, ""},
		"stricter: the ramp's bracket":    {stoppedAfter(slowFrom(4, 15, 500*time.Millisecond)), p99(200 * time.Millisecond), analysis.Breached, 400, 500, "the bracket is the ramp's: 400 users passed on the way up, and weren't held"},
		"stricter, breached in the hold":  {stoppedAfter(slowFrom(12, 15, 500*time.Millisecond)), p99(200 * time.Millisecond), analysis.Breached, 1000, 1000, ""},
		"stricter than the generator was": {late, p99(100 * time.Millisecond), analysis.GeneratorLimited, 300, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := question()
			s := analysis.Again(e, c.objective, measure.Host{}, []measure.Result{c.result})
			v := s.Cells[0]
			if v.Outcome != c.outcome || users(v.LastPass) != c.last || users(v.FirstFail) != c.first {
				t.Errorf("got %s, %+v, %+v, want %s", v.Outcome, v.LastPass, v.FirstFail, c.outcome)
			}
			told := slices.DeleteFunc(slices.Clone(v.Warnings), func(w string) bool { return c.warning == "" || !strings.HasPrefix(w, c.warning) })
			limits := slices.DeleteFunc(slices.Clone(v.Warnings), func(w string) bool { return !strings.Contains(w, "wasn't run") && !strings.Contains(w, "the ramp's") })
			if (c.warning != "") != (len(told) == 1) || len(limits) != len(told) {
				t.Errorf("warnings %q", v.Warnings)
			}
			if got := strings.Contains(s.Answer, "(stopped at "); got != (v.Outcome == analysis.Inconclusive) {
				t.Errorf("answer %s", s.Answer)
			}
			if e.Objective.String() != question().Objective.String() {
				t.Error("the experiment was changed")
			}
		})
	}
}

// Two starts that were stopped could have passed or failed: the third alone
// doesn't decide.
func TestStartsThatWereStoppedCanTurnAMajority(t *testing.T) {
	carries, stops := stoppedAfter(ramp()), stoppedAfter(slowFrom(6, 8, 2*time.Second))
	for want, starts := range map[analysis.Outcome][]measure.Result{
		analysis.Inconclusive: {carries, stops, stops},
		analysis.Passed:       {carries, carries, stops},
	} {
		for i := range starts {
			starts[i].Trial.Replicate = i + 1
		}
		s := analysis.Again(question(), p99(3*time.Second), measure.Host{}, starts)
		if s.Cells[0].Outcome != want || (s.Minimal != nil) != (want == analysis.Passed) {
			t.Errorf("got %s, want %s: %s", s.Cells[0].Outcome, want, s.Answer)
		}
	}
}

func TestAnotherObjectiveIsTold(t *testing.T) {
	results := []measure.Result{stoppedAfter(ramp())}
	s := analysis.Again(question(), p99(3*time.Second), measure.Host{}, results)
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "judged by p99 <= 3s, errors <= 1%, but measured for p99 <= 1s, errors <= 1%") {
		t.Errorf("%q", s.Warnings)
	}
	if s = analysis.Again(question(), p99(time.Second), measure.Host{}, results); len(s.Warnings) != 0 {
		t.Errorf("the same objective is no other: %q", s.Warnings)
	}
}

func TestQuantilesOfTooFewRequests(t *testing.T) {
	o := experiment.Objective{P999: new(experiment.Duration(time.Second))}
	few := stoppedAfter(slowFrom(6, 8, 2*time.Second))
	v := analysis.Again(question(), o, measure.Host{}, []measure.Result{few}).Cells[0]
	if want := "p99.9 is judged by 700 requests, of which one late answer is too many; it takes 1,000 to show it"; !slices.Contains(v.Warnings, want) {
		t.Errorf("%s, %q", v.Outcome, v.Warnings)
	}
	o.Errors = new(experiment.Share(0))
	for i := range few.Series.Windows {
		few.Series.Windows[i].Done--
		few.Series.Windows[i].Errors = map[measure.Class]uint64{measure.BadStatus: 1}
	}
	v = analysis.Again(question(), o, measure.Host{}, []measure.Result{few}).Cells[0]
	if v.Breach.Objective != "errors" || strings.Contains(strings.Join(v.Warnings, ""), "p99.9") {
		t.Errorf("p99.9 decided nothing here: %+v, %q", v.Breach, v.Warnings)
	}
	o.Errors = nil
	v = analysis.Again(question(), o, measure.Host{}, []measure.Result{stoppedAfter(ramp())}).Cells[0]
	if v.Outcome != analysis.Passed || len(v.Warnings) != 0 {
		t.Errorf("six thousand requests are enough: %s, %q", v.Outcome, v.Warnings)
	}
}

func TestMarginIsThatOfTheNearestLimit(t *testing.T) {
	e := question()
	e.Objective = experiment.Objective{P50: new(experiment.Duration(40 * time.Millisecond)), P99: new(experiment.Duration(time.Second)), Errors: new(experiment.Share(0))}
	v := analysis.Judge(e, result(ramp(), measure.Exit{}))
	if got, want := v.LastPass.Margin, math.Log(0.5); math.Abs(got-want) > 0.02 { // 20 of 40 ms, to a histogram's precision
		t.Errorf("%v, want %v", got, want)
	}
}

// Of cells that cost the same, the one with the larger margin is the least.
func TestTheLargerMarginBreaksATie(t *testing.T) {
	at := func(cpu float64, mib int, took time.Duration) measure.Result {
		r := result(slowFrom(0, 15, took), measure.Exit{})
		r.Trial.Limits = experiment.Limits{CPU: experiment.CPUs(cpu * 1e9), Memory: experiment.Bytes(mib) * experiment.MiB}
		return r
	}
	fails, slow, quick := 2*time.Second, 800*time.Millisecond, 100*time.Millisecond
	for name, c := range map[string]struct {
		results []measure.Result
		more    []experiment.Limits // asked for besides
		minimal string
		answer  string // has this in it
	}{
		"the nearer to its limit costs half a percent less": {[]measure.Result{at(1, 1014, slow), at(0.5, 1536, quick)}, nil, "0.5 CPU / 1536M", "; 1 CPU / 1014M costs 0.5 % less, but is nearer to its limit."},
		"the larger margin costs less anyway":               {[]measure.Result{at(1, 1014, quick), at(0.5, 1536, slow)}, nil, "1 CPU / 1014M", "p99 <= 1s and errors <= 1%."},
		"as near as each other":                             {[]measure.Result{at(1, 1014, slow), at(0.5, 1536, slow)}, nil, "1 CPU / 1014M", "p99 <= 1s and errors <= 1%."},
		"a margin doesn't buy three percent":                {[]measure.Result{at(1, 960, slow), at(0.5, 1536, quick)}, nil, "1 CPU / 960M", "p99 <= 1s and errors <= 1%."},
		"what contains it is never less":                    {[]measure.Result{at(1, 1014, slow), at(1, 1024, quick)}, nil, "1 CPU / 1014M", "p99 <= 1s and errors <= 1%."},
		"the cheaper must fail":                             {[]measure.Result{at(1, 1014, slow), at(0.5, 1536, quick), at(0.5, 1024, fails)}, nil, "0.5 CPU / 1536M", "is the least of 3 measured"},
		"a cheaper one isn't known":                         {[]measure.Result{at(1, 1014, slow), at(0.5, 1536, quick)}, []experiment.Limits{{CPU: 5e8, Memory: experiment.GiB}}, "", "1 CPU / 1014M carries 1,000 users"},
		"one between them needn't be":                       {[]measure.Result{at(1, 1014, slow), at(0.5, 1536, quick)}, []experiment.Limits{{CPU: 2e8, Memory: 1840 * experiment.MiB}}, "0.5 CPU / 1536M", "costs 0.5 % less"},
	} {
		t.Run(name, func(t *testing.T) {
			e := question()
			e.Price = experiment.Price{CPUHour: 0.02, GiBHour: 0.02} // 1 CPU / 1 GiB costs what 0.5 CPU / 1.5 GiB does
			e.Matrix.List = c.more
			s := analysis.Analyse(e, measure.Host{}, c.results)
			got := ""
			if s.Minimal != nil {
				got = s.Minimal.Limits.String()
			}
			if got != c.minimal || !strings.Contains(s.Answer, c.answer) {
				t.Errorf("minimal %q, want %q: %s", got, c.minimal, s.Answer)
			}
		})
	}
}

func TestPricePerMillion(t *testing.T) {
	c := analysis.Cell{PriceHour: 0.0831}
	if got := c.PricePerMillion(); got != 0 {
		t.Errorf("of a cell that carried nobody: %v", got)
	}
	c.LastPass = &analysis.Level{Throughput: 9702}
	if got := c.PricePerMillion(); math.Abs(got-0.002379) > 1e-6 { // 0.0831 / (3600 * 9702) * 1e6
		t.Errorf("got %v", got)
	}
}
