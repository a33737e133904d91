package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func possible(experiment.Limits) string { return "" }

// squares returns an experiment and what was seen of it, drawn as rows of
// memory, the most on top, and columns of CPUs: p passed, f failed, u told
// nothing, a dot wasn't measured.
func squares(rows ...string) (*experiment.Experiment, []analysis.Verdict) {
	e := question()
	e.Matrix = experiment.Matrix{}
	e.Price = experiment.Price{CPUHour: 1, GiBHour: 1}
	outcomes := map[rune]analysis.Outcome{'p': analysis.Passed, 'f': analysis.Breached, 'u': analysis.GeneratorLimited}
	var verdicts []analysis.Verdict
	for j, row := range rows {
		for i, c := range row {
			l := experiment.Limits{CPU: experiment.CPUs(i+1) * 1e9, Memory: experiment.Bytes(len(rows)-j) * experiment.GiB}
			e.Matrix.List = append(e.Matrix.List, l)
			if o := outcomes[c]; o != "" {
				verdicts = append(verdicts, start(l, 1, o, 1000))
			}
		}
	}
	return e, verdicts
}

// start is a start that ended with users.
func start(l experiment.Limits, replicate int, o analysis.Outcome, users int) analysis.Verdict {
	v := analysis.Verdict{Trial: experiment.Trial{Limits: l, Replicate: replicate}, Outcome: o, PeakMemory: experiment.Bytes(users)}
	if o != analysis.NotReady {
		v.LastPass = &analysis.Level{Users: users}
	}
	if o.Failed() {
		v.Breach, v.Cause = &analysis.Breach{Objective: "p99"}, &analysis.Cause{Label: analysis.CauseUnknown}
		if o != analysis.NotReady {
			v.FirstFail = &analysis.Level{Users: users + 100}
		}
	}
	return v
}

// TestWhatFollows draws what follows as capitals: P passes, F fails.
func TestWhatFollows(t *testing.T) {
	for _, c := range []struct {
		name      string
		seen      []string
		follows   []string
		inversion string
	}{
		{"nothing was run", []string{"..", ".."}, []string{"..", ".."}, ""},
		{"within a failed cell", []string{"..", ".f", ".."}, []string{"..", "Ff", "FF"}, ""},
		{"around one that passed", []string{"...", ".p.", "..."}, []string{".PP", ".pP", "..."}, ""},
		{"one that told nothing", []string{"uu", "fp"}, []string{"uP", "fp"}, ""},
		{"an inversion along a row", []string{"...", ".p.f", "..."}, []string{"...", ".p.f", "..."}, "4 CPU / 2G failed, though it grants all that 2 CPU / 2G grants"},
		{"beside a row with one", []string{"....", "pf..", "..f."}, []string{"....", "pf..", "FFf."}, "2 CPU / 2G failed, though it grants all that 1 CPU / 2G grants"},
		{"an inversion along both axes", []string{"..f", ".p.", "..."}, []string{"..f", ".p.", "..."}, "3 CPU / 3G failed, though it grants all that 2 CPU / 2G grants"},
		{"far from one", []string{".f..", ".p..", "...f", "...."}, []string{".f..", ".p..", "F.Ff", "F.FF"}, "2 CPU / 4G failed, though it grants all that 2 CPU / 3G grants"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, verdicts := squares(c.seen...)
			s := analysis.Conclude(e, verdicts, possible)
			if got := sketched(s.Cells, len(c.seen)); !slices.Equal(got, c.follows) {
				t.Errorf("from %q follows %q, want %q", c.seen, got, c.follows)
			}
			if got := strings.Join(s.Warnings, "; "); !strings.HasPrefix(got, c.inversion) || (got == "") != (c.inversion == "") {
				t.Errorf("warns %q", got)
			}
		})
	}
}

func sketched(cells []analysis.Cell, height int) []string {
	rows := make([]string, height)
	for _, c := range cells {
		letter := map[analysis.Outcome]string{analysis.Passed: "p", analysis.Breached: "f", analysis.GeneratorLimited: "u", analysis.NotMeasured: "."}[c.Outcome]
		switch c.Inferred {
		case analysis.InferredPassed:
			letter = "P"
		case analysis.InferredFailed:
			letter = "F"
		}
		rows[height-int(c.Trial.Limits.Memory/experiment.GiB)] += letter
	}
	return rows
}

func TestNothingFollowsForCellsThatTheHostCannotRun(t *testing.T) {
	e, verdicts := squares("..", "p.")
	s := analysis.Conclude(e, verdicts, func(l experiment.Limits) string {
		return analysis.Impossible(l, measure.Host{CPUs: 1})
	})
	if got := sketched(s.Cells, 2); !slices.Equal(got, []string{"P.", "p."}) {
		t.Errorf("follows %q", got)
	}
}

func TestAnswersThatRestOnWhatFollows(t *testing.T) {
	const load = " 1,000 users with p99 <= 1s and errors <= 1%"
	for _, c := range []struct {
		seen    []string
		answer  string
		minimal string
	}{
		{[]string{"...", "..f"}, "Which configuration carries" + load + " isn't known: 1 CPU / 2G (not measured yet), 2 CPU / 2G (not measured yet), 3 CPU / 2G (not measured yet).", ""},
		{[]string{"..f", "..."}, "None of 6 configurations carries" + load + "; the most was 1,000 on 3 CPU / 2G; 1 was measured, and the others grant no more than one that failed.", ""},
		{[]string{"fp.", ".fp"}, "2 CPU / 2G is the least of 6 configurations that carries" + load + "; 4 were measured, and the cheaper ones that weren't grant no more than one that failed.", "2 CPU / 2G"},
		{[]string{"fp.", "ffp"}, "2 CPU / 2G is the least of 5 measured configurations that carries" + load + ".", "2 CPU / 2G"},
		{[]string{".p.", ".fp"}, "2 CPU / 2G carries" + load + ", but whether it is the least isn't known: 1 CPU / 2G (not measured yet).", ""},
		{[]string{"fp.", ".uf"}, "2 CPU / 2G is the least of 6 configurations that carries" + load + "; 4 were measured, and the cheaper ones that weren't grant no more than one that failed.", "2 CPU / 2G"},
		{[]string{"ff", "p."}, "1 CPU / 1G is the least of 3 measured configurations that carries" + load + ".", "1 CPU / 1G"},
	} {
		e, verdicts := squares(c.seen...)
		s := analysis.Conclude(e, verdicts, possible)
		got := ""
		if s.Minimal != nil {
			got = s.Minimal.Limits.String()
		}
		if s.Answer != c.answer || got != c.minimal {
			t.Errorf("%q: minimal %q, %s\nwant %q, %s", c.seen, got, s.Answer, c.minimal, c.answer)
		}
	}
}

func TestOnlyWhatIsKnownToBeLeastIsOnTheFrontier(t *testing.T) {
	for _, c := range []struct{ seen, want []string }{
		{[]string{"pp", "fp"}, []string{"1 CPU / 2G", "2 CPU / 1G"}},
		{[]string{"p.", "fp"}, []string{"1 CPU / 2G", "2 CPU / 1G"}},
		{[]string{"p.", ".p"}, nil},
		{[]string{"fp", ".f"}, []string{"2 CPU / 2G"}},
		{[]string{".p", ".f"}, nil},
	} {
		e, verdicts := squares(c.seen...)
		var got []string
		for _, l := range analysis.Conclude(e, verdicts, possible).Frontier {
			got = append(got, l.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.seen, got, c.want)
		}
	}
}

func TestStartsDecideTogether(t *testing.T) {
	pass, fail, oom, dead, mute := analysis.Passed, analysis.Breached, analysis.OOMKilled, analysis.NotReady, analysis.HostLimited
	for _, c := range []struct {
		outcomes    []analysis.Outcome
		users       []int
		want        analysis.Outcome
		last, first int // users; -1: none
		replicate   int // the start that speaks for all
		warning     string
	}{
		{[]analysis.Outcome{pass}, []int{1000}, pass, 1000, -1, 1, ""},
		{[]analysis.Outcome{pass, pass}, []int{1001, 1000}, pass, 1000, -1, 2, ""},
		{[]analysis.Outcome{fail, oom, fail}, []int{500, 300, 400}, oom, 300, 400, 2, ""},
		{[]analysis.Outcome{fail, dead, fail}, []int{500, 0, 400}, dead, -1, -1, 2, ""},
		{[]analysis.Outcome{pass, fail, pass}, []int{1000, 500, 1001}, pass, 1000, -1, 1, "of 3 starts 2 passed, 1 failed"},
		{[]analysis.Outcome{fail, pass, fail}, []int{600, 1000, 500}, fail, 500, 600, 3, "of 3 starts 1 passed, 2 failed"},
		{[]analysis.Outcome{pass, fail}, []int{1000, 500}, analysis.Inconclusive, 500, 600, 2, "of 2 starts 1 passed, 1 failed"},
		{[]analysis.Outcome{mute, pass}, []int{700, 1000}, pass, 1000, -1, 2, "of 2 starts 1 passed, 1 told nothing"},
		{[]analysis.Outcome{mute, mute}, []int{700, 600}, mute, 600, -1, 2, "of 2 starts 2 told nothing"},
	} {
		e := question()
		e.Matrix = experiment.Matrix{List: []experiment.Limits{small}}
		var verdicts []analysis.Verdict
		most := experiment.Bytes(0)
		for i, o := range c.outcomes {
			verdicts = append(verdicts, start(small, i+1, o, c.users[i]))
			most = max(most, experiment.Bytes(c.users[i]))
		}
		slices.Reverse(verdicts) // their order doesn't matter
		cell := analysis.Conclude(e, verdicts, possible).Cells[0]
		got := fmt.Sprint(cell.Outcome, users(cell.LastPass), users(cell.FirstFail), cell.Trial.Replicate, strings.Join(cell.Warnings, "; "))
		if want := fmt.Sprint(c.want, c.last, c.first, c.replicate, c.warning); got != want {
			t.Errorf("%v at %v:\ngot  %s\nwant %s", c.outcomes, c.users, got, want)
		}
		if cell.Trials != len(c.outcomes) || cell.Starts[0].Trial.Replicate != 1 || cell.PeakMemory > most {
			t.Errorf("%v: %d trials, %+v", c.outcomes, cell.Trials, cell.Starts)
		}
	}
}

func users(l *analysis.Level) int {
	if l == nil {
		return -1
	}
	return l.Users
}

func TestAnAnswerSaysHowManyStartsBearItOut(t *testing.T) {
	e := question()
	e.Matrix = experiment.Matrix{List: []experiment.Limits{small}}
	s := analysis.Conclude(e, []analysis.Verdict{start(small, 1, analysis.Passed, 1000), start(small, 2, analysis.Breached, 500), start(small, 3, analysis.Passed, 1000)}, possible)
	if want := "1 CPU / 200M, the only configuration measured, carries 1,000 users with p99 <= 1s and errors <= 1%, in 2 of 3 starts."; s.Answer != want {
		t.Errorf("got  %s\nwant %s", s.Answer, want)
	}
}
