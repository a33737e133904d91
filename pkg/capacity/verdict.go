package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Verdict is what a night says of the contract.
type Verdict struct {
	Outcome  Outcome
	Reason   Reason
	Sentence string
	Next     string // what to do, where there is something

	Metrics     []Comparison
	Power       []Seen             // of each metric what change would have been seen; see [Power]
	Improvement string             // what may do now, or what is better
	Cause       *analysis.Cause    // of starts that failed
	Breach      *analysis.Breach   // likewise
	Starts      []analysis.Verdict // all trials of the night
	Minimal     experiment.Limits
	Carried     int // starts of tonight's service in the minimal cell that carried the target
	Failed      int // likewise that didn't
	Void        int // starts, also of other cells, that told nothing
}

// Refusal is the verdict on a night that was not measured, or not to be compared.
func Refusal(r Reason, sentence, next string) Verdict {
	return Verdict{Outcome: Inconclusive, Reason: r, Sentence: sentence, Next: next}
}

func (v *Verdict) count(n Night, verdicts []analysis.Verdict) {
	v.Starts, v.Minimal = verdicts, n.Baseline.Minimal
	for _, s := range verdicts {
		switch {
		case s.Trial.Hold != n.Target:
		case !s.Outcome.Known():
			v.Void++
		case s.Trial.Limits != n.Candidate:
		case s.Outcome == analysis.Passed:
			v.Carried++
		default:
			v.Failed++
		}
	}
}

// load is what must be carried: "10,000 users".
func (n Night) load() string { return analysis.Thousands(n.Target) + " " + n.Unit }

func (n Night) holds(screened []analysis.Verdict, found []Comparison, rival []analysis.Verdict) Verdict {
	v := Verdict{Outcome: Holds, Reason: Carried, Metrics: found}
	passed := 0
	for _, s := range screened {
		if s.Outcome == analysis.Passed {
			passed++
		}
	}
	beside := ""
	if _, tells := n.closer(); tells {
		beside = ", and nothing is worse beyond noise than on " + n.Baseline.Measured
	}
	v.Sentence = fmt.Sprintf("%s still carries %s, in %d of %d fresh starts%s.", n.Baseline.Minimal, n.load(), passed, len(screened), beside)
	var gains []string
	for _, c := range found {
		if c.Word() == "better" {
			gains = append(gains, fmt.Sprintf("%s is %s", c.Metric.Word, change(c.Metric, c.Shift.Estimate)))
		}
	}
	if len(rival) > 0 && rival[0].Outcome == analysis.Passed {
		gains = append(gains, fmt.Sprintf("%s would do now: it held %s in a fresh start", n.Rival, analysis.Thousands(n.Target)))
		v.Next = "sweep check --update makes that the contract, once it is measured"
	}
	v.Improvement = strings.Join(gains, "; ")
	return v
}

// untold says why too few starts told anything.
func (n Night) untold(s starts) Verdict {
	counts := map[analysis.Outcome]int{}
	for _, v := range s.void {
		counts[v.Outcome]++
	}
	var parts []string
	for _, w := range []struct {
		is   analysis.Outcome
		word string
	}{
		{analysis.GeneratorLimited, "the generator was the limit"},
		{analysis.HostLimited, "the host was the limit"},
		{analysis.Inconclusive, "its seconds bore out no answer"},
	} {
		if counts[w.is] > 0 {
			parts = append(parts, fmt.Sprintf("in %d %s", counts[w.is], w.word))
		}
	}
	v := Refusal(Unmeasured, fmt.Sprintf("Whether %s still carries %s can't be told tonight: %d starts told nothing, %s.",
		n.Baseline.Minimal, n.load(), len(s.void), strings.Join(parts, ", ")),
		"run it when the machine is at rest; sweep doctor says what is in the way")
	for _, void := range s.void {
		if void.Cause != nil {
			v.Cause = void.Cause
		}
	}
	return v
}

func (n Night) notReproduced(what string) Verdict {
	return Refusal(NotReproduced, fmt.Sprintf("Not reproduced on %s: %s.", n.Baseline.Minimal, what),
		"nothing is proved against the service; where it comes again, look at the host")
}

// ofFailures takes over what failed starts say.
func (v Verdict) ofFailures(failed []analysis.Verdict) Verdict {
	for _, f := range failed {
		if f.Outcome.Failed() {
			v.Breach = cmp.Or(v.Breach, f.Breach)
			if v.Cause == nil || v.Cause.Label == analysis.CauseUnknown {
				v.Cause = cmp.Or(f.Cause, v.Cause)
			}
		}
	}
	return v
}

// told says how often starts failed, and how: "3 of 3 fresh starts failed (crashed)".
func told(verdicts []analysis.Verdict) string {
	var failed []analysis.Verdict
	for _, v := range verdicts {
		if v.Outcome.Failed() {
			failed = append(failed, v)
		}
	}
	f := Verdict{}.ofFailures(failed)
	why := strings.ReplaceAll(string(failed[0].Outcome), "_", " ")
	if f.Breach != nil && failed[0].Outcome == analysis.Breached {
		why = strings.TrimSpace(fmt.Sprintf("%s %s", f.Breach.Objective, f.Breach.Observed))
	}
	if at := failed[0].FirstFail; at != nil {
		why += " at " + analysis.Thousands(at.Users)
	}
	if f.Cause != nil && f.Cause.Label != analysis.CauseUnknown && string(f.Cause.Label) != string(failed[0].Outcome) {
		why += ", " + strings.ReplaceAll(string(f.Cause.Label), "_", " ")
	}
	return fmt.Sprintf("%d of %d fresh starts failed (%s)", len(failed), len(verdicts), why)
}

func (n Night) notCarried(failed, reference []analysis.Verdict) Verdict {
	beside := fmt.Sprintf("; the baseline's image carried them in %d of %d the same night", len(reference), len(reference))
	if len(reference) == 0 {
		beside = "; the baseline's image isn't on this engine any more, to try beside it"
	}
	v := Verdict{Outcome: Regressed, Reason: NotCarried, Sentence: fmt.Sprintf("%s no longer carries %s: %s%s.",
		n.Baseline.Minimal, n.load(), told(failed), beside)}
	return v.ofFailures(failed)
}

func (n Night) sameFails(failed []analysis.Verdict) Verdict {
	return Refusal(SameImage, fmt.Sprintf("%s doesn't carry %s tonight (%s), but the image is the one that did on %s: the host, or what the service depends on, has changed.",
		n.Baseline.Minimal, n.load(), told(failed), n.Baseline.Measured),
		"look at the host, the service's data and what it calls; sweep check --update agrees to what it carries now").ofFailures(failed)
}

func (n Night) baselineFails(failed, reference []analysis.Verdict) Verdict {
	return Refusal(BaselineFails, fmt.Sprintf("%s doesn't carry %s tonight (%s), but neither does the baseline's image (%s): it isn't what changed in the service.",
		n.Baseline.Minimal, n.load(), told(failed), told(reference)),
		"look at the host and at what the service depends on").ofFailures(failed)
}

func (n Night) slowerHost() Verdict {
	return Refusal(SlowerHost, fmt.Sprintf("The host is slower than it was on %s: the generator alone makes %s requests/s, not %s; what is measured of the service can't be compared, and the baseline's image isn't here to try beside it.",
		n.Baseline.Measured, analysis.Thousands(int(n.Ceiling)), analysis.Thousands(int(n.Baseline.Ceiling))),
		"keep the baseline's image on the engine, or run it when the machine is at rest")
}

// worse tells what is worse in most: "p99 is 21 % more".
func worse(found []Comparison) string {
	var parts []string
	for _, c := range found {
		if c.suspected() {
			parts = append(parts, fmt.Sprintf("%s is %s", c.Metric.Word, change(c.Metric, c.Shift.Estimate)))
		}
	}
	return strings.Join(parts, ", ")
}

func (n Night) sameShifted(found []Comparison) Verdict {
	v := Refusal(SameImage, fmt.Sprintf("The same image measured differently: %s than on %s. The host, or what the service depends on, has changed.",
		worse(found), n.Baseline.Measured),
		"look at the host, the service's data and what it calls; sweep check --update agrees to what it is now")
	v.Metrics = found
	return v
}

func (n Night) shifted(found []Comparison) Verdict {
	v := Verdict{Outcome: Regressed, Reason: Shifted, Metrics: found}
	var parts []string
	for _, c := range found {
		switch {
		case c.Paired != nil && c.Paired.Proven:
			low, high := between(c.Metric, c.Paired.Shift)
			parts = append(parts, fmt.Sprintf("%s is %s (%s to %s) than with the baseline's image, in %d pairs of fresh starts the same night",
				c.Metric.Word, change(c.Metric, c.Paired.Shift.Estimate), low, high, c.Paired.N))
		case c.Again != nil && c.Again.P < suspicious && c.Again.Shift.Estimate >= c.Again.Floor:
			low, high := between(c.Metric, c.Again.Shift)
			parts = append(parts, fmt.Sprintf("%s is %s (%s to %s) than on %s, in %d more fresh starts too",
				c.Metric.Word, change(c.Metric, c.Again.Shift.Estimate), low, high, n.Baseline.Measured, persists))
		}
	}
	v.Sentence = fmt.Sprintf("%s carries %s, but %s.", n.Baseline.Minimal, n.load(), strings.Join(parts, "; "))
	v.Next = "mend the service, or agree to it with sweep check --update"
	return v
}

// change puts a loss into words: "21 % more".
func change(m Metric, loss float64) string {
	share := m.Share(loss)
	word := "more"
	if share < 0 {
		word = "less"
	}
	if math.IsInf(share, 0) || math.IsNaN(share) {
		return "beyond measure"
	}
	return fmt.Sprintf("%.0f %% %s", 100*math.Abs(share), word)
}

// between returns the ends of a shift's interval as shares of the metric, the
// lower first.
func between(m Metric, s Shift) (low, high string) {
	ends := []float64{m.Share(s.Low), m.Share(s.High)}
	slices.Sort(ends)
	return Signed(ends[0]), Signed(ends[1])
}

// Signed writes a share as people read a change: "+21 %".
func Signed(share float64) string {
	if math.IsInf(share, 0) || math.IsNaN(share) {
		return "beyond measure"
	}
	percent := math.Round(100 * share)
	if percent == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%+.0f %%", percent)
}
