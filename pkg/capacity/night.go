package capacity

import (
	"cmp"
	"math"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// How a night goes. Every trial is a fresh start that holds the target.
//
//	tonight's service, until three starts carried the target, or most failed
//	      |                                     |
//	carried: three starts beside           failed: the baseline's image beside it:
//	the baseline's                         the old one carries the target, the new
//	      |                                one fails again - regressed
//	one looks worse: two more
//	      |
//	worse beyond noise: suspected
//	      |
//	six pairs of fresh starts, the baseline's image and tonight's, in turns:
//	worse in all of them - regressed
//
// Red takes a control: the baseline's image under the same load in the same
// night. Where tonight's image is the baseline's own, nothing of the service
// can have regressed, whatever is measured. Where the baseline's is gone, more
// starts of tonight's must agree, and the generator must find the host as fast
// as it was.

const (
	firstLook  = 3 // starts that carried the target, where nothing looks worse
	closerLook = 5 // the same, where something does
	longest    = 8 // the most for which a small baseline makes a closer look last
	mostVoid   = 2 // starts that told nothing and are made again
	failures   = 2 // starts that have to fail before the target counts as not carried
	pairs      = 6 // of fresh starts, in turns
	morePairs  = 8 // where six leave it open
	persists   = 6 // starts that have to agree where there is no image to compare with

	suspicious = 0.01     // chance under which a metric is suspected, of all metrics together
	proven     = 1.0 / 64 // chance under which six pairs prove it
	likely     = 0.05     // likewise eight
	leastShift = 0.05     // what counts as worse at all, as a share
	noisy      = 3        // times the median absolute deviation of the baseline's starts: what counts then
	better     = 0.20     // what a cheaper cell is tried for, as a share
	slower     = 0.10     // share that the generator makes less than in the baseline where the host is another than it was
)

// Outcome is what a night says of the contract.
type Outcome string

// What a night says.
const (
	Holds        Outcome = "holds"
	Regressed    Outcome = "regressed"
	Inconclusive Outcome = "inconclusive"
)

// Reason is why, for scripts.
type Reason string

// The reasons.
const (
	Carried       Reason = "carried"            // as much as was agreed
	NotCarried    Reason = "not_carried"        // the target fails, though the baseline's image carries it
	Shifted       Reason = "shifted"            // a metric is worse than that of the baseline's image
	NotReproduced Reason = "not_reproduced"     // something was worse, but not beside the baseline's image
	SameImage     Reason = "same_image"         // something is worse, but the service is the baseline's own
	SlowerHost    Reason = "host_slower"        // something is worse, but the generator too is slower than it was
	Unmeasured    Reason = "not_measured"       // generator, host or chance left too few starts that tell anything
	OtherHost     Reason = "other_host"         // no baseline of this host
	OtherQuestion Reason = "experiment_changed" // the experiment asks for something else
	NoLoad        Reason = "generator_too_slow" // the generator can't make the load here
	NothingViable Reason = "nothing_viable"     // no configuration carries the target
	BaselineFails Reason = "baseline_fails_too" // the baseline's image doesn't carry the target tonight either
	Unsteady      Reason = "unsteady"           // the minimal configuration fails too often to be a baseline
	Updated       Reason = "updated"            // what is carried now is the contract
)

// Night is what is known before the first trial.
type Night struct {
	Baseline  Baseline
	Target    int
	Unit      string             // of Target: users or requests/s
	Candidate experiment.Limits  // the minimal cell, started from tonight's image
	Same      bool               // tonight's service is made from what the baseline was made from
	Reference *experiment.Limits // the minimal cell, started from the baseline's image; nil where that is gone
	Rival     *experiment.Limits // the next cheaper cell, which failed; nil where there is none
	Ceiling   float64            // requests a second that the generator makes alone tonight; 0 where it isn't known
}

// phase is how far a night has come.
type phase struct {
	want  *experiment.Limits // where the next start is made; nil where nothing more is asked for
	left  int                // how many starts it takes at most from here, as long as nothing looks worse than it does
	found Verdict            // where nothing more is asked for
}

func wants(l experiment.Limits, left int) phase { return phase{want: &l, left: left} }

// Next returns the next trial and how many there are at most from here on,
// given the verdicts of those that were run, in any order; or false where the
// night is over. It depends on nothing but its arguments, so that a night that
// was interrupted goes on where it stopped.
func Next(n Night, verdicts []analysis.Verdict) (t experiment.Trial, left int, more bool) {
	p := n.look(verdicts)
	if p.want == nil {
		return experiment.Trial{}, 0, false
	}
	t = experiment.Trial{Limits: *p.want, Hold: n.Target, Replicate: 1}
	for _, v := range verdicts {
		if v.Trial.Limits == t.Limits && v.Trial.Hold == t.Hold {
			t.Replicate = max(t.Replicate, v.Trial.Replicate+1)
		}
	}
	return t, max(1, p.left), true
}

// Judge says what a night found. Before its end, that is what is known so far:
// inconclusive.
func Judge(n Night, verdicts []analysis.Verdict) Verdict {
	p := n.look(verdicts)
	v := p.found
	if p.want != nil {
		v = Verdict{Outcome: Inconclusive, Reason: Unmeasured, Sentence: "The night was not finished."}
	}
	v.count(n, verdicts)
	return v
}

// starts are the trials of a night, told ones by cell in the order in which
// they were run.
type starts struct {
	candidate, reference, rival []analysis.Verdict
	void                        []analysis.Verdict
}

func (n Night) split(verdicts []analysis.Verdict) (s starts) {
	for _, v := range slices.SortedStableFunc(slices.Values(verdicts), func(a, b analysis.Verdict) int { return a.Trial.Compare(b.Trial) }) {
		switch l := v.Trial.Limits; {
		case v.Trial.Hold != n.Target:
		case !v.Outcome.Known():
			s.void = append(s.void, v)
		case l == n.Candidate:
			s.candidate = append(s.candidate, v)
		case n.Reference != nil && l == *n.Reference:
			s.reference = append(s.reference, v)
		case n.Rival != nil && l == *n.Rival:
			s.rival = append(s.rival, v)
		}
	}
	return s
}

func (n Night) look(verdicts []analysis.Verdict) phase {
	s := n.split(verdicts)
	if len(s.void) > mostVoid {
		return phase{found: n.untold(s)}
	}
	used, carried, done := screen(s.candidate, firstLook)
	if !done {
		return wants(n.Candidate, firstLook-len(carried))
	}
	if len(carried) < firstLook {
		return n.control(s, s.candidate[:used], s.candidate[used:])
	}
	found := Compare(n.Baseline.Starts, startsOf(carried))
	if !slices.ContainsFunc(found, Comparison.looksWorse) {
		return n.carried(s, s.candidate[:used], found)
	}
	closer, tells := n.closer()
	if !tells {
		return n.carried(s, s.candidate[:used], found)
	}
	if used, carried, done = screen(s.candidate, closer); !done {
		return wants(n.Candidate, closer-len(carried))
	}
	if len(carried) < closer {
		return n.control(s, s.candidate[:used], s.candidate[used:])
	}
	found = Compare(n.Baseline.Starts, startsOf(carried))
	if !slices.ContainsFunc(found, Comparison.suspected) {
		return n.carried(s, s.candidate[:used], found)
	}
	return n.suspect(s, s.candidate[used:], found)
}

// closer returns how many starts a closer look takes: enough for a baseline of
// this size to tell anything; false where so few can't.
func (n Night) closer() (starts int, tells bool) {
	for starts = closerLook; starts <= longest; starts++ {
		if leastP(len(n.Baseline.Starts), starts)*float64(len(Metrics())) < suspicious {
			return starts, true
		}
	}
	return longest, false
}

// screen goes through starts until so many have carried the target, or most of
// them have failed: how many that took, those that carried it, and whether it
// is known.
func screen(all []analysis.Verdict, wanted int) (used int, carried []analysis.Verdict, done bool) {
	failed := 0
	for i, v := range all {
		if v.Outcome == analysis.Passed {
			carried = append(carried, v)
		} else {
			failed++
		}
		if len(carried) == wanted || failed >= failures && failed > len(carried) {
			return i + 1, carried, true
		}
	}
	return len(all), carried, false
}

func startsOf(verdicts []analysis.Verdict) []Start {
	out := make([]Start, len(verdicts))
	for i, v := range verdicts {
		out[i] = StartOf(v)
	}
	return out
}

// carried ends a night in which nothing is worse, unless a cheaper cell may do.
func (n Night) carried(s starts, screened []analysis.Verdict, found []Comparison) phase {
	lighter := slices.ContainsFunc(found, Comparison.lighter)
	if lighter && n.Rival != nil && len(s.rival) == 0 && len(s.void) == 0 {
		return wants(*n.Rival, 1)
	}
	return phase{found: n.holds(screened, found, s.rival)}
}

// control finds out whether the baseline's image carries the target tonight,
// before the failure of tonight's is called a regression.
func (n Night) control(s starts, failed, again []analysis.Verdict) phase {
	switch {
	case n.Same:
		return phase{found: n.sameFails(failed)}
	case n.Reference == nil && n.hostSlower():
		return phase{found: n.slowerHost()}
	case n.Reference == nil:
		return phase{found: n.notCarried(failed, nil)}
	}
	// The old image, the new one, the old one.
	for i, v := range s.reference {
		if v.Outcome.Failed() {
			return phase{found: n.baselineFails(failed, s.reference[:i+1])}
		}
	}
	if len(again) > 0 && again[0].Outcome == analysis.Passed {
		return phase{found: n.notReproduced(told(failed) + ", but beside the baseline's image it carried the target")}
	}
	const wholeControl, twice = 3, 2
	left := wholeControl - len(s.reference) - len(again)
	switch {
	case len(s.reference) == 0:
		return wants(*n.Reference, left)
	case len(again) == 0:
		return wants(n.Candidate, left)
	case len(s.reference) < twice:
		return wants(*n.Reference, left)
	}
	return phase{found: n.notCarried(append(slices.Clone(failed), again...), s.reference)}
}

// suspect finds out whether what looks worse is so beside the baseline's image.
func (n Night) suspect(s starts, rest []analysis.Verdict, found []Comparison) phase {
	switch {
	case n.Same:
		return phase{found: n.sameShifted(found)}
	case n.Reference == nil:
		return n.alone(rest, found)
	}
	var confirmed []Comparison
	for _, most := range []int{pairs, morePairs} {
		if len(rest) < most || len(s.reference) < most {
			return wants(n.turn(len(s.reference), len(rest)), 2*most-len(rest)-len(s.reference))
		}
		var open bool
		confirmed, open = paired(found, startsOf(s.reference[:most]), startsOf(rest[:most]))
		if slices.ContainsFunc(confirmed, func(c Comparison) bool { return c.Paired != nil && c.Paired.Proven }) {
			return phase{found: n.shifted(confirmed)}
		}
		if !open {
			break
		}
	}
	v := n.notReproduced(worse(found) + " than in the baseline's starts, but not beside the baseline's image tonight")
	v.Metrics = confirmed
	return phase{found: v}
}

// turn says which image is started next: ABBA ABBA, so that what changes on the
// host meanwhile befalls both alike.
func (n Night) turn(references, candidates int) experiment.Limits {
	second := min(references, candidates)%2 == 1 // in every other pair the old image is the second
	if references < candidates || references == candidates && !second {
		return *n.Reference
	}
	return n.Candidate
}

// paired holds pairs of starts against each other. What was suspected is proven,
// or open where it takes more pairs.
func paired(found []Comparison, reference, candidate []Start) (out []Comparison, open bool) {
	for _, c := range found {
		if c.suspected() {
			differences := make([]float64, len(reference))
			before, now := c.Metric.losses(reference), c.Metric.losses(candidate)
			for i := range differences {
				differences[i] = difference(now[i], before[i])
			}
			p, shift := signedRank(differences), pairedShift(differences)
			enough := shift.Estimate >= c.Floor
			proof := proven
			if len(differences) > pairs {
				proof = likely
			}
			c.Paired = &Pairs{N: len(differences), Shift: shift, P: p, Proven: enough && p <= proof}
			open = open || enough
		}
		out = append(out, c)
	}
	return out, open
}

// alone finds out whether what looks worse stays so, where the baseline's image
// is gone.
func (n Night) alone(rest []analysis.Verdict, found []Comparison) phase {
	if len(rest) < persists {
		return wants(n.Candidate, persists-len(rest))
	}
	if n.hostSlower() {
		v := n.slowerHost()
		v.Metrics = found
		return phase{found: v}
	}
	again := Compare(n.Baseline.Starts, startsOf(rest))
	var out []Comparison
	lasting := false
	for i, c := range found {
		if a := again[i]; c.suspected() && !a.Unknown {
			c.Again = &a
			lasting = lasting || a.P < suspicious && a.Shift.Estimate >= a.Floor
		}
		out = append(out, c)
	}
	if !lasting {
		v := n.notReproduced(worse(found) + " than in the baseline's starts, but not in six more")
		v.Metrics = out
		return phase{found: v}
	}
	return phase{found: n.shifted(out)}
}

// hostSlower reports whether the generator, alone, made much less tonight than
// in the baseline: then the host is what changed.
func (n Night) hostSlower() bool {
	return n.Ceiling > 0 && n.Baseline.Ceiling > 0 && n.Ceiling < (1-slower)*n.Baseline.Ceiling
}

// Comparison is one metric of tonight's starts beside the baseline's. Shifts are
// losses: natural logarithms, more is worse.
type Comparison struct {
	Metric      Metric
	Unknown     bool    // it wasn't measured in all starts
	Before, Now float64 // medians, in the metric's unit
	Shift       Shift
	P           float64 // chance that so many starts are so much worse without a reason
	Together    float64 // the same, of all metrics together (Holm)
	Floor       float64 // what counts as worse: a loss
	Paired      *Pairs  // beside the baseline's image, where that was tried
	Again       *Comparison
}

// Pairs is a metric of pairs of starts, tonight's image beside the baseline's.
type Pairs struct {
	N      int
	Shift  Shift
	P      float64 // Wilcoxon's signed-rank test, one-sided
	Proven bool
}

// Compare holds starts against the baseline's, metric by metric.
func Compare(baseline, tonight []Start) []Comparison {
	var out []Comparison
	var ps []float64
	for _, m := range Metrics() {
		c := Comparison{Metric: m, P: 1, Together: 1}
		if c.Unknown = !m.known(baseline) || !m.known(tonight) && !slices.ContainsFunc(tonight, failedStart); !c.Unknown {
			before, now := m.losses(baseline), m.losses(tonight)
			c.Before, c.Now = median(m.values(baseline)), median(m.values(tonight))
			c.Shift, c.P, c.Floor = hodgesLehmann(before, now), mannWhitney(before, now), floor(before)
		}
		out, ps = append(out, c), append(ps, c.P)
	}
	for i, p := range holm(ps) {
		out[i].Together = p
	}
	return out
}

// failedStart reports whether a start failed, so that it is worse than can be
// told, whatever the metric.
func failedStart(s Start) bool { return math.IsInf(s.P99, 1) }

// floor returns what counts as worse: 5 %, or what lies within the noise of the
// baseline's own starts.
func floor(losses []float64) float64 {
	middle := median(losses)
	apart := make([]float64, len(losses))
	for i, l := range losses {
		apart[i] = math.Abs(l - middle)
	}
	return max(math.Log1p(leastShift), noisy*median(apart))
}

// looksWorse reports whether a metric is worth a closer look.
func (c Comparison) looksWorse() bool { return !c.Unknown && c.Shift.Estimate >= c.Floor }

// suspected reports whether a metric is worse beyond noise.
func (c Comparison) suspected() bool {
	return c.looksWorse() && c.Together < suspicious && c.Shift.Low > 0
}

// lighter reports whether a resource is needed so much less that a cheaper cell
// may do.
func (c Comparison) lighter() bool {
	resource := c.Metric.Name == "cpu_ms_per_request" || c.Metric.Name == "peak_memory_mib"
	return resource && !c.Unknown && c.Shift.Estimate <= math.Log1p(-better)
}

// Word says how the metric stands, for people.
func (c Comparison) Word() string {
	switch {
	case c.Unknown:
		return "not known"
	case c.Paired != nil && c.Paired.Proven, c.Again != nil && c.suspected():
		return "worse"
	case c.suspected():
		return "suspected"
	case c.looksWorse():
		return "within noise"
	case c.Shift.Estimate <= -c.Floor && c.Shift.High < 0:
		return "better"
	default:
		return "as before"
	}
}

// RivalOf returns the next cheaper cell than the baseline's minimal one, which
// failed then; nil where there is none.
func RivalOf(e *experiment.Experiment, b Baseline) *experiment.Limits {
	price := e.Price.Of(b.Minimal)
	var best *experiment.Limits
	for _, c := range b.Cells {
		if c.Limits.Setting() != b.Minimal.Setting() || !c.Outcome.Failed() || e.Price.Of(c.Limits) >= price {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(e.Price.Of(c.Limits), e.Price.Of(*best)), c.Limits.Compare(*best)) > 0 {
			best = &c.Limits
		}
	}
	return best
}
