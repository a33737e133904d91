package analysis

import (
	"fmt"
	"strings"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// cause names why a trial failed, as far as what was measured tells; the
// evidence carries the values. The rules, in their order:
//
//	oom_killed            the kernel killed it, or a process of it, for memory
//	crashed               it ended by itself
//	memory_bound          it thrashes at its memory limit, or collects garbage for want of memory
//	cpu_bound             it uses what its CPU limit gives, and is stopped
//	cpu_throttled_bursts  it is stopped often, though it uses little: some answers are late, most aren't
//	backlog               connections find its accept queue full
//	downstream            it answers that what it asks failed it, though CPU and memory are idle
//	concurrency_cap       answers don't grow with the load, though CPU and memory are idle
//	application_error     answers are wrong, though CPU and memory are idle
//	leak                  its memory grows though the load doesn't, whether that fills it or not
//
// Of memory and CPU the one that was short first is the cause: a saturated CPU
// lets requests pile up in memory, and thrashing costs CPU. But a CPU that was
// used up while the objective held isn't what broke a service whose answers
// break down just when it begins to thrash. Only what came before the requests
// that failed had ended can have been the cause.
//
// Whether something behind the service is slow only the service can tell: by
// itself, a cap on concurrency looks the same. 502 and 504 tell (RFC 9110, 15.6:
// what it asked gave no proper answer, or none in time). 503 says that it can't
// now, but not because of whom. A service that sheds load does so to keep those
// quick that it takes, and a slow one behind it makes right answers slow before
// it makes them wrong: where right answers come as quickly and as often as ever,
// or no more of them come however many ask, 503 is taken for a cap of its own,
// else for something behind it. The evidence says so.
func cause(e *experiment.Experiment, v Verdict, r measure.Result, s scanned) *Cause {
	switch v.Outcome {
	case Passed, Open, NotMeasured, Inconclusive:
		return nil
	case OOMKilled:
		return &Cause{Label: CauseOOM, Evidence: append(oomEvidence(v, r), s.before(e)...)}
	case Crashed:
		ended := fmt.Sprintf("the service ended by itself with exit code %d%s%s", r.Exit.Code, signalled(r.Exit.Code), sinceLoad(r))
		return &Cause{Label: CauseCrash, Evidence: append([]string{ended}, s.before(e)...)}
	case NotReady:
		return &Cause{Label: CauseNotReady, Evidence: []string{r.NotReady}}
	case GeneratorLimited:
		return &Cause{Label: CauseGenerator, Evidence: s.instrument(e)}
	case HostLimited:
		return &Cause{Label: CauseHost, Evidence: s.instrument(e)}
	case Breached:
	}
	return s.lead(e, r).cause(v.Breach)
}

func oomEvidence(v Verdict, r measure.Result) []string {
	var out []string
	if r.Exit.OOMKills > 0 {
		out = append(out, fmt.Sprintf("out-of-memory events: %d%s", r.Exit.OOMKills, firstKill(r.Series.Windows)))
	}
	if r.Exit.Died {
		out = append(out, fmt.Sprintf("killed with exit code %d%s", r.Exit.Code, sinceLoad(r)))
	}
	if v.PeakMemory > 0 {
		out = append(out, fmt.Sprintf("peak memory %.0f of %.0f MiB", v.PeakMemory.MiB(), r.Trial.Limits.Memory.MiB()))
	}
	return append(out, growth(r.Trial.Limits, r.Series.Windows)...)
}

// before tells how a service failed that died only later.
func (s scanned) before(e *experiment.Experiment) []string {
	if !s.died || s.bad == s.proof {
		return nil
	}
	sp := s.spans[s.bad]
	return []string{fmt.Sprintf("it had failed before: %s at %.0f s", sp.why(e, s.now), sp.end().Seconds())}
}

// firstKill tells when the first out-of-memory event came, where the service
// lived on to tell.
func firstKill(windows []measure.Window) string {
	for _, w := range windows {
		if w.Usage != nil && w.Usage.OOMKills > 0 {
			return fmt.Sprintf(", the first at %.0f s", w.Start.Seconds())
		}
	}
	return ""
}

// signalled names the signal behind an exit code, as shells write it.
func signalled(code int) string {
	const killed = 128
	name, ok := map[int]string{
		killed + 6: "aborted", killed + 7: "bus error", killed + 9: "killed from outside, without an out-of-memory event",
		killed + 11: "segmentation fault", killed + 15: "told to end",
	}[code]
	if !ok {
		return ""
	}
	return " (" + name + ")"
}

func sinceLoad(r measure.Result) string {
	if r.Loaded.IsZero() || r.Exit.At.IsZero() {
		return " before the load began"
	}
	return fmt.Sprintf(" at %.1f s", r.Exit.At.Sub(r.Loaded).Seconds())
}

// wrong counts answers that came, but weren't right.
func wrong(w measure.Window) uint64 {
	return w.Errors[measure.BadStatus] + w.Errors[measure.BadContent] + w.Errors[measure.Protocol]
}

// instrument tells why seconds didn't count.
func (s scanned) instrument(e *experiment.Experiment) []string {
	var out []string
	for i, sp := range s.spans {
		switch s.marks[i] {
		case generatorLimited:
			out = append(out, sp.excuse(e))
		case hostLimited:
			w := sp.windows[len(sp.windows)-1]
			if w.Effort != nil && w.Usage == nil {
				out = append(out, fmt.Sprintf("host %.0f %% idle while nothing is known of the service's CPU at %.0f s", 100*w.Effort.HostIdle, sp.end().Seconds()))
			} else if w.Effort != nil {
				out = append(out, fmt.Sprintf("host %.0f %% idle while the service had %.2f CPU at %.0f s", 100*w.Effort.HostIdle, w.Usage.CPU, sp.end().Seconds()))
			}
		case open, good, bad, silent, settling:
			continue
		}
		if len(out) == 3 {
			return out
		}
	}
	return out
}

// excuse tells why the generator was the limit, and what of its own it had.
func (s span) excuse(e *experiment.Experiment) string {
	rs := s.doubts(e)
	w := s.windows[len(s.windows)-1]
	reasons := rs.String()
	if w.Effort != nil && spent(w.Effort.Elsewhere) {
		reasons = strings.TrimPrefix(fmt.Sprintf("%s, a host that makes the load %.0f %% idle, %.0f %% of it stolen", reasons, 100*w.Effort.Elsewhere.Idle, 100*w.Effort.Elsewhere.Steal), ", ")
	}
	text := fmt.Sprintf("%s at %.0f s", reasons, s.end().Seconds())
	if w.Effort == nil {
		return text
	}
	effort := *w.Effort
	text += fmt.Sprintf("; it used %.2f", effort.CPU)
	if effort.Cores > 0 {
		text += fmt.Sprintf(" of %.2f", effort.Cores)
	}
	text += " cores"
	if !rs.has(SignalLag) {
		text += fmt.Sprintf(", %s late (p99)", Short(s.all.Lag.Quantile(0.99)))
	}
	if !rs.has(SignalBusy) {
		text += fmt.Sprintf(", a loop busy %.0f %%", 100*effort.Busy)
	}
	if effort.Throttled != nil && !rs.has(SignalThrottled) {
		text += fmt.Sprintf(", stopped in %.0f %% of periods", 100**effort.Throttled)
	}
	return text
}
