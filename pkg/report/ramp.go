package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Sizes in the ramp, in points.
const (
	rampWidth   vg.Length = 760
	panelHeight vg.Length = 112
	tagWidth    vg.Length = 132 // the names to the right of panels
	axisSpace   vg.Length = 34  // the shared axis beneath them
)

// Ramp draws a trial over time: users, throughput and failures, response
// times, CPU and memory, what the kernel and the generator tell, one above the
// other. Marks show where the objective last held, where it first didn't, what
// showed first, and when the service died. Seconds that decided nothing are grey.
func Ramp(r Run, t experiment.Trial) *Picture {
	res := r.result(t)
	if res == nil {
		res = &measure.Result{Trial: t}
	}
	cell := r.judged(t)
	p := &Picture{
		Title:       fmt.Sprintf("%s: %s, %s", clean(r.Surface.Experiment, nameLength), clean(t.Limits.String(), nameLength), r.started(t)),
		Description: r.story(cell),
		caption:     r.caption(),
		width:       rampWidth,
	}
	if len(res.Series.Windows) == 0 {
		p.height, p.draw = panelHeight, func(c draw.Canvas) { drawNothing(c, *res) }
		return p
	}
	f := film{axis: "time since the load began", marks: r.marks(cell, *res), panels: r.panels(*res), band: "generator or host limited"}
	if cell != nil {
		for _, v := range cell.Void {
			f.bands = append(f.bands, band{v.From.Seconds(), v.To.Seconds()})
		}
	}
	f.end = length(*res, f.marks)
	f.ticks = timeTicks(f.end)
	p.show(f)
	return p
}

// length returns the end of the time axis, in seconds.
func length(res measure.Result, marks []mark) float64 {
	end := time.Second
	for _, w := range res.Series.Windows {
		end = max(end, w.End())
	}
	out := end.Seconds()
	for _, m := range marks {
		out = max(out, m.at)
	}
	return out
}

// judged returns the cell of t with the verdict of t alone: where a cell was
// started several times, what they say together is about none of them.
func (r Run) judged(t experiment.Trial) *analysis.Cell {
	for _, c := range r.Surface.Cells {
		if c.Trial == t && len(c.Starts) <= 1 {
			return &c
		}
		for _, start := range c.Starts {
			if start.Trial == t {
				c.Verdict, c.Proved = start, true // it is about this start alone
				return &c
			}
		}
	}
	return nil
}

// story says in words how a trial ended and why.
func (r Run) story(c *analysis.Cell) string {
	if c == nil {
		return "The answer knows nothing of this start."
	}
	text := r.outcome(*c)
	if t := c.Trial; t.Hold > 0 {
		text += ": " + r.started(t)
	} else if c.LastPass != nil || c.FirstFail != nil {
		text += ": " + bracket(*c, r.unit())
	}
	switch {
	case c.Cause == nil:
	case strings.HasPrefix(r.outcome(*c), cause(*c)): // the outcome is the cause
		text += ". " + evidence(*c)
	default:
		text += ". Cause: " + cause(*c) + ". " + evidence(*c)
	}
	return clean(text, lineLength)
}

// drawNothing says why there is no load to show.
func drawNothing(c draw.Canvas, res measure.Result) {
	outline(c, c.Rectangle, pen(edge, 1, 4, 3))
	text := "No load was made: nothing was run."
	if !res.Began.IsZero() && !res.Ready {
		text = "No load was made: the service never got ready."
	}
	hand{large, false, rgb(dim)}.write(c, c.Center().X, c.Center().Y-0.35*large, draw.XCenter, text)
}

// marks returns the instants that decided a trial, and those at which something
// showed that may tell why, in order.
func (r Run) marks(c *analysis.Cell, res measure.Result) []mark {
	var out []mark
	add := func(what string, l *analysis.Level, style draw.LineStyle) {
		if l != nil {
			out = append(out, mark{fmt.Sprintf("%s: %s %s at %.0f s", what, analysis.Thousands(l.Users), r.unit(), l.At.Seconds()), l.At.Seconds(), style})
		}
	}
	if t := res.Trial; t.Hold > 0 && r.Experiment != nil {
		at := r.Experiment.Of(t).Users.Measured().Seconds()
		out = append(out, mark{fmt.Sprintf("settled at %.0f s", at), at, pen(dim, 1.5, 1, 2)})
	}
	for _, s := range analysis.Onsets(res) {
		out = append(out, mark{fmt.Sprintf("%s from %.0f s on", s.What, s.At.Seconds()), s.At.Seconds(), pen(edge, 0.75, 2, 2)})
	}
	if c != nil {
		add("last pass", c.LastPass, pen(green, 1.5, 1.5, 2))
		add("first fail", c.FirstFail, pen(vermilion, 1.5, 6, 2))
	}
	if died := res.Exit.At.Sub(res.Loaded).Seconds(); res.Exit.Died && died >= 0 {
		out = append(out, mark{fmt.Sprintf("the service died at %.1f s", died), died, pen(black, 1.5)})
	}
	slices.SortStableFunc(out, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return out
}

// panels returns what is shown of a trial, from the top down. Of what never
// happened there is none: no failures, no full accept queue.
func (r Run) panels(res measure.Result) []panel {
	limits, ws := res.Trial.Limits, res.Series.Windows
	at := clock(ws)
	load := "Users"
	if r.open() {
		load = "Requests per second, as asked for"
	}
	out := []panel{
		{heading: load, bounds: []bound{{"target " + analysis.Thousands(r.Surface.Target), float64(r.Surface.Target)}}, series: []series{
			at.line(r.unit(), pen(blue, 2), draw.CircleGlyph{}, func(w measure.Window) float64 { return float64(w.Users) }),
		}},
		{heading: "Requests per second", series: []series{
			at.line("asked", pen(dim, 1, 1, 2), draw.PlusGlyph{}, func(w measure.Window) float64 { return perSecond(w, w.Sent) }),
			at.line("right answers", pen(blue, 2), draw.CircleGlyph{}, func(w measure.Window) float64 { return perSecond(w, w.Answered) }),
		}},
	}
	if failures := at.failures(); len(failures) > 0 {
		out = append(out, panel{heading: "Failures per second, by class", stack: failures})
	}
	out = append(out,
		panel{heading: "Response time, from when a request was due", log: true, empty: "no right answers", bounds: r.latencyLimits(), series: []series{
			at.line("p50", pen(blue, 1.5), draw.CircleGlyph{}, quantile(0.5)),
			at.line("p95", pen(green, 1.5, 5, 2), draw.BoxGlyph{}, quantile(0.95)),
			at.line("p99", pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}, quantile(0.99)),
		}},
		panel{heading: "Right answers by response time: the darker, the more", log: true, empty: "no right answers", heat: heat(ws)},
		panel{heading: "CPU, % of the limit of " + limits.CPU.String(), empty: "the engine told nothing", bounds: []bound{{"limit", 100}}, series: []series{
			at.line("used", pen(blue, 2), draw.CircleGlyph{}, usage(func(u measure.Usage) float64 { return 100 * u.CPU / limits.CPU.Float() })),
			at.line("periods stopped", pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}, usage(throttled)),
		}},
		panel{heading: "Memory, MiB", empty: "the engine told nothing", bounds: []bound{{"limit " + number(limits.Memory.MiB()), limits.Memory.MiB()}}, series: []series{
			at.line("working set", pen(purple, 2), draw.BoxGlyph{}, usage(func(u measure.Usage) float64 { return u.Memory.MiB() })),
		}})
	if slices.ContainsFunc(ws, func(w measure.Window) bool { return w.Network != nil && w.Network.ListenOverflows > 0 }) {
		out = append(out, panel{heading: "Connections per second that found the accept queue full", series: []series{
			at.line("overflows", pen(vermilion, 1.5), draw.PyramidGlyph{}, func(w measure.Window) float64 {
				if w.Network == nil {
					return math.NaN()
				}
				return perSecond(w, w.Network.ListenOverflows)
			}),
		}})
	}
	if slices.ContainsFunc(ws, func(w measure.Window) bool { return w.Lag.Count() > 0 }) {
		out = append(out, panel{heading: "How late the generator was", log: true, series: []series{
			at.line("p99 of lag", pen(dim, 1.5), draw.CircleGlyph{}, func(w measure.Window) float64 {
				if w.Lag.Count() == 0 {
					return math.NaN()
				}
				return w.Lag.Quantile(0.99).Seconds()
			}),
		}})
	}
	return out
}

// latencyLimits returns what the objective says of response times.
func (r Run) latencyLimits() []bound {
	var out []bound
	for _, q := range r.Surface.Objective.Quantiles() {
		out = append(out, bound{q.Name + " limit " + experiment.Duration(q.Limit).String(), q.Limit.Seconds()})
	}
	return out
}

func perSecond(w measure.Window, n uint64) float64 { return float64(n) / w.Length.Seconds() }

// throttled returns the share of periods in which the CPU limit stopped the
// service, in hundredths.
func throttled(u measure.Usage) float64 {
	if u.Throttled == nil {
		return math.NaN()
	}
	return 100 * *u.Throttled
}

// mostBars is how many bars an area has at most: in a longer trial each tells of
// several seconds.
const mostBars = 75

// coarser returns the windows that have ended, several together where there are more
// than most.
func (ws clock) coarser(most int) clock {
	var out clock
	for some := range slices.Chunk(ws, max(1, (len(ws)+most-1)/most)) {
		all := measure.Window{Start: some[0].Start}
		for _, w := range some {
			all.Merge(w)
		}
		if all.Length > 0 {
			out = append(out, all)
		}
	}
	return out
}

// failures returns a layer for each class of failed requests that there were.
func (ws clock) failures() layers {
	bars := ws.coarser(mostBars)
	textures := map[measure.Class]texture{
		measure.Refused:    {ground: sky, slopes: []float64{1}},
		measure.Reset:      {ground: orange, slopes: []float64{-1}},
		measure.Timeout:    {ground: vermilion},
		measure.BadStatus:  {ground: yellow, slopes: []float64{0}},
		measure.BadContent: {ground: green, upright: true},
		measure.Protocol:   {ground: purple, slopes: []float64{1, -1}},
		measure.Own:        {ground: shade, slopes: []float64{0}, upright: true},
	}
	var out layers
	for _, class := range ws.failed() {
		layer := bars.line(string(class), draw.LineStyle{}, nil, func(w measure.Window) float64 { return perSecond(w, w.Errors[class]) })
		layer.texture = textures[class]
		out = append(out, layer)
	}
	return out
}

// failed returns the classes of failed requests that there were.
func (ws clock) failed() []measure.Class {
	return slices.DeleteFunc(measure.Classes(), func(class measure.Class) bool {
		return !slices.ContainsFunc(ws, func(w measure.Window) bool { return w.Length > 0 && w.Errors[class] > 0 })
	})
}

// A clock makes series of the windows that have ended.
type clock []measure.Window

// line returns a series of what value tells of each window, at its end. A
// window that hasn't ended leaves a gap.
func (ws clock) line(name string, style draw.LineStyle, glyph draw.GlyphDrawer, value func(measure.Window) float64) series {
	s := series{name: name, style: style, glyph: glyph}
	for _, w := range ws {
		y := math.NaN()
		if w.Length > 0 {
			y = value(w)
		}
		s.xs, s.ys = append(s.xs, w.End().Seconds()), append(s.ys, y)
	}
	return s
}

func quantile(q float64) func(measure.Window) float64 {
	return func(w measure.Window) float64 {
		if w.Response.Count() == 0 {
			return math.NaN()
		}
		return w.Response.Quantile(q).Seconds()
	}
}

func usage(value func(measure.Usage) float64) func(measure.Window) float64 {
	return func(w measure.Window) float64 {
		if w.Usage == nil {
			return math.NaN()
		}
		return value(*w.Usage)
	}
}
