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

// What an answer costs in CPU, and a request or user in memory, tells what
// cells carry that weren't measured: a parametric model of few measurements
// (Venkataraman et al., "Ernest", NSDI 2016), whose parameters are operational
// laws (Denning and Buzen, "The Operational Analysis of Queueing Network
// Models", Computing Surveys 10(3), 1978).
//
// A prediction is no verdict. It may say which trial is worth running first; a
// predicted cell is never the minimal configuration, is no evidence for
// another, and stays [NotMeasured].

// Prediction is what a model says of a cell that wasn't measured.
type Prediction struct {
	Users     int   // the most that it carries; of open load requests a second
	Low, High int   // between which that lies, if the model errs no more than where it was tried
	Bound     Label // what runs out first
}

// When a model is trusted with the order of trials, and when a failure is known
// closely enough to try it on.
const (
	trustCells = 3    // that are known to fail at a known load
	trustError = 0.15 // mean error of predicting each of them from the others
	closely    = 1.5  // the first level that failed over the last that passed, at most: its middle is 20 % off at worst
)

// A model needs so many seconds, and CPU that follows throughput so well (R²).
const (
	leastSeconds = 5
	leastFit     = 0.5
)

// Second is a second of a trial that a model learns from: one in which nothing
// but the service was the limit, and next to every request was answered.
type Second struct {
	Users    float64 // of open load requests a second
	InFlight float64 // requests at its end
	Answers  float64 // right answers per second
	Busy     float64 // requests in service on average, by Little's law; 0 where it isn't known
	Median   time.Duration
	CPU      float64 // cores
	Memory   float64 // bytes, the working set at its end
}

// unsettled is the share of a second's requests that may have failed, or for its
// Busy may be unanswered.
const unsettled = 0.01

// observe returns what a model learns from in a trial that was judged.
func observe(r measure.Result, v Verdict) []Second {
	var out []Second
	for _, w := range ended(r.Series.Windows) {
		void := slices.ContainsFunc(v.Void, func(s Stretch) bool { return s.From <= w.Start && w.Start < s.To })
		few := unsettled * float64(w.Sent)
		if void || w.Usage == nil || w.Length == 0 || w.Answered == 0 || float64(w.Failed()) > few {
			continue
		}
		s := Second{
			Users: float64(w.Users), InFlight: float64(w.InFlight), Answers: float64(w.Answered) / w.Length.Seconds(),
			Median: w.Response.Quantile(0.5), CPU: w.Usage.CPU, Memory: float64(w.Usage.Memory),
		}
		if float64(w.Pending()) <= few {
			s.Busy = s.Answers * w.Response.Mean().Seconds()
		}
		out = append(out, s)
	}
	return out
}

// memory returns the share of the limit that was used.
func (s Second) memory(l experiment.Limits) float64 { return s.Memory / float64(l.Memory) }

// A Model is what was learnt from the measured cells of a setting.
//
//	CPU    = Idle + Demand * answers per second
//	memory = Base + Each * requests in flight, or users
type Model struct {
	Demand   float64       // CPU seconds of an answer; more than 0
	Idle     float64       // cores used without load, at least 0
	Base     float64       // bytes used without load, at least 0
	Each     float64       // bytes for each request in flight or user, at least 0
	Per      Per           // which of them
	Quickest time.Duration // the least median response time: what an answer takes at low load

	Tried   int     // cells that fail at a known load, and were predicted from the others
	Error   float64 // mean error of these, as a share of that load; not known where none was tried
	Worst   float64 // the greatest of them
	Trusted bool    // with the order of trials, and with nothing else
	Doubt   string  // why it isn't trusted

	ask     ask
	ceiling float64 // load at which cells failed for what no limit grants; infinite where none did
	beyond  Label   // what that was
}

// Per says what memory grows with.
type Per string

// What memory grows with.
const (
	PerRequest Per = "request in flight"
	PerUser    Per = "user"
)

// ask is what of an experiment bears on how much a cell carries.
type ask struct {
	users  experiment.Users
	slow   time.Duration // how long an answer may take
	share  float64       // of the demanded rate that must be answered rightly; 0: any
	target int
}

// asked takes the strictest limit on response times. Where there is none,
// requests fail by their timeout.
func asked(e *experiment.Experiment) ask {
	a := ask{users: e.Users, slow: e.Request.Timeout.Std(), target: e.Users.Target}
	for _, q := range e.Objective.Quantiles() {
		if a.slow == 0 || q.Limit < a.slow {
			a.slow = q.Limit
		}
	}
	if g := e.Objective.Goodput; g != nil {
		a.share = float64(*g)
	}
	return a
}

// predict learns a model of each setting from its measured cells and says what it
// makes of the others: what an answer costs with two workers says nothing of four.
// The cells that are given aren't changed. Without a cell to try it on nobody
// knows how far a model errs: then it predicts nothing.
func predict(e *experiment.Experiment, cells []Cell) (map[experiment.Setting]*Model, []Cell) {
	models := map[experiment.Setting]*Model{}
	for setting, alike := range bySetting(cells) {
		seen := make([]seen, len(alike))
		for i, c := range alike {
			seen[i] = see(c)
		}
		if m := learn(e, alike, seen); m != nil {
			m.try(e, alike, seen)
			models[setting] = m
		}
	}
	out := slices.Clone(cells)
	for i, c := range out {
		m := models[c.Trial.Limits.Setting()]
		if m != nil && !c.Measured && m.Tried > 0 {
			out[i].Predicted = m.predict(c.Trial.Limits, cells)
		}
	}
	return models, out
}

// Expect says which of the open cells a trusted model expects to carry the
// target (true) or not (false): those of which neither a start nor an inference
// tells, and that the host can run. Without a trusted model there are none. It
// is a hint for the order of trials and for nothing else.
func Expect(e *experiment.Experiment, cells []Cell) map[experiment.Limits]bool {
	models, predicted := predict(e, cells)
	out := map[experiment.Limits]bool{}
	for _, c := range predicted {
		if c.Predicted != nil && models[c.Trial.Limits.Setting()].Trusted && c.Inferred == "" && c.Why == "" {
			out[c.Trial.Limits] = c.Predicted.Users >= e.Users.Target
		}
	}
	return out
}

// seen is what the seconds of cells say of their lines. That of several cells is
// the sum of theirs, so that a model is learnt without one cell as fast as from
// all.
type seen struct {
	work               moments // CPU by answers per second
	byUsers, byRequest moments // memory by users, and by requests in flight
	quickest           time.Duration
}

// see returns what the seconds of a cell say. Those with saturated CPU count as
// well: the utilisation law holds there too, a fast ramp has few others, and it is
// there that the cost decides. But where memory is short the cost of an answer
// tells of that.
func see(c Cell) (out seen) {
	l := c.Trial.Limits
	for _, start := range c.Starts {
		for _, s := range start.Seconds {
			if s.memory(l) < memoryHigh {
				out.add(seen{work: momentsAt(s.Answers, s.CPU), quickest: s.Median})
			}
			if s.memory(l) < memoryAtLimit { // at it, the kernel takes back what it can
				out.add(seen{byUsers: momentsAt(s.Users, s.Memory), byRequest: momentsAt(s.InFlight, s.Memory)})
			}
		}
	}
	return out
}

func (s *seen) add(o seen) {
	s.work.add(o.work)
	s.byUsers.add(o.byUsers)
	s.byRequest.add(o.byRequest)
	if s.quickest == 0 || o.quickest > 0 && o.quickest < s.quickest {
		s.quickest = o.quickest
	}
}

// learn fits a model to what was seen of measured cells, or returns nil where
// they bear none: too few seconds, or CPU that doesn't follow throughput.
func learn(e *experiment.Experiment, cells []Cell, each []seen) *Model {
	var all seen
	for _, s := range each {
		all.add(s)
	}
	if all.work.n < leastSeconds {
		return nil
	}
	work := all.work.line()
	if work.slope <= 0 || work.fit < leastFit {
		return nil
	}
	m := &Model{ask: asked(e), ceiling: math.Inf(1), Idle: work.base, Demand: work.slope, Quickest: all.quickest}
	grows := all.byRequest.line()
	m.Per = PerRequest
	if by := all.byUsers.line(); by.fit >= grows.fit {
		grows, m.Per = by, PerUser
	}
	m.Base, m.Each = grows.base, grows.slope
	m.cap(cells)
	return m
}

// cap notes the most load at which a cell failed for something that more of its
// limits doesn't cure: workers, a lock, a queue.
func (m *Model) cap(cells []Cell) {
	for _, c := range cells {
		at, ok := capacity(c)
		if !ok || c.Cause == nil || slices.Contains([]Label{CauseUnknown, CauseCrash}, c.Cause.Label) {
			continue
		}
		if _, _, limited := resource(c.Cause.Label); !limited && (m.beyond == "" || at > m.ceiling) {
			m.ceiling, m.beyond = at, c.Cause.Label
		}
	}
}

// capacity returns the load at which a cell fails, the middle of its bracket,
// where that is known closely.
func capacity(c Cell) (float64, bool) {
	if !c.Outcome.Failed() || c.LastPass == nil || c.FirstFail == nil || c.LastPass.Users == 0 {
		return 0, false
	}
	last, first := float64(c.LastPass.Users), float64(c.FirstFail.Users)
	return (last + first) / 2, first <= closely*last
}

// A line is y = base + slope x, and how well it fits (R², at most 1).
type line struct{ base, slope, fit float64 }

// moments are what a line is fitted to: of some points how many there are, their
// means, the sums of squares and products about these, and the least y.
type moments struct{ n, x, y, xx, xy, yy, least float64 }

func momentsAt(x, y float64) moments { return moments{n: 1, x: x, y: y, least: y} }

// add adds the points of o (Chan, Golub and LeVeque).
func (m *moments) add(o moments) {
	switch {
	case o.n == 0:
		return
	case m.n == 0:
		*m = o
		return
	}
	n, dx, dy := m.n+o.n, o.x-m.x, o.y-m.y
	both := m.n * o.n / n
	*m = moments{
		n: n, x: m.x + dx*o.n/n, y: m.y + dy*o.n/n, least: min(m.least, o.least),
		xx: m.xx + o.xx + dx*dx*both, xy: m.xy + o.xy + dx*dy*both, yy: m.yy + o.yy + dy*dy*both,
	}
}

// line fits a line by least squares. Its slope isn't below 0, and its base, what
// there is where x is 0, neither below 0 nor above the least that was seen.
func (m moments) line() line {
	if m.n == 0 {
		return line{}
	}
	l := line{slope: m.xy / m.xx}
	if l.slope < 0 || math.IsNaN(l.slope) { // x doesn't vary
		return line{base: m.y}
	}
	l.base = m.y - l.slope*m.x
	if within := min(max(l.base, 0), m.least); within != l.base {
		l.base, l.slope = within, (m.xy+m.n*m.x*(m.y-within))/(m.xx+m.n*m.x*m.x)
	}
	off := m.y - l.base - l.slope*m.x
	l.fit = 1 - (m.yy-2*l.slope*m.xy+l.slope*l.slope*m.xx+m.n*off*off)/m.yy
	return l
}

// carries returns how much load a cell carries, and what runs out first:
//
//	answers per second  X    = (CPUs - Idle) / Demand                      utilisation law
//	by CPU              Ncpu = X (Z + L)                                   Little's law, answers as slow as they may be
//	by memory           Nmem = the load with which memory is 95 % full
//
// A user's round takes Z + R: it waits, and it is answered in R. Of N users N
// R/(Z+R) are in flight at low load; once CPU is saturated it is N - Z X, which
// soon fills any memory. So a failure of memory can be the CPU's doing, and
// comes later with more CPU.
func (m *Model) carries(l experiment.Limits) (load float64, bound Label) {
	rate := max(0, l.CPU.Float()-m.Idle) / m.Demand
	load, bound = m.byCPU(rate), CauseCPU
	if by := m.byMemory(memoryAtLimit*float64(l.Memory)-m.Base, rate); by < load {
		load, bound = by, CauseMemory
	}
	if m.ceiling < load {
		load, bound = m.ceiling, m.beyond
	}
	return load, bound
}

// byCPU returns the load that so many answers a second are enough for.
func (m *Model) byCPU(rate float64) float64 {
	u := m.ask.users
	if u.Open() {
		return rate
	}
	load := rate * round(u.Wait, m.ask.slow).Seconds()
	if wait := u.Wait.Mean().Seconds(); m.ask.share > 0 && wait > 0 {
		load = min(load, rate*wait/m.ask.share)
	}
	return load
}

// byMemory returns the load that so many bytes are enough for, where rate is
// the most answers per second.
func (m *Model) byMemory(room, rate float64) float64 {
	if room <= 0 {
		return 0
	}
	n := room / m.Each // infinite where memory doesn't grow
	if m.Per == PerUser || m.Each == 0 {
		return n
	}
	u, quickest := m.ask.users, m.Quickest.Seconds()
	if u.Open() {
		return n / quickest
	}
	cycle := round(u.Wait, m.Quickest).Seconds()
	think := u.Wait.Mean().Seconds()
	if u.Wait.Pacing != nil { // who is late doesn't wait
		think = 0
	}
	return min(n*cycle/quickest, max(n+think*rate, cycle*rate))
}

// predict predicts one cell. What follows from its measured neighbours, as long
// as more resources never carry less, it doesn't contradict; where these
// contradict each other, or the model knows too little, there is no prediction.
func (m *Model) predict(l experiment.Limits, cells []Cell) *Prediction {
	load, bound := m.carries(l)
	least, most := bounds(l, cells)
	if math.IsNaN(load) || least > most {
		return nil
	}
	within := func(x float64) int { return int(min(max(x, float64(least)), float64(most), math.MaxInt32)) }
	return &Prediction{Users: within(load), Low: within(load / (1 + m.Worst)), High: within(load * (1 + m.Worst)), Bound: bound}
}

// bounds returns the most load that a measured cell within l carried, and the
// most that one which contains l leaves possible.
func bounds(l experiment.Limits, cells []Cell) (least, most int) {
	most = math.MaxInt
	for _, c := range cells {
		if !c.Measured {
			continue
		}
		failed := math.MaxInt // beyond so much it is known to fail
		if c.Outcome.Failed() {
			failed = 0
			if c.FirstFail != nil {
				failed = max(0, c.FirstFail.Users-1)
			}
		}
		if c.LastPass != nil && c.Trial.Limits.Within(l) {
			least = max(least, min(c.LastPass.Users, failed))
		}
		if l.Within(c.Trial.Limits) {
			most = min(most, failed)
		}
	}
	return least, most
}

// try predicts each measured cell from all others, and so learns how far the
// model errs and whether it is to be trusted.
func (m *Model) try(e *experiment.Experiment, cells []Cell, each []seen) {
	var wrong []string
	sum := 0.0
	for i, c := range cells {
		if !c.Measured || !c.Outcome.Known() {
			continue
		}
		others := slices.Delete(slices.Clone(cells), i, i+1)
		without := learn(e, others, slices.Delete(slices.Clone(each), i, i+1))
		if without == nil {
			continue
		}
		p := without.predict(c.Trial.Limits, others)
		if p == nil {
			continue
		}
		if (p.Users >= m.ask.target) != (c.Outcome == Passed) {
			wrong = append(wrong, c.Trial.Limits.String())
		}
		if at, ok := capacity(c); ok {
			off := math.Abs(float64(p.Users)/at - 1)
			m.Tried++
			sum += off
			m.Worst = max(m.Worst, off)
		}
	}
	m.Error = sum / float64(max(1, m.Tried))
	m.Doubt = m.doubt(wrong)
	m.Trusted = m.Doubt == ""
}

// doubt says why the model isn't trusted, or nothing where it is.
func (m *Model) doubt(wrong []string) string {
	switch {
	case m.Tried < trustCells:
		return fmt.Sprintf("it takes %d cells that fail at a closely known load, not %d", trustCells, m.Tried)
	case m.Error > trustError:
		return fmt.Sprintf("its mean error is over %.0f %%", 100*trustError)
	case len(wrong) > 0:
		return "from the others it says the contrary of what was measured at the target: " + strings.Join(wrong, ", ")
	default:
		return ""
	}
}
