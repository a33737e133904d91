package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Validity says whether a stretch of load can be believed. What counts is
// that the load was made on time and its answers were read on time.
//
//	signal                      degraded beyond      invalid beyond
//	requests failed by itself   -                    0
//	lag, 99th percentile        a                    5 a
//	users who are missing       -                    1 % and one
//	open arrivals, likewise     -                    1 % and one
//	load lost to lateness       1 %                  5 %
//	longest turn of a loop      5 a                  1 s
//	busiest loop                90 % of the time     98 %
//	stopped by its CPU quota    10 % of periods      50 %
//
// a is the greater of 10 ms and 2 % of the strictest response time asked for.
// What isn't known ([measure.Window].Effort is nil) speaks for nothing. Where
// several generators play the load, the worst of them speaks for all.
//
// A saturated loop, or one that its quota stops most of the time, may never
// catch up with its answers: users whose answers lie unread are not due, so
// that there's no lag, but they ask for less than they would. A loop of Locust's
// is invalid from 90 % on, as Locust itself warns: what is known is a mean of
// several seconds, and between two answers Python does much else. Users who never
// wait saturate any loop, if only the service is fast enough; for them that is
// no sign, and [span.outrun] says what it means.
type Validity uint8

// The steps of validity, from the best to the worst.
const (
	Valid    Validity = iota
	Degraded          // it counts, but whoever reads it should know
	Invalid           // the generator was the limit: it decides nothing
)

// String returns the step in a word.
func (v Validity) String() string {
	return [...]string{"valid", "degraded", "invalid"}[v]
}

// Signal is what tells of the generator.
type Signal string

// The signals, with the units of [Reason].
const (
	SignalOwn       Signal = "own_errors" // requests that failed by the generator's own fault
	SignalLag       Signal = "lag"        // seconds from when requests were due to when they were begun, 99th percentile
	SignalUsers     Signal = "users"      // users who should have come, and haven't
	SignalArrivals  Signal = "arrivals"   // requests of open load that should have been begun, and haven't
	SignalLost      Signal = "lost"       // share of the users' time in which they waited for the generator to begin, 0 to 1
	SignalTurn      Signal = "turn"       // seconds that the longest turn of a loop took
	SignalBusy      Signal = "busy"       // share of the time in which the busiest loop wasn't waiting, 0 to 1
	SignalThrottled Signal = "throttled"  // share of periods in which the generator's own CPU quota stopped it, 0 to 1
)

// Reason is why a stretch of load isn't valid.
type Reason struct {
	Signal    Signal
	Validity  Validity // what the signal makes of it
	Observed  float64  // in the signal's unit
	Threshold float64  // what Observed is beyond
}

// String returns the reason in words.
func (r Reason) String() string {
	switch r.Signal {
	case SignalOwn:
		return fmt.Sprintf("%.0f requests failed in the generator itself", r.Observed)
	case SignalLag:
		return fmt.Sprintf("the generator was %s late (p99)", Short(seconds(r.Observed)))
	case SignalUsers:
		return fmt.Sprintf("%.0f users who were due hadn't come", r.Observed)
	case SignalArrivals:
		return fmt.Sprintf("%.0f requests that were due weren't sent", r.Observed)
	case SignalLost:
		return fmt.Sprintf("its lateness kept users from making %.0f %% of the load", 100*r.Observed)
	case SignalTurn:
		return fmt.Sprintf("an event loop took %s for one turn", Short(seconds(r.Observed)))
	case SignalBusy:
		return fmt.Sprintf("an event loop was busy %.0f %% of the time", 100*r.Observed)
	case SignalThrottled:
		return fmt.Sprintf("the generator's CPU quota stopped it in %.0f %% of periods", 100*r.Observed)
	}
	return string(r.Signal)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Thresholds of validity.
const (
	leastLag     = 10 * time.Millisecond
	lagShare     = 0.02 // of the strictest response time asked for
	lagTimes     = 5    // from degraded to invalid
	usersShare   = 0.01 // of the users who should be there, or of the requests that should have been sent
	stoodStill   = time.Second
	lostSome     = 0.01
	lostMuch     = 0.05
	busyOften    = 0.90
	saturated    = 0.98 // above it a loop may have no end of answers to read
	stoppedOften = 0.10 // with a tenth of each such period, one answer in a hundred is read late
	stoppedMost  = 0.50
)

// lagAllowance returns the most lateness of the generator, at the 99th
// percentile of a window, with which the window is valid, and with which it
// still counts.
func lagAllowance(o experiment.Objective) (valid, counts time.Duration) {
	strictest := time.Duration(0)
	for _, q := range o.Quantiles() {
		if strictest == 0 || q.Limit < strictest {
			strictest = q.Limit
		}
	}
	valid = max(leastLag, time.Duration(lagShare*float64(strictest)))
	return valid, lagTimes * valid
}

// doubts are the worst that each signal said.
type doubts []Reason

// hold notes a signal that is beyond one of its thresholds.
func (rs *doubts) hold(signal Signal, observed, degraded, invalid float64) {
	r := Reason{Signal: signal, Validity: Degraded, Observed: observed, Threshold: degraded}
	switch {
	case observed > invalid:
		r.Validity, r.Threshold = Invalid, invalid
	case observed <= degraded:
		return
	}
	rs.add(r)
}

func (rs *doubts) add(r Reason) {
	i := slices.IndexFunc(*rs, func(known Reason) bool { return known.Signal == r.Signal })
	if i < 0 {
		*rs = append(*rs, r)
	} else if known := (*rs)[i]; r.Validity > known.Validity || r.Validity == known.Validity && r.Observed > known.Observed {
		(*rs)[i] = r
	}
	slices.SortStableFunc(*rs, func(a, b Reason) int { return int(b.Validity) - int(a.Validity) })
}

// validity returns the gravest step.
func (rs doubts) validity() Validity {
	if len(rs) == 0 {
		return Valid
	}
	return rs[0].Validity
}

func (rs doubts) has(signal Signal) bool {
	return slices.ContainsFunc(rs, func(r Reason) bool { return r.Signal == signal })
}

// String returns the reasons in words, the gravest first.
func (rs doubts) String() string {
	var parts []string
	for _, r := range rs {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, ", ")
}

// doubts returns why the span isn't valid, the gravest first; none if it is.
func (s span) doubts(e *experiment.Experiment) doubts {
	var rs doubts
	valid, counts := lagAllowance(e.Objective)
	rs.hold(SignalOwn, float64(s.all.Errors[measure.Own]), 0, 0)
	rs.hold(SignalLag, s.all.Lag.Quantile(0.99).Seconds(), valid.Seconds(), counts.Seconds())
	rs.hold(SignalLost, s.lost(e.Users), lostSome, lostMuch)
	slack := counts
	if l := e.Generator.Locust; l != nil && l.URL != "" { // how many there are is told late, too
		slack = max(slack, e.Generator.Blur())
	}
	for _, w := range s.windows {
		signal, missing, tolerated := shortfall(e.Users, w, slack)
		rs.hold(signal, missing, tolerated, tolerated)
		rs.hold(SignalLag, w.Late.Seconds(), valid.Seconds(), counts.Seconds())
		effort := w.Effort
		if effort == nil {
			continue
		}
		rs.hold(SignalTurn, effort.Turn.Seconds(), counts.Seconds(), stoodStill.Seconds())
		tooBusy := saturated
		switch {
		case e.Generator.Locust != nil:
			tooBusy = busyOften
		case neverWait(e.Users):
			tooBusy = math.Inf(1)
		}
		rs.hold(SignalBusy, effort.Busy, busyOften, tooBusy)
		if effort.Throttled != nil {
			rs.hold(SignalThrottled, *effort.Throttled, stoppedOften, stoppedMost)
		}
	}
	return rs
}

// shortfall returns how many users were missing at a window's end, or of open
// load how many requests, and how many may be.
func shortfall(u experiment.Users, w measure.Window, slack time.Duration) (signal Signal, missing, tolerated float64) {
	if u.Open() {
		missing, tolerated = missingArrivals(u.Ramp(), w)
		return SignalArrivals, missing, tolerated
	}
	missing, tolerated = missingUsers(u, w, slack)
	return SignalUsers, missing, tolerated
}

// missingArrivals returns how many requests of open load were due in a window
// but not begun, and how many may be: between any two instants there is one
// more or less than the integral of the rate. Requests belong to the window in
// which they were due, so that those begun late aren't missing for long.
func missingArrivals(r experiment.Ramp, w measure.Window) (missing, tolerated float64) {
	due := arrivals(r, w.End()) - arrivals(r, w.Start)
	return due - float64(w.Sent), 1 + usersShare*due
}

// arrivals returns the integral of a ramp of rates from its beginning to t.
func arrivals(r experiment.Ramp, t time.Duration) float64 {
	sum, from := 0.0, 0.0
	for _, s := range r {
		over, hold, to := s.Over.Std(), s.Hold.Std(), float64(s.Users)
		if climbed := min(t, over); climbed > 0 {
			rise := (to - from) * climbed.Seconds() / over.Seconds()
			sum += (from + rise/2) * climbed.Seconds()
		}
		sum += to * max(0, min(t-over, hold)).Seconds()
		t, from = t-over-hold, to
	}
	return sum
}

// missingUsers returns how many users were missing at a window's end, and how
// many may be. Lag tells only of requests that were begun; a generator that
// is too slow to let users in, or has lost some, shows here. A ramp that is on
// its way is allowed to be early or late by slack.
func missingUsers(u experiment.Users, w measure.Window, slack time.Duration) (missing, tolerated float64) {
	ramp, due := u.Ramp(), math.MaxInt
	for _, at := range []time.Duration{w.End() - slack, w.End(), w.End() + slack} {
		n, _ := ramp.Users(at)
		due = min(due, n)
	}
	return float64(due - w.Users), 1 + usersShare*float64(due)
}

// neverWait reports whether users ask again as soon as they are answered.
func neverWait(u experiment.Users) bool { return !u.Open() && u.Wait.Mean() == 0 }

// lost returns the share of the load that users couldn't make for waiting until
// the generator began their requests: of each user's time, lateness is what is
// neither the service's nor its own. With pacing, and in open load, a request
// that is begun late puts none off.
func (s span) lost(u experiment.Users) float64 {
	if u.Open() || u.Wait.Pacing != nil {
		return 0
	}
	late := s.all.Lag.Mean().Seconds() * float64(s.all.Lag.Count())
	if there := s.users() * s.all.Length.Seconds(); there > 0 {
		return min(1, late/there)
	}
	return 0
}

// outrun reports whether the generator, or a host of its own, was at its limit
// while the service wasn't: what looks like the service's failure may be answers
// that lay unread. A busy loop matters here where users never wait, since there it
// is no sign of an invalid load.
func (s span) outrun(limits experiment.Limits) bool {
	return slices.ContainsFunc(s.windows, func(w measure.Window) bool {
		if w.Effort == nil || atLimit(w, limits) {
			return false
		}
		return spent(w.Effort.Elsewhere) || w.Effort.Busy > saturated || w.Effort.Throttled != nil && *w.Effort.Throttled > stoppedMost
	})
}

// spent reports whether a host is known to have nothing left.
func spent(left *measure.Spare) bool {
	return left != nil && (left.Idle < hostIdleFloor || left.Steal > stealCeiling)
}

// Assessment is whether a whole load can be believed.
type Assessment struct {
	Validity Validity      // Invalid if more than a tenth of the time is; Valid if next to all is
	Invalid  time.Duration // how much of the load is
	Degraded time.Duration // likewise
	Reasons  []Reason      // the worst that each signal said, the gravest first
}

// assessShare is the share of the time, as of the seconds of a hold, that may
// be worse than the whole.
const assessShare = 1 - holdGood

// Assess says whether a load that has ended can be believed. Of e it needs the
// users, and the objective where there is one.
func Assess(e *experiment.Experiment, windows []measure.Window) Assessment {
	var a Assessment
	var all doubts
	var length time.Duration
	for _, s := range spans(windows, 0, true) {
		length += s.all.Length
		rs := s.doubts(e)
		switch rs.validity() {
		case Valid:
		case Degraded:
			a.Degraded += s.all.Length
		case Invalid:
			a.Invalid += s.all.Length
		}
		for _, r := range rs {
			all.add(r)
		}
	}
	a.Reasons = all
	switch few := time.Duration(assessShare * float64(length)); {
	case a.Invalid > few:
		a.Validity = Invalid
	case a.Invalid > 0 || a.Degraded > few:
		a.Validity = Degraded
	}
	return a
}

// degraded tells of the seconds that count, but are degraded.
func (s scanned) degraded(e *experiment.Experiment) []string {
	var all doubts
	var length time.Duration
	for i, sp := range s.spans {
		if s.marks[i] == generatorLimited || s.marks[i] == hostLimited || s.marks[i] == settling {
			continue
		}
		rs := sp.doubts(e)
		if rs.validity() == Degraded {
			length += sp.all.Length
			for _, r := range rs {
				all.add(r)
			}
		}
	}
	if length == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s of load counted, but were degraded: %s", length.Round(time.Second), all)}
}

// Stretch is a part of a load, since it began.
type Stretch struct{ From, To time.Duration }

// void returns the stretches that decided nothing, for the generator or the
// host was the limit.
func (s scanned) void() []Stretch {
	var out []Stretch
	for i, sp := range s.spans {
		if s.marks[i] != generatorLimited && s.marks[i] != hostLimited {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == sp.all.Start {
			out[n-1].To = sp.end()
			continue
		}
		out = append(out, Stretch{sp.all.Start, sp.end()})
	}
	return out
}
