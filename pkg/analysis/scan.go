package analysis

import (
	"fmt"
	"slices"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// A scanned series is its spans with their marks, up to the first span that is
// still open.
type scanned struct {
	spans []span
	marks []mark
	now   time.Duration // when what was seen was seen

	good   int           // index of the last good span before the failure, or -1
	latest int           // index of the last good span of all, or -1
	bad    int           // index of the first bad span of two running, or of one that nothing follows; or -1
	proven bool          // two bad spans running, or one after which the service has stopped answering
	proof  int           // index of the span that proved it
	failed *check        // what the first bad span missed
	idle   time.Duration // how long, at the end, spans have decided nothing
	died   bool          // the last span is that in which the service died
	from   time.Duration // from when on what is seen counts: a hold settles before
	late   int           // index of the last settling span, if that was bad, but for those in which nothing was asked; or -1
	missed *check        // what it missed

	quickest time.Duration // the least median response time of a good span: what an answer takes at low load; 0: there is none
}

// most is the share, of a bad span's requests and of closed users at the end,
// from which on a service that leaves them waiting has stopped answering.
const most = 0.5

// scan marks spans in order. Two bad ones running are a failure; spans that
// decide nothing count neither way.
func scan(e *experiment.Experiment, t experiment.Trial, windows []measure.Window, now time.Duration, ended bool) scanned {
	s := scanned{now: now, good: -1, latest: -1, bad: -1, late: -1, from: measured(e, t)}
	for i, sp := range spans(windows, s.from, ended) {
		m, missed := sp.judge(e, t.Limits, now)
		if m == good {
			s.quicken(sp.all.Response.Quantile(0.5))
		}
		settles := sp.all.Start < s.from
		if settles {
			m = s.settle(i, m, missed)
		}
		if m == open && !ended {
			break
		}
		s.spans, s.marks = append(s.spans, sp), append(s.marks, m)
		switch {
		case settles:
		case s.proven: // what comes after the failure tells only of its course
			if m == good {
				s.latest = i
			}
		case m == good:
			s.good, s.latest, s.bad, s.failed, s.idle = i, i, -1, nil, 0
		case m == bad && s.bad >= 0:
			s.proven, s.proof = true, i
		case m == bad:
			s.bad, s.failed, s.idle = i, missed, 0
		case m == open: // for good: it decides nothing
		case m != silent || sp.all.InFlight > 0:
			s.idle += sp.all.Length
		}
	}
	if !s.proven && (ended || s.idle >= undecidedAfter) {
		s.seize(e.Users)
	}
	return s
}

// settle notes a span in which a hold settles, and returns its mark: it decides
// nothing, whatever it is.
func (s *scanned) settle(i int, m mark, missed *check) mark {
	switch m {
	case bad:
		s.late, s.missed = i, missed
	case good:
		s.late = -1
	case generatorLimited, hostLimited:
		return m // the reader may know
	case open, silent, settling:
	}
	return settling
}

// seize finds the failure of a service that has stopped answering: after a bad
// span, or, of a hold in which nothing was asked any more once it was measured,
// after one in which it settled.
func (s *scanned) seize(u experiment.Users) {
	if stuck := *s; s.failed == nil && s.late >= 0 {
		if stuck.bad, stuck.failed = s.late, s.missed; stuck.stuck(u) {
			s.bad, s.failed = stuck.bad, stuck.failed
		}
	}
	if s.stuck(u) {
		s.proven, s.proof = true, len(s.spans)-1
	}
}

// measured returns from when on a trial's load counts; e is the experiment as
// the trial asks it.
func measured(e *experiment.Experiment, t experiment.Trial) time.Duration {
	if t.Hold == 0 {
		return 0
	}
	return e.Users.Measured()
}

func (s *scanned) quicken(median time.Duration) {
	if s.quickest == 0 || median < s.quickest {
		s.quickest = median
	}
}

// stuck reports whether the service has stopped answering, so that there will
// be no second bad span: users who all wait for an answer send nothing more.
// Open arrivals go on, until their rate is 0 or the load ends. However many of
// them wait, that is no share of anything: only that nobody was answered tells.
func (s scanned) stuck(u experiment.Users) bool {
	if s.failed == nil || s.failed.missed <= most {
		return false
	}
	for _, m := range s.marks[s.bad+1:] {
		if m != silent && m != open && m != settling {
			return false
		}
	}
	windows := s.spans[len(s.spans)-1].windows
	last := windows[len(windows)-1]
	if u.Open() {
		return unanswered(last)
	}
	return float64(last.InFlight) > most*float64(last.Users)
}

// end adds the window in which the service died, after those in which it lived.
// It is the failure, unless the service had failed before and never got well
// again: one that thrashes for long before it is killed didn't carry that load.
// Requests that death took with it were due earlier, even many seconds, but that
// alone is no failure then; see [alive].
func (s *scanned) end(lived, died []measure.Window) {
	if len(died) == 0 {
		return
	}
	sp := pool(died)
	sp.requests = sp.all.Sent
	for _, w := range lived {
		sp.requests += w.Sent
	}
	s.spans, s.marks = append(s.spans, sp), append(s.marks, bad)
	s.good, s.proof, s.died = s.latest, len(s.spans)-1, true
	s.bad = s.good + 1 + slices.Index(s.marks[s.good+1:], bad)
}

func (s scanned) lastPass(e *experiment.Experiment) *Level {
	i := s.good
	if blur := s.blur(e); blur > 0 && s.bad >= 0 {
		i = s.surelyGood(s.spans[s.bad].all.Start-blur-s.spans[s.bad].latencies(s.now, 0).Quantile(0.99), i)
	}
	if i < 0 {
		return nil
	}
	return s.spans[i].level(e, s.now, s.quickest)
}

func (s scanned) firstFail(e *experiment.Experiment) *Level {
	if s.bad < 0 {
		return nil
	}
	i := s.bad
	for sure := s.spans[i].end() + s.blur(e); i < len(s.spans)-1 && s.spans[i].end() < sure; {
		i++
	}
	return s.spans[i].level(e, s.now, s.quickest)
}

// blur returns how uncertain it is, to either side, in which second of a ramp
// something was slow. Levels that are held are the same in all seconds.
func (s scanned) blur(e *experiment.Experiment) time.Duration {
	if s.from > 0 {
		return 0
	}
	return e.Generator.Blur()
}

// surelyGood returns the index of the last good span, up to i, that ended before
// some time, or -1.
func (s scanned) surelyGood(before time.Duration, i int) int {
	for ; i >= 0; i-- {
		if s.marks[i] == good && s.spans[i].end() <= before {
			return i
		}
	}
	return -1
}

// blurred tells that the bracket of a ramp is wider for the generator's blur.
func (s scanned) blurred(e *experiment.Experiment, v Verdict) []string {
	if s.blur(e) == 0 || v.FirstFail == nil {
		return nil
	}
	return []string{fmt.Sprintf("Locust tells of response times of up to %s together, and when requests ended, not when they were due: "+
		"the ramp's bracket is wider by that at either end", experiment.Duration(s.blur(e)))}
}
