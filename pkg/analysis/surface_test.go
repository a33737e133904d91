package analysis_test

import (
	"slices"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Each trial's outcome is made by real windows, not set by hand.
func trial(l experiment.Limits, o analysis.Outcome) measure.Result {
	r := result(ramp(), measure.Exit{})
	r.Trial.Limits = l
	switch o {
	case analysis.OOMKilled:
		r.Series.Windows = r.Series.Windows[:5]
		r.Exit = measure.Exit{Died: true, OOMKilled: true, Code: 137, At: r.Loaded.Add(4500e6)}
	case analysis.GeneratorLimited:
		for i := range r.Series.Windows {
			if i > 5 {
				r.Series.Windows[i].Errors = map[measure.Class]uint64{measure.Own: 1}
			}
		}
	case analysis.NotReady:
		r = measure.Result{Trial: r.Trial, NotReady: "refused"}
	}
	return r
}

func TestAnswer(t *testing.T) {
	host := measure.Host{CPUs: 2, Memory: 8 * experiment.GiB}
	huge := experiment.Limits{CPU: 4e9, Memory: 500 * experiment.MiB}
	for _, c := range []struct {
		name    string
		cells   []experiment.Limits
		results []measure.Result
		minimal *experiment.Limits
		answer  string
	}{
		{
			"the reference",
			[]experiment.Limits{small, medium, large},
			[]measure.Result{trial(small, analysis.OOMKilled), trial(medium, analysis.OOMKilled), trial(large, analysis.Passed)},
			&large, "2 CPU / 500M is the least of 3 measured configurations that carries 1,000 users with p99 <= 1s and errors <= 1%.",
		},
		{
			"all pass",
			[]experiment.Limits{small, medium, large},
			[]measure.Result{trial(small, analysis.Passed), trial(medium, analysis.Passed), trial(large, analysis.Passed)},
			&small, "1 CPU / 200M is the least of 3 measured configurations that carries 1,000 users with p99 <= 1s and errors <= 1%.",
		},
		{
			"none passes",
			[]experiment.Limits{small, medium},
			[]measure.Result{trial(small, analysis.NotReady), trial(medium, analysis.OOMKilled)},
			nil, "None of the 2 measured configurations carries 1,000 users with p99 <= 1s and errors <= 1%; the most was 400 on 2 CPU / 200M.",
		},
		{
			"a cheaper one isn't known",
			[]experiment.Limits{small, large},
			[]measure.Result{trial(small, analysis.GeneratorLimited), trial(large, analysis.Passed)},
			nil, "2 CPU / 500M carries 1,000 users with p99 <= 1s and errors <= 1%, but whether it is the least isn't known: 1 CPU / 200M (the generator was the limit).",
		},
		{
			"a cheaper one isn't known, but a bigger one failed",
			[]experiment.Limits{small, medium, large},
			[]measure.Result{trial(small, analysis.GeneratorLimited), trial(medium, analysis.OOMKilled), trial(large, analysis.Passed)},
			&large, "2 CPU / 500M is the least of 3 measured configurations that carries 1,000 users with p99 <= 1s and errors <= 1%.",
		},
		{
			"one alone",
			[]experiment.Limits{small},
			[]measure.Result{trial(small, analysis.Passed)},
			&small, "1 CPU / 200M, the only configuration measured, carries 1,000 users with p99 <= 1s and errors <= 1%.",
		},
		{
			"nothing that the host can't run is claimed",
			[]experiment.Limits{small, huge},
			[]measure.Result{trial(small, analysis.OOMKilled)},
			nil, "Which configuration carries 1,000 users with p99 <= 1s and errors <= 1% isn't known: 4 CPU / 500M (the host has only 2 CPUs).",
		},
		{
			"not there yet",
			[]experiment.Limits{small, large},
			[]measure.Result{trial(large, analysis.Passed)},
			nil, "2 CPU / 500M carries 1,000 users with p99 <= 1s and errors <= 1%, but whether it is the least isn't known: 1 CPU / 200M (not measured yet).",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := question()
			e.Matrix.List = c.cells
			s := analysis.Analyse(e, host, c.results)
			if s.Answer != c.answer {
				t.Errorf("got  %s\nwant %s", s.Answer, c.answer)
			}
			if (s.Minimal == nil) != (c.minimal == nil) || s.Minimal != nil && s.Minimal.Limits != *c.minimal {
				t.Errorf("minimal %+v, want %v", s.Minimal, c.minimal)
			}
			if len(s.Cells) != len(c.cells) {
				t.Errorf("%d cells of %d", len(s.Cells), len(c.cells))
			}
		})
	}
}

func TestFrontierIsTheLeastOfThosePassed(t *testing.T) {
	e := question()
	wide := experiment.Limits{CPU: 5e8, Memory: experiment.GiB}
	e.Matrix.List = []experiment.Limits{small, medium, large, wide}
	s := analysis.Analyse(e, measure.Host{}, []measure.Result{
		trial(small, analysis.OOMKilled), trial(medium, analysis.Passed), trial(large, analysis.Passed), trial(wide, analysis.Passed),
	})
	if len(s.Frontier) != 2 || s.Frontier[0] != wide || s.Frontier[1] != medium {
		t.Errorf("got %v", s.Frontier)
	}
}

func TestWarningsOfTheHostReachTheReader(t *testing.T) {
	host := measure.Host{Warnings: []string{"it doesn't tell of kills"}}
	s := analysis.Analyse(question(), host, nil)
	again := analysis.Again(question(), question().Objective, host, nil)
	if !slices.Equal(s.Warnings, host.Warnings) || !slices.Equal(again.Warnings, host.Warnings) {
		t.Errorf("%q, judged again %q", s.Warnings, again.Warnings)
	}
}

func TestAnswerOfOpenLoad(t *testing.T) {
	rate := experiment.Rate(1000)
	e := question()
	e.Users.Rate, e.Users.Wait = &rate, experiment.Wait{}
	e.Matrix.List = []experiment.Limits{small}
	s := analysis.Analyse(e, measure.Host{}, []measure.Result{trial(small, analysis.Passed)})
	if want := "1 CPU / 200M, the only configuration measured, carries 1,000 requests/s with p99 <= 1s and errors <= 1%."; s.Answer != want {
		t.Errorf("got  %s\nwant %s", s.Answer, want)
	}
}
