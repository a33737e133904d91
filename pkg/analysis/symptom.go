package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// What counts as a shortage. A share is of the limit, or of the time.
const (
	memoryAtLimit  = 0.95
	memoryHigh     = 0.85 // where a runtime's garbage collector begins to fight for room
	memoryRelaxed  = 0.80
	cpuRelaxed     = 0.70
	throttledOften = 0.25
	faultsOften    = 100  // major page faults a second: a thousandth of the time with a fast disk, all of it with a slow one
	stalledOften   = 0.05 // memory pressure, "full"
	costRise       = 1.5  // CPU of an answer over what it was at half the load
	flat           = 2.0  // a median response time over the least one: still the same
	burst          = 5.0  // 99th percentile over a flat median

	lookBack = 5 * time.Second // before the failure: what led to it
	together = 2 * time.Second // what comes so soon after another came with it
)

// lead is what led to a failure.
type lead struct {
	limits   experiment.Limits
	unit     string           // of the load
	windows  []measure.Window // until the requests that failed had ended, and somebody was answered
	from     int              // where to look for a shortage: a little before the failure
	onset    int              // the first window that failed
	quickest time.Duration    // the least median response time
	service  time.Duration    // the least mean service time: how long an answer takes at low load
	cost     cost             // at half the load
}

// lead returns what led to the first failure.
func (s scanned) lead(e *experiment.Experiment, r measure.Result) lead {
	l := lead{limits: r.Trial.Limits, unit: e.Users.Unit(), quickest: s.quickest}
	if s.bad < 0 {
		return l
	}
	failed := s.spans[s.bad]
	waited := failed.latencies(s.now, e.Request.Timeout.Std()).Quantile(0.99)
	to := max(s.spans[s.proof].end(), failed.end()+waited)
	for i, w := range r.Series.Windows {
		if w.Length == 0 || w.Start >= to && !unanswered(w) {
			break
		}
		l.windows = r.Series.Windows[:i+1]
		if w.Start < failed.all.Start-lookBack {
			l.from = i + 1
		}
		if w.Start < failed.all.Start {
			l.onset = i + 1
		}
	}
	for i, sp := range s.spans[:s.bad] {
		if took := sp.all.Service.Mean(); (s.marks[i] == good || s.marks[i] == settling) && took > 0 && (l.service == 0 || took < l.service) {
			l.service = took
		}
	}
	l.cost = costAtHalf(l.windows, failed.users())
	return l
}

// told is how far what was measured tells of a shortage. What isn't known
// could be either, so that no cause is found for want of another's evidence.
type told uint8

const (
	absent told = iota
	possible
	present
)

// A symptom is a shortage of CPU or memory, as one window shows it.
type symptom struct {
	label Label
	in    func(measure.Window) told
	says  func(worst) string
	alone bool // whether it is named though it is only possible, if nothing else is

	thrash bool // whether it is thrashing, which is told from a CPU that is short by what it does to answers
}

// symptoms returns those there are, in the order in which they are named.
func (l lead) symptoms() []symptom {
	return []symptom{
		{label: CauseMemory, in: l.thrashes, says: l.memoryUse, alone: true, thrash: true},
		{label: CauseMemory, in: l.collects, says: l.collecting},
		{label: CauseCPU, in: l.saturated, says: l.cpuUse, alone: true},
		{label: CauseBursts, in: l.bursts, says: l.bursting},
	}
}

// thrashes: memory is at its limit, and the program is read from disk again.
func (l lead) thrashes(w measure.Window) told {
	switch u := w.Usage; {
	case u == nil:
		return possible
	case l.memory(u) < memoryAtLimit:
		return absent
	case u.Faults != nil && *u.Faults >= faultsOften, u.Pressure != nil && u.Pressure.Memory >= stalledOften:
		return present
	case u.Faults == nil, u.Pressure == nil:
		return possible
	default:
		return absent // page cache that fills what is there
	}
}

// collects: garbage collection takes the CPU, since there's hardly any memory
// left.
func (l lead) collects(w measure.Window) told {
	switch u := w.Usage; {
	case u == nil:
		return possible
	case l.memory(u) < memoryHigh, l.cpu(u) < cpuAtLimit, l.cost.none:
		return absent
	case l.cost.unknown, l.thrashes(w) == possible:
		return possible
	case costOf(w) >= costRise*l.cost.seconds:
		return present
	default:
		return absent
	}
}

// saturated: it uses its CPU limit. That it is stopped shows that it wants
// more, except where the limit is all that the host has.
func (l lead) saturated(w measure.Window) told {
	switch u := w.Usage; {
	case u == nil:
		return possible
	case l.cpu(u) < cpuAtLimit:
		return absent
	case u.Throttled != nil && *u.Throttled >= throttledOften, w.Effort != nil && w.Effort.HostIdle < hostIdleFloor:
		return present
	case u.Throttled == nil, w.Effort == nil:
		return possible
	default:
		return absent
	}
}

// bursts: it is stopped for the rest of a period again and again, since its
// threads use up what is theirs at once, though they use little in all.
func (l lead) bursts(w measure.Window) told {
	p50, p99 := w.Response.Quantile(0.5), w.Response.Quantile(0.99)
	uneven := float64(p50) <= flat*float64(l.quickest) && float64(p99) >= burst*float64(p50)
	switch u := w.Usage; {
	case !uneven:
		return absent
	case u == nil:
		return possible
	case l.cpu(u) >= cpuRelaxed:
		return absent
	case u.Throttled == nil:
		return possible
	case *u.Throttled >= throttledOften:
		return present
	default:
		return absent
	}
}

func (l lead) cpu(u *measure.Usage) float64 { return u.CPU / l.limits.CPU.Float() }

func (l lead) memory(u *measure.Usage) float64 { return float64(u.Memory) / float64(l.limits.Memory) }

// crossing returns the first window from which on at least two of three show a
// symptom at least so clearly, or false. One that had begun before anybody
// looked is followed back to where it began.
func (l lead) crossing(in func(measure.Window) told, least told) (at int, ok bool) {
	shows := func(i int) bool { return i >= 0 && i < len(l.windows) && in(l.windows[i]) >= least }
	for i := l.from; i < len(l.windows); i++ {
		if !shows(i) || !shows(i+1) && !shows(i+2) {
			continue
		}
		for shows(i-1) || shows(i-2) {
			if i--; !shows(i) {
				i--
			}
		}
		return i, true
	}
	return 0, false
}

// A candidate is a symptom that was there.
type candidate struct {
	symptom
	at   int  // the window from which on
	sure bool // neither that nor when could be otherwise
}

// candidates returns the symptoms that were there. Thrashing makes answers as
// expensive as garbage collection does, which therefore must have come before it.
func (l lead) candidates() []candidate {
	var out []candidate
	thrashes := len(l.windows) // from when on it is known to
	for _, s := range l.symptoms() {
		at, ok := l.crossing(s.in, possible)
		surely, sure := l.crossing(s.in, present)
		c := candidate{s, at, sure && surely == at}
		if !ok || c.label == CauseMemory && !c.thrash && at >= thrashes {
			continue
		}
		if c.thrash && c.sure {
			thrashes = at
		}
		out = append(out, c)
	}
	return out
}

// shortage returns which of CPU and memory was short first, or broke the
// service, or false where neither was, or it isn't known.
func (l lead) shortage(all []candidate) (Label, bool) {
	switch {
	case len(all) == 0:
		return "", false
	case len(l.broken(all)) > 0:
		return CauseMemory, true
	}
	first := slices.MinFunc(all, func(a, b candidate) int { return cmp.Compare(a.at, b.at) })
	i := slices.IndexFunc(all, func(c candidate) bool { return c.at <= first.at+int(together/time.Second) })
	label := all[i].label
	doubt := slices.ContainsFunc(all, func(c candidate) bool { return !c.sure })
	rival := slices.ContainsFunc(all, func(c candidate) bool { return c.label != label })
	named := slices.ContainsFunc(all, func(c candidate) bool { return c.sure || c.alone })
	return label, named && (!doubt || !rival)
}

// broken tells of answers that broke down as the service began to thrash, just
// when it failed. A service that is short of CPU alone answers late, but as many
// as ever.
func (l lead) broken(all []candidate) []string {
	const most = 0.5 // of the answers before
	i := slices.IndexFunc(all, func(c candidate) bool { return c.thrash && c.sure && c.at > 0 && c.at <= l.onset+1 })
	if i < 0 {
		return nil
	}
	at := all[i].at
	before, since := flow(l.windows[max(0, at-int(lookBack/time.Second)):at]), flow(l.windows[at:])
	if since.answers > most*before.answers {
		return nil
	}
	return []string{fmt.Sprintf("answers fell from %s/s to %s/s as it began to thrash", whole(before.answers), whole(since.answers))}
}

// cause names what kept the service from its objective.
func (l lead) cause(breach *Breach) *Cause {
	all := l.candidates()
	if label, ok := l.shortage(all); ok {
		evidence := l.evidence(all, label)
		if label == CauseMemory {
			evidence = append(evidence, l.broken(all)...)
			if g, ok := leak(l.limits, l.windows[:l.onset]); ok && g.left <= lookBack { // that is what filled it
				return &Cause{Label: CauseLeak, Evidence: append([]string{g.String()}, evidence...)}
			}
			evidence = append(evidence, growth(l.limits, l.windows)...)
		}
		return &Cause{Label: label, Evidence: evidence}
	}
	evidence := l.evidence(all, "")
	for _, rule := range []struct {
		label Label
		says  func() []string
	}{
		{CauseBacklog, l.backlog},
		{CauseDownstream, func() []string { return l.downstream(breach) }},
		{CauseConcurrency, l.capped},
		{CauseConcurrency, func() []string { return l.sheds(breach) }},
		{CauseApplication, func() []string { return l.misanswers(breach) }},
		{CauseLeak, l.leaks},
	} {
		if says := rule.says(); len(says) > 0 {
			return &Cause{Label: rule.label, Evidence: append(says, evidence...)}
		}
	}
	return &Cause{Label: CauseUnknown, Evidence: evidence}
}

// evidence tells of all shortages, those of the cause before others, and what
// came first before what came later; and then how much of the limits was used.
func (l lead) evidence(all []candidate, label Label) []string {
	top := l.worst()
	if top == (worst{}) {
		return []string{"the engine told nothing of the service's CPU and memory"}
	}
	var out []string
	told := map[string]bool{}
	all = slices.SortedStableFunc(slices.Values(all), func(a, b candidate) int { return cmp.Compare(a.at, b.at) })
	for _, mine := range []bool{true, false} {
		for _, c := range all {
			_, seen := l.crossing(c.in, present)
			if (c.label == label) != mine || !seen && !c.alone {
				continue
			}
			text := c.says(top)
			told[text] = true
			out = append(out, fmt.Sprintf("%s, from %.0f s on", text, l.windows[c.at].Start.Seconds()))
		}
	}
	for _, says := range []string{l.cpuUse(top), l.memoryUse(top)} {
		if !told[says] {
			out = append(out, says)
		}
	}
	return out
}

// worst is the most that windows show of each.
type worst struct {
	seen                        bool
	cpu, memory                 float64 // shares of the limits
	throttled, faults, pressure float64 // less than 0 where it isn't known
	cost                        float64 // CPU seconds of an answer, where it doesn't thrash
}

func (l lead) worst() worst {
	top := worst{throttled: -1, faults: -1, pressure: -1}
	for _, w := range l.windows[l.from:] {
		u := w.Usage
		if u == nil {
			continue
		}
		top.seen = true
		top.cpu, top.memory = max(top.cpu, l.cpu(u)), max(top.memory, l.memory(u))
		if l.thrashes(w) != present {
			top.cost = max(top.cost, costOf(w))
		}
		if u.Throttled != nil {
			top.throttled = max(top.throttled, *u.Throttled)
		}
		if u.Faults != nil {
			top.faults = max(top.faults, *u.Faults)
		}
		if u.Pressure != nil {
			top.pressure = max(top.pressure, u.Pressure.Memory)
		}
	}
	if !top.seen {
		return worst{}
	}
	return top
}

// relaxed reports whether CPU and memory are known, and were idle. Where one may
// have been short, for all that is known, it isn't known.
func (l lead) relaxed() bool {
	top := l.worst()
	return top.seen && top.cpu < cpuRelaxed && top.memory < memoryRelaxed && top.throttled < throttledOften && len(l.candidates()) == 0
}

func (l lead) cpuUse(top worst) string {
	text := fmt.Sprintf("CPU %.2f of %s used", top.cpu*l.limits.CPU.Float(), l.limits.CPU)
	if top.throttled >= 0 {
		text += fmt.Sprintf(", stopped in %.0f %% of periods", 100*top.throttled)
	}
	return text
}

func (l lead) memoryUse(top worst) string {
	text := fmt.Sprintf("working set %.0f of %.0f MiB", top.memory*l.limits.Memory.MiB(), l.limits.Memory.MiB())
	if top.faults >= 1 {
		text += fmt.Sprintf(", %s major page faults/s", whole(top.faults))
	}
	if top.pressure >= 0.005 {
		text += fmt.Sprintf(", stalled for memory %.0f %% of the time", 100*top.pressure)
	}
	return text
}

func (l lead) collecting(top worst) string {
	return fmt.Sprintf("an answer cost %s of CPU, %.1f times as much as at half the load, while memory was %.0f %% full: garbage collection",
		Short(seconds(top.cost)), top.cost/l.cost.seconds, 100*top.memory)
}

func (l lead) bursting(top worst) string {
	return fmt.Sprintf("stopped in %.0f %% of periods though it used little of its CPU in all: bursts", 100*top.throttled)
}

// cost is the CPU that an answer takes.
type cost struct {
	seconds float64
	none    bool // nobody was answered at that load
	unknown bool // what was used isn't known of every second
}

// costAtHalf returns the cost in the windows with about half of the users.
func costAtHalf(windows []measure.Window, users float64) cost {
	const from, to = 0.4, 0.6
	var cpu, answers float64
	for _, w := range windows {
		if n := float64(w.Users); n < from*users || n > to*users || w.Sent == 0 {
			continue
		}
		if w.Usage == nil {
			return cost{unknown: true}
		}
		cpu += w.Usage.CPU * w.Length.Seconds()
		answers += worked(w)
	}
	return cost{seconds: cpu / max(1, answers), none: cpu == 0 || answers == 0}
}

func costOf(w measure.Window) float64 {
	if w.Usage == nil || worked(w) == 0 {
		return 0
	}
	return w.Usage.CPU * w.Length.Seconds() / worked(w)
}

// worked returns how many requests a window's CPU was used for. Those whose
// users have given up cost as much as others.
func worked(w measure.Window) float64 { return float64(max(w.Sent, w.Answered)) }
