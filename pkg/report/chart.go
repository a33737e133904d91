package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Sizes of a chart, in columns and rows of a terminal.
const (
	narrowest   = 60
	widest      = 120
	chartHeight = 8
	gutter      = 10 // for what stands left of the axis
	timeParts   = 4  // parts of the time axis
)

// Charts draws for a terminal which cells carry how much, and of each cell the
// ramp that speaks for it: response times, or right answers where the objective
// knows no times, while users come, and where it failed.
//
//	   p99
//	1s max |- - - - - - - - - - - - - - - *|
//	       |                               |
//	       |                     ********* |
//	  10ms |**********************         |
//	       +-----------------------------P-F
//	  time  0s             39s           78s
//	 users  0             3,250        6,500
//	       P last pass 6,160 users at 74s
//	       F first fail 6,330 users at 76s
func Charts(w io.Writer, r Run, look Look) error {
	look.Width = min(max(look.Width, narrowest), widest)
	out := &strings.Builder{}
	for _, line := range r.gridOf(look) {
		out.WriteString(line + "\n")
	}
	for _, c := range r.Surface.Cells {
		res, err := r.spoken(c)
		if err != nil {
			return err
		}
		if res != nil {
			for _, line := range r.chart(c, *res, look) {
				out.WriteString(line + "\n")
			}
			out.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, trimRight(out.String()))
	return err //nolint:wrapcheck // the writer's own
}

// gridOf lays out what each cell carries, where there is more than one cell and
// room for them.
func (r Run) gridOf(look Look) []string {
	cells := map[experiment.Limits]string{}
	var all []experiment.Limits
	for _, c := range r.Surface.Cells {
		text := strings.TrimSpace(bracket(c, ""))
		if r.minimal(c) {
			text = "* " + text
		}
		cells[c.Trial.Limits], all = text, append(all, c.Trial.Limits)
	}
	if len(all) < 2 {
		return nil
	}
	lines := append([]string{r.unit() + " carried, by CPUs and memory:"}, cellGrid(all, func(l experiment.Limits) string { return cells[l] })...)
	for i, line := range lines {
		if lines[i] = look.writing(line); displaywidth.String(lines[i]) > look.Width {
			return nil
		}
	}
	return append(lines, "")
}

// spoken returns the ramp that speaks for a cell, or nil where there is none:
// its verdict's, else the first that was run.
func (r Run) spoken(c analysis.Cell) (*measure.Result, error) {
	for _, v := range append([]analysis.Verdict{c.Verdict}, c.Starts...) {
		if v.Trial.Hold > 0 || r.result(v.Trial) == nil {
			continue
		}
		with, err := r.whole(v.Trial)
		if err != nil {
			return nil, err
		}
		if res := with.result(v.Trial); len(res.Series.Windows) > 0 {
			return res, nil
		}
	}
	return nil, nil // there is none, and no fault
}

// A gauge is what a chart shows of each second.
type gauge struct {
	name  string
	limit float64 // NaN where there is none
	log   bool
	of    func(measure.Window) float64 // NaN where nothing is known
	write func(float64) string
}

// gauge returns what to show of a cell: the response times that the objective
// bounds, those that it was breached by before others; else right answers.
func (r Run) gauge(c analysis.Cell) gauge {
	bounds := r.Surface.Objective.Quantiles()
	if len(bounds) == 0 {
		return gauge{name: "answers/s", limit: math.NaN(), write: number, of: func(w measure.Window) float64 {
			if w.Length == 0 {
				return math.NaN()
			}
			return float64(w.Answered) / w.Length.Seconds()
		}}
	}
	q := bounds[len(bounds)-1]
	for _, b := range bounds {
		if c.Breach != nil && c.Breach.Objective == b.Name {
			q = b
		}
	}
	return gauge{name: q.Name, limit: q.Limit.Seconds(), log: true, of: quantile(q.Q), write: func(s float64) string {
		return analysis.Short(time.Duration(s * float64(time.Second)))
	}}
}

// chart draws one ramp.
func (r Run) chart(c analysis.Cell, res measure.Result, look Look) []string {
	if of := r.judged(res.Trial); of != nil {
		c = *of
	}
	g := r.gauge(c)
	p := newPaper(look, lasted(res.Series.Windows))
	low, high := g.reach(res.Series.Windows)
	for _, stretch := range c.Void {
		p.void(stretch)
	}
	if !math.IsNaN(g.limit) {
		p.level(g.height(g.limit, low, high), g.write(g.limit)+" max")
	}
	p.curve(res.Series.Windows, func(w measure.Window) float64 { return g.height(g.of(w), low, high) })
	p.label(0, g.write(high))
	p.label(chartHeight-1, g.write(low))
	legend := p.marked(r.instants(c, res))

	title := fmt.Sprintf("%s: %s", c.Trial.Limits, strings.Join(parts(r.outcome(c), strings.TrimSpace(bracket(c, r.unit())), cause(c)), ", "))
	lines := append([]string{look.cut(clean(title, lineLength)), look.cut(rightAligned(g.name, gutter-1))}, p.lines()...)
	lines = append(lines, p.axis(), p.scale("time", func(at time.Duration) string { return at.Round(time.Second).String() }),
		p.scale(r.unit(), func(at time.Duration) string { return analysis.Thousands(usersAt(res.Series.Windows, at)) }))
	for _, line := range legend {
		lines = append(lines, strings.Repeat(" ", gutter)+line)
	}
	return lines
}

// parts returns those texts that say something which those before don't.
func parts(texts ...string) []string {
	var out []string
	for _, t := range texts {
		if t != "" && !slices.ContainsFunc(out, func(before string) bool { return strings.HasPrefix(before, t) }) {
			out = append(out, t)
		}
	}
	return out
}

// lasted returns when a load ended, at least a second after it began.
func lasted(windows []measure.Window) time.Duration {
	end := time.Second
	for _, w := range windows {
		end = max(end, w.End())
	}
	return end
}

func usersAt(windows []measure.Window, at time.Duration) int {
	n := 0
	for _, w := range windows {
		if w.Length > 0 && (w.Start < at || at == 0 && w.Start == 0) {
			n = w.Users
		}
	}
	if at == 0 {
		return 0
	}
	return n
}

// reach returns the least and the most that a chart has to show.
func (g gauge) reach(windows []measure.Window) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	take := func(x float64) {
		if !math.IsNaN(x) && (x > 0 || !g.log) {
			low, high = min(low, x), max(high, x)
		}
	}
	take(g.limit)
	for _, w := range windows {
		take(g.of(w))
	}
	switch {
	case math.IsInf(low, 0):
		return 0, 1
	case !g.log:
		return 0, max(high, 1)
	case low == high:
		return low / 2, high
	}
	return low, high
}

// height returns how high x stands between low and high, from 0 to 1, or NaN.
func (g gauge) height(x, low, high float64) float64 {
	if math.IsNaN(x) {
		return x
	}
	if g.log {
		x, low, high = math.Log(max(x, low)), math.Log(max(low, math.SmallestNonzeroFloat64)), math.Log(high)
	}
	return min(1, max(0, (x-low)/(high-low)))
}

// An instant is one that a chart marks.
type instant struct {
	letter rune
	colour string // of a terminal
	at     time.Duration
	tall   bool // a column of the whole plot
	says   string
}

// instants returns what decided a trial, in the order in which it is drawn: what
// is drawn later stands above what came before.
func (r Run) instants(c analysis.Cell, res measure.Result) []instant {
	const red, green = "1;31", "32"
	var out []instant
	add := func(letter rune, colour, what string, l *analysis.Level) {
		if l != nil {
			out = append(out, instant{letter, colour, l.At, letter == 'F', fmt.Sprintf("%s %s %s at %.0fs", what, analysis.Thousands(l.Users), r.unit(), l.At.Seconds())})
		}
	}
	add('P', green, "last pass", c.LastPass)
	if died := res.Exit.At.Sub(res.Loaded); res.Exit.Died && died >= 0 {
		out = append(out, instant{'D', red, died, false, fmt.Sprintf("the service died at %.1fs", died.Seconds())})
	}
	add('F', red, "first fail", c.FirstFail)
	return out
}
