package analysis

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// A few requests show nothing about one in a hundred: windows are pooled until
// they hold minRequests, but over no more than maxSpan of them, so that a
// stalled service is seen too.
const (
	minRequests = 100
	maxSpan     = 5
)

// span is some windows running that are judged as one.
type span struct {
	windows  []measure.Window
	all      measure.Window // the windows as one
	requests uint64         // sent since the load began, until the span's end
}

func (s span) end() time.Duration { return s.all.End() }

// users returns the mean number of users over the span.
func (s span) users() float64 {
	sum := 0.0
	for _, w := range s.windows {
		sum += float64(w.Users)
	}
	return sum / float64(len(s.windows))
}

// spans pools the windows that have ended. The last ones may be too few for a
// span yet: they count only once the load has ended. What settles, before from,
// isn't pooled with what is measured.
func spans(windows []measure.Window, from time.Duration, ended bool) []span {
	var out []span
	var open []measure.Window
	var requests uint64
	for i, w := range windows {
		if w.Length == 0 {
			break
		}
		open = append(open, w)
		s := pool(open)
		last := i == len(windows)-1 || windows[i+1].Length == 0
		settled := w.Start < from && w.End() >= from
		if s.all.Sent >= minRequests || len(open) == maxSpan || settled || last && ended {
			requests += s.all.Sent
			s.requests = requests
			out = append(out, s)
			open = nil
		}
	}
	return out
}

func pool(windows []measure.Window) span {
	s := span{windows: windows, all: measure.Window{Start: windows[0].Start}}
	for _, w := range windows {
		s.all.Merge(w)
	}
	return s
}

// latencies returns all response times of the span as known at now. Requests
// without an answer are in it too: those that timed out with the timeout,
// those that still wait with the time that they have waited at least.
func (s span) latencies(now, timeout time.Duration) measure.Histogram {
	h := s.all.Response
	for _, w := range s.windows {
		h.Merge(measure.NewHistogram(measure.Bucket{Value: max(0, now-w.End()), Count: w.Pending()}))
		if timeout > 0 { // else the generator's response times have those that timed out in them
			h.Merge(measure.NewHistogram(measure.Bucket{Value: timeout, Count: w.Errors[measure.Timeout]}))
		}
	}
	return h
}

// level describes the load and the answers in the span. quickest is how long
// an answer takes at low load.
func (s span) level(e *experiment.Experiment, now, quickest time.Duration) *Level {
	h := s.latencies(now, e.Request.Timeout.Std())
	l := &Level{
		At: s.end(), Users: s.all.Users, Requests: s.requests,
		P50: h.Quantile(0.50), P95: h.Quantile(0.95), P99: h.Quantile(0.99),
		Deficit: s.deficit(e.Users, quickest), Margin: s.margin(e, now),
	}
	if seconds := s.all.Length.Seconds(); seconds > 0 {
		l.Throughput = float64(s.all.Answered) / seconds
	}
	if s.all.Sent > 0 {
		l.ErrorRate = float64(s.all.Failed()) / float64(s.all.Sent)
	}
	return l
}

// mark is the judgement of a span.
type mark uint8

const (
	open             mark = iota // requests that still wait, or were cut off with the load, could change it
	good                         // the objective held
	bad                          // the objective didn't hold, and nothing but the service was the limit
	generatorLimited             // the load is invalid, or the objective didn't hold, but the generator was the limit: decides nothing
	hostLimited                  // the objective didn't hold, but the host was the limit: decides nothing
	silent                       // nothing was asked: decides nothing
	settling                     // a hold isn't measured yet: decides nothing
)

// The host is called the limit where it is this busy while the service got
// less than this share of the CPU that its limits promise.
const (
	hostIdleFloor = 0.05
	stealCeiling  = 0.05
	cpuAtLimit    = 0.90
)

// judge marks the span as far as is known at now, and returns the check that
// didn't hold. Its mark never changes later, unless it is open: a request that
// waits longer than a limit will not have taken less when it is answered.
func (s span) judge(e *experiment.Experiment, limits experiment.Limits, now time.Duration) (mark, *check) {
	if s.doubts(e).validity() == Invalid {
		return generatorLimited, nil
	}
	breach, decided := s.breach(e, now)
	switch {
	case s.all.Sent == 0:
		return silent, nil
	case breach != nil && s.starved(limits):
		return hostLimited, breach
	case breach != nil && s.outrun(limits):
		return generatorLimited, breach
	case breach != nil:
		return bad, breach
	case decided:
		return good, nil
	default:
		return open, nil
	}
}

// thrashing reports whether the service is known to be short of memory. Then
// the kernel keeps the host busy with reading its program again and again, and
// the service has no use for the CPU that its limits promise.
func thrashing(w measure.Window, limits experiment.Limits) bool {
	return lead{limits: limits}.thrashes(w) == present
}

// starved reports whether the host kept from the service what its limits promise.
func (s span) starved(limits experiment.Limits) bool {
	for _, w := range s.windows {
		if w.Effort == nil {
			continue
		}
		busy := w.Effort.HostIdle < hostIdleFloor || w.Effort.Steal > stealCeiling
		if busy && !atLimit(w, limits) && !thrashing(w, limits) {
			return true
		}
	}
	return false
}

// atLimit reports whether the service is known to have had the CPU that its
// limits promise.
func atLimit(w measure.Window, limits experiment.Limits) bool {
	return w.Usage != nil && w.Usage.CPU >= cpuAtLimit*limits.CPU.Float()
}

// breach returns the check that is missed by the widest margin, or nil.
// decided says that no request which still waits could bring one about.
func (s span) breach(e *experiment.Experiment, now time.Duration) (worst *check, decided bool) {
	decided = true
	margin := math.Inf(-1)
	for _, c := range s.checks(e, now) {
		decided = decided && c.decided
		if c.broken && c.margin > margin {
			worst, margin = &c, c.margin
		}
	}
	return worst, decided
}

// margin returns the margin of the objective that is nearest to its limit. No
// errors where none are allowed have no margin, and say nothing.
func (s span) margin(e *experiment.Experiment, now time.Duration) float64 {
	nearest := math.Inf(-1)
	for _, c := range s.checks(e, now) {
		if !math.IsNaN(c.margin) {
			nearest = max(nearest, c.margin)
		}
	}
	return nearest
}

// check is one objective held against a span.
type check struct {
	Breach
	broken, decided bool
	margin          float64 // ln(observed/limit): how far beyond the limit
	missed          float64 // share of the requests that miss it, 0 to 1
	of              uint64  // requests; 0 where the objective isn't a share of them
	may             float64 // share of the requests that may miss it, 0 to 1
}

func (s span) checks(e *experiment.Experiment, now time.Duration) []check {
	var cs []check
	if limit := e.Objective.Errors; limit != nil && s.all.Sent > 0 {
		failed, allowed := s.all.Failed(), tolerated(float64(*limit), s.all.Sent)
		rate := float64(failed) / float64(s.all.Sent)
		cs = append(cs, check{
			Breach: Breach{Objective: "errors", Observed: percent(rate), Limit: limit.String()},
			broken: failed > allowed, decided: failed+s.all.Pending() <= allowed,
			margin: math.Log(rate / float64(*limit)), missed: rate, of: s.all.Sent, may: float64(*limit),
		})
	}
	if limit := e.Objective.Goodput; limit != nil {
		cs = append(cs, s.goodput(e, float64(*limit)))
	}
	return append(cs, s.quantiles(e, now)...)
}

// quantiles holds the response times against their limits. Counting those
// beyond the limit says the same as the quantile, and also what the requests
// that still wait can change.
func (s span) quantiles(e *experiment.Experiment, now time.Duration) []check {
	h := s.latencies(now, e.Request.Timeout.Std())
	var cs []check
	for _, q := range e.Objective.Quantiles() {
		late, allowed := h.Above(q.Limit), tolerated(1-q.Q, h.Count())
		young := uint64(0)
		for _, w := range s.windows {
			if now-w.End() <= q.Limit {
				young += w.Pending()
			}
		}
		observed := h.Quantile(q.Q)
		cs = append(cs, check{
			Breach: Breach{Objective: q.Name, Observed: atLeast(observed, s.all.Response), Limit: experiment.Duration(q.Limit).String()},
			broken: late > allowed, decided: late+young <= allowed,
			margin: math.Log(float64(observed) / float64(q.Limit)), missed: float64(late) / float64(max(1, h.Count())), of: h.Count(), may: 1 - q.Q,
		})
	}
	return cs
}

// atLeast writes a quantile; with "over" where it is the time that requests
// which have no answer yet had been waiting.
func atLeast(observed time.Duration, answered measure.Histogram) string {
	if observed > answered.Max() {
		return "over " + Short(observed)
	}
	return Short(observed)
}

// demand returns how many requests were demanded: users / wait. Open arrivals
// wait for nobody: what was sent was demanded, and what is missing of it is the
// generator's fault.
func (s span) demand(u experiment.Users) float64 {
	if u.Open() {
		return float64(s.all.Sent)
	}
	return s.users() * s.all.Length.Seconds() / u.Wait.Mean().Seconds()
}

// goodput holds the right answers against the demand.
func (s span) goodput(e *experiment.Experiment, limit float64) check {
	demand := s.demand(e.Users)
	share := float64(s.all.Done) / demand
	return check{
		Breach: Breach{Objective: "goodput", Observed: percent(share), Limit: experiment.Share(limit).String()},
		broken: float64(s.all.Done+s.all.Pending()) < limit*demand, decided: float64(s.all.Done) >= limit*demand,
		margin: math.Log(limit / share), missed: 1 - min(1, share),
	}
}

// tolerated returns how many of n may lie beyond a limit that a share of them
// may. The small term undoes rounding: a tenth of ten is one.
func tolerated(share float64, n uint64) uint64 {
	return uint64(share*float64(n) + 1e-9)
}

func percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 3, 64) + "%"
}

// Short writes d to three digits, for people: "1.23s", "45.6ms".
func Short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 999500*time.Microsecond: // what three digits of a millisecond can't write
		return fmt.Sprintf("%.3gs", d.Seconds())
	default:
		return fmt.Sprintf("%.3gms", float64(d)/float64(time.Millisecond))
	}
}

// Thousands writes n with separators: 10,000.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
