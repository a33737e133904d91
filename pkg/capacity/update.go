package capacity

import (
	"fmt"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

const (
	// Wanted is how many fresh starts a baseline is made of. With twelve, three
	// starts of a night can be worse by chance in one of 455: few enough for four
	// metrics together to be held against 1 %.
	Wanted = 12

	mostStarts  = 30 // of a baseline that grows with the nights that held
	mostFailing = 1  // of Wanted: a configuration that fails more often would give false alarms
	mostUntold  = 3  // of Wanted
)

// Collect returns the next start of the minimal configuration that its baseline
// is made of, and how many there are from here on; or false where there are
// enough, or it is of no use to go on.
func Collect(minimal experiment.Limits, target, wanted int, verdicts []analysis.Verdict) (t experiment.Trial, left int, more bool) {
	held := atTarget(minimal, target, verdicts)
	passed, failed, void := tally(held)
	if passed >= wanted || failed > mostFailing || void > mostUntold {
		return experiment.Trial{}, 0, false
	}
	t = experiment.Trial{Limits: minimal, Hold: target, Replicate: 1}
	for _, v := range held {
		t.Replicate = max(t.Replicate, v.Trial.Replicate+1)
	}
	return t, wanted - passed, true
}

func atTarget(minimal experiment.Limits, target int, verdicts []analysis.Verdict) []analysis.Verdict {
	return slices.DeleteFunc(slices.Clone(verdicts), func(v analysis.Verdict) bool {
		return v.Trial.Limits != minimal || v.Trial.Hold != target
	})
}

func tally(verdicts []analysis.Verdict) (passed, failed, void int) {
	for _, v := range verdicts {
		switch {
		case v.Outcome == analysis.Passed:
			passed++
		case v.Outcome.Failed():
			failed++
		default:
			void++
		}
	}
	return passed, failed, void
}

// Agree returns what a run found as a baseline, but for the host and what the
// service was made from; and the verdict, which is Holds where it can be one.
func Agree(e *experiment.Experiment, s analysis.Surface, verdicts []analysis.Verdict, wanted int) (Baseline, Verdict) {
	v := Verdict{Starts: verdicts}
	if s.Minimal == nil {
		unknown := slices.ContainsFunc(s.Cells, func(c analysis.Cell) bool { return !c.Outcome.Failed() && c.Inferred != analysis.InferredFailed })
		v.Outcome, v.Reason, v.Sentence = Regressed, NothingViable, s.Answer
		if unknown {
			v.Outcome, v.Reason = Inconclusive, Unmeasured
		}
		return Baseline{}, v
	}
	l := s.Minimal.Limits
	v.Minimal = l
	held := atTarget(l, e.Users.Target, verdicts)
	v.Carried, v.Failed, v.Void = tally(held)
	load := analysis.Thousands(e.Users.Target) + " " + e.Users.Unit()
	switch {
	case v.Failed > mostFailing:
		v.Outcome, v.Reason, v.Next = Inconclusive, Unsteady, "ask for fewer users, or exclude that cell, so that the minimal configuration has room"
		v.Sentence = fmt.Sprintf("%s carries %s, but failed in %d of %d fresh starts: as a baseline it would give false alarms.", l, load, v.Failed, len(held))
	case v.Carried < wanted:
		v.Outcome, v.Reason, v.Next = Inconclusive, Unmeasured, "run it when the machine is at rest; sweep doctor says what is in the way"
		v.Sentence = fmt.Sprintf("%s carries %s, but %d of %d fresh starts told nothing: nothing is agreed to.", l, load, v.Void, len(held))
	default:
		v.Outcome, v.Reason = Holds, Updated
		v.Sentence = fmt.Sprintf("%s carries %s, in %d of %d fresh starts; that is the contract now.", l, load, v.Carried, len(held))
	}
	b := Baseline{Minimal: l}
	for _, held := range held {
		if held.Outcome == analysis.Passed {
			b.Starts = append(b.Starts, StartOf(held).rounded())
		}
	}
	for _, c := range s.Cells {
		if c.Measured {
			b.Cells = append(b.Cells, Cell{c.Trial.Limits, c.Outcome, users(c.LastPass), users(c.FirstFail), c.Proved})
		}
	}
	return b, v
}

func users(l *analysis.Level) int {
	if l == nil {
		return 0
	}
	return l.Users
}

// rounded returns a start as the file keeps it.
func (s Start) rounded() Start {
	return Start{rounded(s.Throughput), rounded(s.P99), rounded(s.CPU), rounded(s.Memory), rounded(s.Errors)}
}

// Grown returns a baseline with the starts of others of the same service and
// host, the newest last, each once: those of the baseline that it replaces and
// of nights that held. So it learns how nights differ, not only starts.
func (b Baseline) Grown(others ...[]Start) Baseline {
	own := b.Starts
	b.Starts = nil
	for _, list := range append(others, own) {
		for _, s := range list {
			if s = s.rounded(); !slices.Contains(b.Starts, s) {
				b.Starts = append(b.Starts, s)
			}
		}
	}
	b.Starts = b.Starts[max(0, len(b.Starts)-mostStarts):]
	return b
}

// Replaces reports whether b is made of the same service in the same cell and on the same host as
// another, so that their starts belong together.
func (b Baseline) Replaces(o Baseline) bool {
	return b.ImageID == o.ImageID && b.Blueprint == o.Blueprint && b.Minimal == o.Minimal && b.Host.Same(o.Host)
}
