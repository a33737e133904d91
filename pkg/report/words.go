package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// none stands where there is nothing to tell.
const none = "-"

// plain turns the names of the file formats into words: "oom_killed" into
// "OOM-killed", "cpu_bound" into "CPU bound".
func plain(name string) string {
	return strings.NewReplacer("oom_", "OOM-", "cpu_", "CPU ", "_", " ").Replace(name)
}

// outcome says how a cell ended: "p99 breached", "crashed (exit 3)".
func (r Run) outcome(c analysis.Cell) string {
	switch c.Outcome {
	case analysis.Open:
		return "still open"
	case analysis.Breached:
		if c.Breach != nil {
			if c.Breach.Objective == "alive" {
				return "stopped answering"
			}
			return clean(c.Breach.Objective, nameLength) + " breached"
		}
	case analysis.Crashed:
		if res := r.result(c.Trial); res != nil {
			return fmt.Sprintf("crashed (exit %d)", res.Exit.Code)
		}
	case analysis.NotMeasured:
		if c.Inferred != "" {
			return inferred(c)
		}
	case analysis.Passed, analysis.OOMKilled, analysis.NotReady, analysis.GeneratorLimited,
		analysis.HostLimited, analysis.Inconclusive:
	}
	return plain(string(c.Outcome))
}

// inferred says what follows for a cell, in brackets: it wasn't seen.
func inferred(c analysis.Cell) string { return "(" + string(c.Inferred) + ")" }

// follows says from which cell it follows.
func follows(c analysis.Cell) string {
	if c.Inferred == analysis.InferredPassed {
		return "not measured: the smaller " + named(c.From) + " passed"
	}
	return "not measured: the bigger " + named(c.From) + " failed"
}

// legend explains what the tables show only where something isn't plain.
func (r Run) legend() []string {
	var out []string
	if slices.ContainsFunc(r.Surface.Cells, func(c analysis.Cell) bool { return !c.Measured && c.Inferred != "" }) {
		out = append(out, "(failed), (passed): not measured, but a bigger one failed, or a smaller one passed")
	}
	if slices.ContainsFunc(r.Surface.Cells, r.promised) {
		worst := 0.0 // of the models of all settings
		for _, c := range r.Surface.Cells {
			if r.promised(c) {
				worst = max(worst, r.model(c).Error)
			}
		}
		out = append(out, fmt.Sprintf("(about 1,000): so many %s are predicted, not measured; the model's mean error is %s", r.unit(), percent(worst)))
	}
	if slices.ContainsFunc(r.Surface.Cells, rough) {
		out = append(out, "~: where a ramp failed; no start of its own held that level")
	}
	if r.repeated() {
		out = append(out, "Starts: how many agree with the outcome, of how many that decide it")
	}
	return slices.Concat(r.headroomed(), r.certified(), out, r.priced())
}

// set reports whether cells set something besides their limits.
func (r Run) set() bool {
	return slices.ContainsFunc(r.Surface.Cells, func(c analysis.Cell) bool { return c.Trial.Limits.Setting() != experiment.Setting{} })
}

// named names a cell.
func named(l experiment.Limits) string { return clean(l.String(), lineLength) }

// setting names what a cell sets besides its limits.
func setting(c analysis.Cell) string {
	return dash(clean(c.Trial.Limits.Setting().String(), lineLength))
}

// rough reports whether a cell's bracket is only a ramp's.
func rough(c analysis.Cell) bool { return c.Outcome.Failed() && !c.Proved && c.FirstFail != nil }

// started names one of a cell's starts: "start 1", "start 1 holding 6,175 users".
func (r Run) started(t experiment.Trial) string {
	text := fmt.Sprintf("start %d", t.Replicate)
	if t.Hold > 0 {
		text += fmt.Sprintf(" holding %s %s", analysis.Thousands(t.Hold), r.unit())
	}
	return text
}

// repeated reports whether more than one start decides a cell.
func (r Run) repeated() bool {
	return slices.ContainsFunc(r.Surface.Cells, func(c analysis.Cell) bool { return len(c.Deciding) > 1 })
}

// open reports whether the load was requests a second.
func (r Run) open() bool { return r.Experiment != nil && r.Experiment.Users.Open() }

// unit returns what the load is counted in, short enough for the head of a
// table.
func (r Run) unit() string {
	if r.open() {
		return "req/s"
	}
	return "users"
}

// bracket says between which levels of the load a cell fails, both really run.
func bracket(c analysis.Cell, unit string) string {
	last, first := c.LastPass, c.FirstFail
	switch {
	case c.Outcome == analysis.NotMeasured && c.Inferred != "":
		return inferred(c)
	case c.Outcome == analysis.NotMeasured:
		return "not measured"
	case c.Outcome == analysis.NotReady:
		return "never ready"
	case c.Outcome == analysis.Passed && last != nil:
		return "carries " + analysis.Thousands(last.Users)
	case failsHolding(c):
		return "fails holding " + analysis.Thousands(first.Users)
	case last != nil && first != nil:
		return tilde(c) + analysis.Thousands(last.Users) + " – " + analysis.Thousands(first.Users) + " " + unit
	case first != nil:
		return "below " + tilde(c) + analysis.Thousands(first.Users) + " " + unit
	case last != nil:
		return "at least " + analysis.Thousands(last.Users)
	case c.Outcome.Failed():
		return "carries none"
	default:
		return "unknown"
	}
}

// tilde stands before a bracket that is only a ramp's.
func tilde(c analysis.Cell) string {
	if rough(c) {
		return "~"
	}
	return ""
}

// cause names why a cell failed, or nothing.
func cause(c analysis.Cell) string {
	if c.Cause == nil {
		return ""
	}
	return plain(string(c.Cause.Label))
}

// notes are what a reader of a cell must know besides its numbers.
func notes(c analysis.Cell) []string {
	var out []string
	if c.Why != "" {
		out = append(out, clean("not measured: "+c.Why, lineLength))
	}
	if s := c.Spread(); s != nil {
		out = append(out, fmt.Sprintf("last passes of %d starts: %s to %s, which holds their median with %s confidence",
			s.Starts, analysis.Thousands(s.Low), analysis.Thousands(s.High), percent(s.Confidence)))
	}
	return append(out, warnings(c.Verdict)...)
}

// held says what holds showed of each level of a cell.
func held(c analysis.Cell) string {
	var parts []string
	for _, h := range c.Levels {
		words := map[analysis.Class]string{analysis.Lower: "held", analysis.Upper: "not held", analysis.Undecided: "undecided"}[h.Class]
		parts = append(parts, fmt.Sprintf("%s %s (%d of %d)", analysis.Thousands(h.Users), words, h.Passed, h.Passed+h.Failed+h.Untold))
	}
	return strings.Join(parts, ", ")
}

// levels returns what holds showed of each cell's levels.
func (r Run) levels() []string {
	var items []string
	for _, c := range r.Surface.Cells {
		if text := held(c); text != "" {
			items = append(items, fmt.Sprintf("%s: %s %s", named(c.Trial.Limits), text, r.unit()))
		}
	}
	return items
}

func warnings(v analysis.Verdict) []string {
	var out []string
	for _, w := range v.Warnings {
		out = append(out, clean(w, lineLength))
	}
	return out
}

// least names the minimal viable configuration, or nothing.
func (r Run) least() string {
	m := r.Surface.Minimal
	if m == nil {
		return ""
	}
	price := dollars(m.PriceHour) + "/h"
	if m.PricePerMillion > 0 {
		price += ", " + fine(m.PricePerMillion) + " per million answers"
	}
	return fmt.Sprintf("minimal viable: %s, %s, %.2f times the %s asked for", named(m.Limits), price, m.Headroom, r.unit())
}

// certified says on what it rests that the minimal configuration is the least,
// or nothing.
func (r Run) certified() []string {
	if m := r.Surface.Minimal; m != nil && m.Certificate != "" {
		return []string{"certified: " + clean(m.Certificate, lineLength)}
	}
	return nil
}

// priced says whose price it is, where it isn't the experiment's own.
func (r Run) priced() []string {
	if r.Experiment == nil || r.Experiment.Price.Source() == "" {
		return nil
	}
	return []string{"prices: " + r.Experiment.Price.Source()}
}

func dollars(x float64) string { return "$" + strconv.FormatFloat(x, 'f', 4, 64) }

// fine writes dollars to four decimals, or to as many as two digits take.
func fine(x float64) string {
	if x <= 0 || x >= 0.001 {
		return dollars(x)
	}
	return "$" + strconv.FormatFloat(x, 'f', 1-int(math.Floor(math.Log10(x))), 64)
}

// number writes x with separators, to a tenth below 100.
func number(x float64) string {
	if x < 99.95 {
		return strconv.FormatFloat(math.Round(10*x)/10, 'f', -1, 64)
	}
	return analysis.Thousands(int(math.Round(x)))
}

// caption says how the numbers came about, without which they mean little.
func (r Run) caption() string {
	var parts []string
	if e := r.Experiment; e != nil {
		parts = append(parts, pace(e.Users)...)
	}
	parts = append(parts, "objective "+r.Surface.Objective.String())
	if h := r.Manifest.Host; h.CPUs > 0 {
		parts = append(parts, clean(fmt.Sprintf("host %d CPUs, %s MiB, %s %s", h.CPUs, number(math.Floor(h.Memory.MiB())), h.Architecture, h.Kernel), lineLength))
	}
	return strings.Join(append(parts, "run "+clean(r.ID, nameLength)), "  ·  ")
}

// pace says how fast the load grows, and how long users wait.
func pace(u experiment.Users) []string {
	fastest := number(u.Ramp().Rate())
	if u.Open() {
		return []string{"open load, " + fastest + " req/s more a second"}
	}
	return []string{"ramp " + fastest + " users/s", "wait " + wait(u.Wait)}
}

func wait(w experiment.Wait) string {
	switch {
	case w.Pacing != nil:
		return "pacing " + w.Pacing.String()
	case len(w.Between) == 2:
		return w.Between[0].String() + " to " + w.Between[1].String()
	case w.Constant != nil:
		return w.Constant.String()
	default:
		return "none"
	}
}
