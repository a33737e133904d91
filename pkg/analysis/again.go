package analysis

import (
	"fmt"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Again judges what was measured for e by another objective, and says what the
// measurements can't carry: a load that was stopped where e's objective was
// breached tells nothing of what lies beyond.
//
//	users   target . . . . . . . . . . .
//	                          x  looser: only a lower bound
//	                        /
//	                    x  /    e's own: here the load was stopped
//	                     /
//	               x   /        stricter: on the way up, not held
//	                 /
func Again(e *experiment.Experiment, o experiment.Objective, host measure.Host, results []measure.Result) Surface {
	verdicts := make([]Verdict, len(results))
	for i, r := range results {
		verdicts[i] = JudgeAgain(e, o, r)
	}
	return ConcludeAgain(e, o, host, verdicts)
}

// JudgeAgain is [Again] of one trial.
func JudgeAgain(e *experiment.Experiment, o experiment.Objective, r measure.Result) Verdict {
	by := *e
	by.Objective = o
	return carried(&by, Judge(&by, r), Judge(e, r), r.Series)
}

// ConcludeAgain is [Again] from what [JudgeAgain] said of each trial.
func ConcludeAgain(e *experiment.Experiment, o experiment.Objective, host measure.Host, verdicts []Verdict) Surface {
	by := *e
	by.Objective = o
	s := ConcludeOn(host, &by, verdicts)
	if asked := e.Objective.String(); asked != o.String() {
		s.Warnings = append([]string{fmt.Sprintf("judged by %s, but measured for %s: that is where loads were stopped", o, asked)}, s.Warnings...)
	}
	return s
}

// carried returns what a series can carry of verdict v, given how the trial was
// judged while it ran.
func carried(e *experiment.Experiment, v, was Verdict, series measure.Series) Verdict {
	e = e.Of(v.Trial)
	ramp := e.Users.Ramp()
	short := series.At+time.Second < ramp.Length()
	switch {
	case short && (v.Outcome == Inconclusive || !v.Outcome.Failed() && was.Outcome.Failed()):
		v.Outcome, v.FirstFail, v.Breach, v.Cause = Inconclusive, nil, nil, nil
		v.Stopped = stopped(e, was, series)
		beyond := "what lies beyond"
		if last := series.Last(); last != nil && last.Users >= e.Users.Target {
			beyond = "the rest of the hold"
		}
		v.Warnings = append(v.Warnings, v.Stopped+"; "+beyond+" wasn't run")
	case v.FirstFail != nil && v.LastPass != nil && earlier(v.FirstFail, was.FirstFail) && climbing(ramp, v.LastPass.At):
		v.Warnings = append(v.Warnings, fmt.Sprintf("the bracket is the ramp's: %s %s passed on the way up, and weren't held",
			Thousands(v.LastPass.Users), e.Users.Unit()))
	}
	return v
}

// stopped says at which level a load was stopped, and why.
func stopped(e *experiment.Experiment, was Verdict, series measure.Series) string {
	at := 0
	if last := series.Last(); last != nil {
		at = last.Users
	}
	level := Thousands(at) + " " + e.Users.Unit()
	switch {
	case was.Outcome == GeneratorLimited:
		return "given up at " + level + ", where the generator was the limit"
	case was.Outcome == HostLimited:
		return "given up at " + level + ", where the host was the limit"
	case was.Breach == nil || was.FirstFail == nil:
		return "stopped at " + level
	}
	why := was.Breach.condition() + " was breached"
	if was.Breach.Limit == "" {
		why = "the service stopped answering"
	}
	if first := was.FirstFail.Users; first != at {
		return fmt.Sprintf("stopped at %s: %s from %s on", level, why, Thousands(first))
	}
	return "stopped at " + level + ", where " + why
}

// condition returns what didn't hold, as an objective is written: "p99 <= 1s".
func (b Breach) condition() string {
	if b.Objective == "goodput" {
		return b.Objective + " >= " + b.Limit
	}
	return b.Objective + " <= " + b.Limit
}

// earlier reports whether a comes before b, which may never have come.
func earlier(a, b *Level) bool { return b == nil || a.At < b.At }

// climbing reports whether a ramp was on its way to a level in the second that
// ended at t, rather than holding one.
func climbing(r experiment.Ramp, t time.Duration) bool {
	for _, s := range r {
		if t <= s.Over.Std() {
			return true
		}
		if t -= s.Over.Std(); t <= s.Hold.Std() {
			return false
		}
		t -= s.Hold.Std()
	}
	return false
}
