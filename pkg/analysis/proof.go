package analysis

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// A hold that no two bad seconds running have ended is looked at as a whole,
// once, when it is over. So many requests say with some confidence that the
// share of those that miss an objective is within what may miss it, or that it
// isn't: an exact binomial test on either side, as MLPerf's LoadGen makes it
// (mlcommons/inference, loadgen/early_stopping.cc), but without its stopping
// early. Between the two the hold is inconclusive.
//
// Requests of one second are late together, which the test doesn't know: the
// counts are divided by how much more the seconds differ than chance would have
// it (the design effect, from the variance of the seconds' counts over their
// mean; Kish, "Survey Sampling", 1965).

// Confidence that a hold has to show its outcome with.
const (
	confidence          = 0.95
	confidenceCertified = 0.99

	fewest = 0.5 // where there are too few requests for it, but none is missed
)

// required returns the confidence that a hold has to show its outcome with.
func required(s experiment.Search) float64 {
	if s.Preset == experiment.Certify {
		return confidenceCertified
	}
	return confidence
}

// sample is how many requests there were of which some may miss an objective,
// and how many did, after the design effect.
type sample struct {
	of, missed float64
	may        float64 // share that may miss it, 0 to 1
}

// newSample takes the seconds' counts together.
func newSample(of, missed []float64, may float64) sample {
	effect := 1.0
	if len(missed) > 1 {
		if mean, variance := stat.MeanVariance(missed, nil); mean > 0 {
			effect = max(1, variance/mean)
		}
	}
	s := sample{may: may}
	for i := range of {
		s.of, s.missed = s.of+of[i]/effect, s.missed+missed[i]/effect
	}
	return s
}

// within returns the confidence, 0 to 1, that no more miss the objective than
// may: how unlikely so few would be if more did.
func (s sample) within() float64 {
	if s.missed >= s.of {
		return 0
	}
	return 1 - mathext.RegIncBeta(s.of-s.missed, s.missed+1, 1-s.may) // 1 - P(X <= missed)
}

// beyond returns the confidence, 0 to 1, that more miss the objective than may.
func (s sample) beyond() float64 {
	switch {
	case s.missed <= 0:
		return 0
	case s.missed >= s.of:
		return 1 - math.Pow(s.may, s.of)
	}
	return mathext.RegIncBeta(s.of-s.missed+1, s.missed, 1-s.may) // P(X < missed)
}

// few reports whether even if none missed the objective, so many requests
// couldn't show that it holds.
func (s sample) few(want float64) bool {
	return 1-math.Pow(1-s.may, s.of) < want
}

// prove holds a hold that wasn't ended by two bad seconds running against its
// objectives as a whole. Goodput, and objectives that nothing may miss, are no
// matter of chance.
func (s *scanned) prove(e *experiment.Experiment, v *Verdict) {
	of, missed := map[string][]float64{}, map[string][]float64{}
	var whole []int
	for i, sp := range s.spans {
		if s.marks[i] != good && s.marks[i] != bad {
			continue
		}
		whole = append(whole, i)
		for _, c := range sp.checks(e, s.now) {
			of[c.Objective] = append(of[c.Objective], float64(c.of))
			missed[c.Objective] = append(missed[c.Objective], c.missed*float64(c.of))
		}
	}
	all := s.pooled(whole)
	for _, c := range all.checks(e, s.now) {
		if c.of == 0 || c.may == 0 {
			if c.broken {
				v.doubt(fmt.Sprintf("%s was %s over all, limit %s, though no two seconds running missed it", c.Objective, c.Observed, c.Limit))
			}
			continue
		}
		seen, want := newSample(of[c.Objective], missed[c.Objective], c.may), required(e.Search)
		if v.Confidence == 0 || seen.within() < v.Confidence {
			v.Confidence = seen.within()
		}
		switch {
		case seen.within() >= want:
		case seen.beyond() >= want:
			v.Outcome, v.Breach, v.FirstFail, v.Confidence = Breached, &c.Breach, all.level(e, s.now, s.quickest), seen.beyond()
			s.bad, s.proof = whole[0], whole[len(whole)-1]
			return
		case seen.few(want) && c.missed == 0 && seen.within() >= fewest:
			v.Warnings = append(v.Warnings, fmt.Sprintf("%s requests show %s with %s confidence only; a longer hold would show more",
				Thousands(int(c.of)), c.Objective, percent(seen.within())))
		case seen.few(want) && c.missed == 0:
			v.doubt(fmt.Sprintf("%s requests are too few to show %s; hold it longer", Thousands(int(c.of)), c.Objective))
		default:
			v.doubt(fmt.Sprintf("%s of %s requests missed %s, of which %s may: too near to tell",
				percent(c.missed), Thousands(int(c.of)), c.Objective, percent(c.may)))
		}
	}
}

// doubt makes a verdict inconclusive, and says why.
func (v *Verdict) doubt(why string) {
	v.Outcome = Inconclusive
	v.Warnings = append(v.Warnings, why)
}

// pooled returns some of the spans as one.
func (s scanned) pooled(which []int) span {
	all := s.spans[which[0]]
	all.windows = nil
	for _, i := range which {
		all.windows = append(all.windows, s.spans[i].windows...)
	}
	requests := s.spans[which[len(which)-1]].requests
	all = pool(all.windows)
	all.requests = requests
	return all
}

// thin tells of quantiles that the windows behind a verdict have too few
// requests to show: the 99.9th percentile of a hundred is their slowest.
func thin(e *experiment.Experiment, v Verdict, windows []measure.Window) []string {
	n := weighed(e, v, windows)
	if n == 0 {
		return nil
	}
	var out []string
	for _, q := range e.Objective.Quantiles() {
		if decisive := v.Breach == nil || v.Breach.Objective == q.Name; decisive && tolerated(1-q.Q, n) == 0 {
			takes := Thousands(int(1/(1-q.Q) + 0.5))
			out = append(out, fmt.Sprintf("%s is judged by %s requests, of which one late answer is too many; it takes %s to show it", q.Name, Thousands(int(n)), takes))
		}
	}
	return out
}

// weighed returns how many requests a verdict rests on: those of the span that
// failed first, of all spans at the target where it passed, else none. What a
// hold shows as a whole, [scanned.prove] says.
func weighed(e *experiment.Experiment, v Verdict, windows []measure.Window) (n uint64) {
	if v.Trial.Hold > 0 {
		return 0
	}
	for _, s := range spans(windows, 0, true) {
		switch {
		case v.Outcome == Breached && v.FirstFail != nil && v.FirstFail.At == s.end():
			return s.all.Sent
		case v.Outcome == Passed && s.all.Users >= e.Users.Target:
			n += s.all.Sent
		}
	}
	return n
}
