package analysis

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// undecidedAfter is how many seconds running may decide nothing before the
// load is given up: it only burns time that tells nothing of the service.
const undecidedAfter = 10 * time.Second

// holdShare is the least share of the hold's seconds that must count, and of
// those the least that must be good, for the hold to prove the target.
const (
	holdCounts = 0.5
	holdGood   = 0.9
)

// Watch judges a load that is still running. Its outcome is [Open] until what
// has been seen decides the trial; then the load can be stopped, for [Judge]
// will come to the same outcome.
func Watch(e *experiment.Experiment, t experiment.Trial, series measure.Series) Verdict {
	e = e.Of(t)
	s, stall := scanUntilStall(e, t, series.Windows, series.At, false)
	v := Verdict{Trial: t, LastPass: s.lastPass(e)}
	switch {
	case stall > 0:
		v.Outcome, v.FirstFail, v.Breach = Breached, s.firstFail(e), noAnswer(stall)
	case s.proven:
		v.Outcome, v.FirstFail, v.Breach = Breached, s.firstFail(e), &s.failed.Breach
	case s.idle >= undecidedAfter:
		v.Outcome = s.undecided()
	}
	return v.ofHold()
}

// ofHold takes the last pass away from a hold that failed: no level was held.
func (v Verdict) ofHold() Verdict {
	if v.Trial.Hold > 0 && v.Outcome != Passed {
		v.LastPass = nil
	}
	return v
}

// Judge judges a trial that has ended. It depends on nothing but its
// arguments, so it says the same whenever it is asked.
func Judge(e *experiment.Experiment, r measure.Result) Verdict {
	e = e.Of(r.Trial)
	v := Verdict{Trial: r.Trial, PeakMemory: peakMemory(r), Warnings: append([]string(nil), r.Warnings...)}
	windows, last, now := ended(r.Series.Windows), []measure.Window(nil), r.Series.At
	dead := diedUnderLoad(r)
	if dead {
		now = r.Exit.At.Sub(r.Loaded)
		windows, last = split(windows, now)
		windows = alive(windows)
	}
	s, stall := scanUntilStall(e, r.Trial, windows, now, true)
	s.end(windows, last)
	v.LastPass = s.lastPass(e)
	v.CPUSecondsPerRequest = cpuPerRequest(s)
	switch {
	case dead:
		v.Outcome, v.Breach = died(r.Exit), &Breach{Objective: "alive", Observed: string(died(r.Exit))}
		v.FirstFail = s.firstFail(e)
	case !r.Ready:
		v.Outcome = NotReady
		v.Breach = &Breach{Objective: "ready", Observed: r.NotReady, Limit: e.Service.Ready.Within.String()}
	case stall > 0:
		v.Outcome, v.FirstFail, v.Breach = failed(r.Exit), s.firstFail(e), noAnswer(stall)
	case s.proven:
		v.Outcome, v.FirstFail, v.Breach = failed(r.Exit), s.firstFail(e), &s.failed.Breach
	default:
		s.conclude(e, &v)
	}
	v = v.ofHold()
	v.Cause, v.Void = cause(e, v, r, s), s.void()
	v.Seconds = observe(r, v)
	for _, told := range [][]string{aftermath(v, r), s.warnings(e), s.degraded(e), s.eased(e, v), s.blurred(e, v), little(e, windows), thin(e, v, windows)} {
		v.Warnings = append(v.Warnings, told...)
	}
	return v
}

// diedUnderLoad reports whether the service died before the load was taken
// away. That all its connections break then is more than it was asked to stand.
func diedUnderLoad(r measure.Result) bool {
	return r.Exit.Died && (!r.Ready || !r.Exit.At.After(r.Loaded.Add(r.Series.At+time.Second)))
}

// aftermath tells what befell the service without deciding the outcome.
func aftermath(v Verdict, r measure.Result) []string {
	var out []string
	if r.Exit.Died && !diedUnderLoad(r) {
		out = append(out, fmt.Sprintf("the service ended with exit code %d when the load was taken away", r.Exit.Code))
	}
	if r.Exit.OOMKills > 0 && v.Outcome != OOMKilled {
		out = append(out, fmt.Sprintf("the kernel killed a process of the service for memory, %d times", r.Exit.OOMKills))
	}
	return out
}

// ended returns the windows without the last seconds' that were only begun.
func ended(windows []measure.Window) []measure.Window {
	for n := len(windows); n > 0; n-- {
		if windows[n-1].Length > 0 {
			return windows[:n]
		}
	}
	return nil
}

func died(exit measure.Exit) Outcome {
	if exit.OOMKilled || exit.OOMKills > 0 {
		return OOMKilled
	}
	return Crashed
}

// failed is the outcome of a service that lives, but failed.
func failed(exit measure.Exit) Outcome {
	if exit.OOMKills > 0 {
		return OOMKilled
	}
	return Breached
}

func noAnswer(stall time.Duration) *Breach {
	return &Breach{Objective: "alive", Observed: "no answer for " + experiment.Duration(stall).String()}
}

// A service that has answered, and then answers nobody for stallAfter and for
// stallTimes the median response time, though users wait, is dead in all but
// name. Without this rule it would only fail when its requests time out, and at
// the level at which they had been sent, long before it stalled.
const (
	stallAfter = 10 * time.Second
	stallTimes = 5
)

// scanUntilStall is scan up to where the service stopped answering, if it did:
// stall is for how long at least, 0 if it didn't or had failed before.
func scanUntilStall(e *experiment.Experiment, t experiment.Trial, windows []measure.Window, now time.Duration, ended bool) (s scanned, stall time.Duration) {
	at, stall := stalled(e, t.Limits, windows)
	if stall == 0 {
		return scan(e, t, windows, now, ended), 0
	}
	if s = scan(e, t, windows[:at], now, ended); s.proven {
		return s, 0
	}
	s.end(windows[:at], windows[at:at+1])
	return s, stall
}

// unanswered reports whether nobody was answered in a window, though requests
// wait. A wrong answer is an answer too.
func unanswered(w measure.Window) bool {
	return w.InFlight > 0 && w.Answered == 0 && wrong(w) == 0
}

// stalled returns the first window of a stall, and how long a silence made it
// one. In most seconds of it neither the generator nor the host may have been
// the limit.
func stalled(e *experiment.Experiment, limits experiment.Limits, windows []measure.Window) (at int, stall time.Duration) {
	var void time.Duration
	for i, w := range windows {
		if !unanswered(w) {
			at, void = i+1, 0
			continue
		}
		if decidesNothing(e, limits, w) {
			void += w.Length
		}
		silence := w.End() - windows[at].Start
		if silence < stallAfter || void > silence/2 {
			continue
		}
		if median := answered(windows[:at]).Quantile(0.5); median > 0 && silence >= stallTimes*median {
			return at, silence
		}
	}
	return 0, 0
}

func decidesNothing(e *experiment.Experiment, limits experiment.Limits, w measure.Window) bool {
	s := pool([]measure.Window{w})
	return s.doubts(e).validity() == Invalid || s.starved(limits) || s.outrun(limits)
}

// answered returns the response times of all right answers.
func answered(windows []measure.Window) measure.Histogram {
	var all measure.Histogram
	for _, w := range windows {
		all.Merge(w.Response)
	}
	return all
}

// split parts the windows in which the service lived from those in which it
// died and after. Those after tell nothing: nobody was there to answer.
func split(windows []measure.Window, death time.Duration) (lived, died []measure.Window) {
	for i, w := range windows {
		if w.End() >= death || i == len(windows)-1 {
			return windows[:i], windows[i : i+1]
		}
	}
	return nil, nil
}

// alive returns the windows as they were when the service died: requests that
// it took with it still waited then. No more were taken from those windows than
// waited at their end; what broke besides had broken before.
func alive(windows []measure.Window) []measure.Window {
	if len(windows) == 0 {
		return nil
	}
	out := slices.Clone(windows)
	for i, waited := len(out)-1, uint64(out[len(out)-1].InFlight); i >= 0 && waited > 0; i-- {
		w := &out[i]
		w.Errors = maps.Clone(w.Errors)
		for _, class := range []measure.Class{measure.Reset, measure.Refused} {
			if taken := min(waited, w.Errors[class]); taken > 0 {
				waited, w.Errors[class] = waited-taken, w.Errors[class]-taken
			}
		}
	}
	return out
}

// conclude decides a trial in which nothing failed for sure: it passed if the
// seconds at the target bear it out. Of a hold, all its requests must too.
func (s *scanned) conclude(e *experiment.Experiment, v *Verdict) {
	var held, counted, goods, unsettled time.Duration
	var at []measure.Window
	var requests uint64
	for i, sp := range s.spans {
		if sp.all.Users < e.Users.Target || s.marks[i] == silent || sp.all.Start < s.from {
			continue
		}
		held += sp.all.Length
		switch s.marks[i] {
		case good:
			counted, goods = counted+sp.all.Length, goods+sp.all.Length
			at, requests = append(at, sp.windows...), sp.requests
		case bad:
			counted += sp.all.Length
		case open:
			unsettled += sp.all.Length
		case generatorLimited, hostLimited, silent, settling:
		}
	}
	held = max(held, planned(e.Users, s.from)) // a load that was given up early held less
	v.Outcome = s.undecided()
	hold := v.Trial.Hold > 0
	enough := float64(goods) >= holdGood*float64(counted)
	switch {
	case counted == 0 || float64(counted) < holdCounts*float64(held):
		if hold && v.Outcome == Inconclusive {
			v.doubt(fmt.Sprintf("of %s at this level %s counted", held.Round(time.Second), counted.Round(time.Second)))
		}
		return
	case !hold && (!enough || goods == 0):
		return
	}
	v.Outcome = Passed
	if goods > 0 {
		level := pool(at)
		level.all.Length, level.requests = goods, requests
		v.LastPass = level.level(e, s.now, s.quickest)
		v.LastPass.At = s.spans[len(s.spans)-1].end()
	}
	if hold {
		s.prove(e, v)
		enough = float64(goods) >= holdGood*float64(counted+unsettled)
	}
	if v.Outcome == Passed && !enough {
		v.doubt(fmt.Sprintf("of %s at this level %s were good: it takes %.0f %%", (counted + unsettled).Round(time.Second), goods.Round(time.Second), 100*holdGood))
	}
}

// planned returns how long the ramp asks for the target from some time on, in
// whole seconds.
func planned(u experiment.Users, from time.Duration) (d time.Duration) {
	ramp := u.Ramp()
	for at := from; at < ramp.Length(); at += time.Second {
		if n, _ := ramp.Users(at); n >= u.Target {
			d += time.Second
		}
	}
	return d
}

// undecided says why nothing was decided: what was the limit for most seconds.
func (s scanned) undecided() Outcome {
	var generator, host time.Duration
	for i, sp := range s.spans {
		switch s.marks[i] {
		case generatorLimited:
			generator += sp.all.Length
		case hostLimited:
			host += sp.all.Length
		case open, good, bad, silent, settling:
		}
	}
	switch {
	case generator == 0 && host == 0:
		return Inconclusive
	case host > generator:
		return HostLimited
	default:
		return GeneratorLimited
	}
}

// warnings tells what a reader of the verdict must know besides.
func (s scanned) warnings(e *experiment.Experiment) []string {
	var out []string
	var skipped time.Duration
	for i, sp := range s.spans {
		switch {
		case s.marks[i] == generatorLimited || s.marks[i] == hostLimited:
			skipped += sp.all.Length
		case s.died: // what was in flight then failed with it
		case s.marks[i] == bad && (s.bad < 0 || i < s.bad):
			out = append(out, fmt.Sprintf("one bad second at %s %s (%s) that passed by itself", Thousands(sp.all.Users), e.Users.Unit(), sp.why(e, s.now)))
		}
	}
	if skipped > 0 {
		out = append(out, fmt.Sprintf("%s of load didn't count: the generator or the host was the limit", skipped.Round(time.Second)))
	}
	return out
}

// why returns the breach of a bad span in words.
func (s span) why(e *experiment.Experiment, now time.Duration) string {
	if b, _ := s.breach(e, now); b != nil {
		return b.Objective + " " + b.Observed
	}
	return ""
}

func peakMemory(r measure.Result) experiment.Bytes {
	peak := experiment.Bytes(0)
	if r.Exit.PeakMemory != nil {
		peak = *r.Exit.PeakMemory
	}
	for _, w := range r.Series.Windows {
		if w.Usage != nil {
			peak = max(peak, w.Usage.Memory)
		}
	}
	return peak
}

// cpuPerRequest returns the CPU seconds of a right answer over the good spans
// (the utilisation law: busy time by completions), or 0 where it isn't known.
func cpuPerRequest(s scanned) float64 {
	var cpu float64
	var done uint64
	for i, sp := range s.spans {
		if s.marks[i] != good {
			continue
		}
		for _, w := range sp.windows {
			if w.Usage != nil {
				cpu += w.Usage.CPU * w.Length.Seconds()
				done += w.Done
			}
		}
	}
	if done == 0 {
		return 0
	}
	return cpu / float64(done)
}
