package analysis

import (
	"fmt"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// What counts as being at a limit.
const (
	memoryAtLimit  = 0.95
	throttledOften = 0.25
	cpuRelaxed     = 0.70
	lookBack       = 5 * time.Second // before the failure: what led to it
)

// cause names why a trial failed, as far as what was measured tells. The
// first rule that fits wins; the evidence carries the values.
func cause(e *experiment.Experiment, v Verdict, r measure.Result, s scanned) *Cause {
	switch v.Outcome {
	case Passed, Open, NotMeasured, Inconclusive:
		return nil
	case OOMKilled:
		return &Cause{Label: CauseOOM, Evidence: oomEvidence(v, r)}
	case Crashed:
		return &Cause{Label: CauseCrash, Evidence: []string{fmt.Sprintf("the service ended by itself with exit code %d%s", r.Exit.Code, sinceLoad(r))}}
	case NotReady:
		return &Cause{Label: CauseNotReady, Evidence: []string{r.NotReady}}
	case GeneratorLimited:
		return &Cause{Label: CauseGenerator, Evidence: s.instrument(e)}
	case HostLimited:
		return &Cause{Label: CauseHost, Evidence: s.instrument(e)}
	case Breached:
	}
	return breachCause(r.Trial.Limits, s.before(r.Series.Windows))
}

func oomEvidence(v Verdict, r measure.Result) []string {
	var out []string
	if r.Exit.OOMKills > 0 {
		out = append(out, fmt.Sprintf("out-of-memory events: %d", r.Exit.OOMKills))
	}
	if r.Exit.Died {
		out = append(out, fmt.Sprintf("killed with exit code %d%s", r.Exit.Code, sinceLoad(r)))
	}
	if v.PeakMemory > 0 {
		out = append(out, fmt.Sprintf("peak memory %.0f of %.0f MiB", v.PeakMemory.MiB(), r.Trial.Limits.Memory.MiB()))
	}
	return out
}

func sinceLoad(r measure.Result) string {
	if r.Loaded.IsZero() || r.Exit.At.IsZero() {
		return " before the load began"
	}
	return fmt.Sprintf(" at %.1f s", r.Exit.At.Sub(r.Loaded).Seconds())
}

// before returns the windows that led to the failure, until it was proven: a
// request counts in the second in which it was due, but what kept it waiting
// may have come a little later.
func (s scanned) before(windows []measure.Window) []measure.Window {
	if s.bad < 0 {
		return nil
	}
	from, to := s.spans[s.bad].all.Start-lookBack, s.spans[s.proof].end()
	var out []measure.Window
	for _, w := range windows {
		if w.Start >= from && w.Start < to {
			out = append(out, w)
		}
	}
	return out
}

// breachCause reads the service's use of its limits in the windows that led
// to the breach.
func breachCause(limits experiment.Limits, windows []measure.Window) *Cause {
	var cpu, memory float64
	var throttled *float64
	all := measure.Window{}
	seen := false
	for _, w := range windows {
		all.Merge(w)
		if w.Usage == nil {
			continue
		}
		seen = true
		cpu = max(cpu, w.Usage.CPU/limits.CPU.Float())
		memory = max(memory, float64(w.Usage.Memory)/float64(limits.Memory))
		if t := w.Usage.Throttled; t != nil && (throttled == nil || *t > *throttled) {
			throttled = t
		}
	}
	if !seen {
		return &Cause{Label: CauseUnknown, Evidence: []string{"the engine told nothing of the service's CPU and memory"}}
	}
	evidence := []string{fmt.Sprintf("CPU %.2f of %s used", cpu*limits.CPU.Float(), limits.CPU)}
	if throttled != nil {
		evidence[0] += fmt.Sprintf(", stopped in %.0f %% of periods", 100**throttled)
	}
	evidence = append(evidence, fmt.Sprintf("working set %.0f of %.0f MiB", memory*limits.Memory.MiB(), limits.Memory.MiB()))
	label := CauseUnknown
	switch {
	case memory >= memoryAtLimit:
		label = CauseMemory
	case cpu >= cpuAtLimit && (throttled == nil || *throttled >= throttledOften):
		label = CauseCPU
	case cpu < cpuRelaxed && wrong(all) > all.Failed()/2:
		label = CauseApplication
		evidence = append(evidence, fmt.Sprintf("%d answers with a wrong status or content", wrong(all)))
	}
	return &Cause{Label: label, Evidence: evidence}
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
		case open, good, bad, silent:
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
	text := fmt.Sprintf("%s at %.0f s", rs, s.end().Seconds())
	w := s.windows[len(s.windows)-1]
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
