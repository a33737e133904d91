package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Sizes in the ramp, in points.
const (
	rampWidth   vg.Length = 760
	panelHeight vg.Length = 128
	tagWidth    vg.Length = 132 // the names to the right of panels
	stripHeight vg.Length = 52  // the names of marks above them
	timeHeight  vg.Length = 34  // the time axis beneath them
)

// Ramp draws a trial over time: users, throughput and failures, response
// times, CPU and memory, one above the other. Marks show where the objective
// last held, where it first didn't, and when the service died. Seconds that
// decided nothing are grey.
func Ramp(r Run, t experiment.Trial) *Picture {
	res := r.result(t)
	if res == nil {
		res = &measure.Result{Trial: t}
	}
	cell := r.judged(t)
	p := &Picture{
		Title:       fmt.Sprintf("%s: %s, %s", clean(r.Surface.Experiment, nameLength), t.Limits, r.started(t)),
		Description: r.story(cell),
		caption:     r.caption(),
		width:       rampWidth,
	}
	if len(res.Series.Windows) == 0 {
		p.height, p.draw = panelHeight, func(c draw.Canvas) { drawNothing(c, *res) }
		return p
	}
	f := film{result: *res, marks: r.marks(cell, *res), panels: r.panels(*res)}
	if cell != nil {
		f.void = cell.Void
	}
	p.height, p.draw = stripHeight+vg.Length(len(f.panels))*panelHeight+timeHeight, f.draw
	return p
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

// marks returns the instants that decided a trial, in order.
func (r Run) marks(c *analysis.Cell, res measure.Result) []mark {
	var out []mark
	add := func(what string, l *analysis.Level, style draw.LineStyle) {
		if l != nil {
			out = append(out, mark{fmt.Sprintf("%s: %s %s at %.0f s", what, analysis.Thousands(l.Users), r.unit(), l.At.Seconds()), l.At, style})
		}
	}
	if t := res.Trial; t.Hold > 0 && r.Experiment != nil {
		at := r.Experiment.Of(t).Users.Measured()
		out = append(out, mark{fmt.Sprintf("settled at %.0f s", at.Seconds()), at, pen(dim, 1.5, 1, 2)})
	}
	if c != nil {
		add("last pass", c.LastPass, pen(green, 1.5, 1.5, 2))
		add("first fail", c.FirstFail, pen(vermilion, 1.5, 6, 2))
	}
	if died := res.Exit.At.Sub(res.Loaded); res.Exit.Died && died >= 0 {
		out = append(out, mark{fmt.Sprintf("the service died at %.1f s", died.Seconds()), died, pen(black, 1.5)})
	}
	slices.SortStableFunc(out, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return out
}

// panels returns what is shown of a trial, from the top down.
func (r Run) panels(res measure.Result) []panel {
	limits, at := res.Trial.Limits, clock(res.Series.Windows)
	var quantiles []bound
	for _, q := range r.Surface.Objective.Quantiles() {
		quantiles = append(quantiles, bound{q.Name + " limit " + experiment.Duration(q.Limit).String(), q.Limit.Seconds()})
	}
	load := "Users"
	if r.open() {
		load = "Requests per second, as asked for"
	}
	return []panel{
		{heading: load, bounds: []bound{{"target " + analysis.Thousands(r.Surface.Target), float64(r.Surface.Target)}}, series: []series{
			at.line(r.unit(), pen(blue, 2), draw.CircleGlyph{}, func(w measure.Window) float64 { return float64(w.Users) }),
		}},
		{heading: "Requests per second", series: []series{
			at.line("right answers", pen(blue, 2), draw.CircleGlyph{}, func(w measure.Window) float64 { return float64(w.Answered) / w.Length.Seconds() }),
			at.line("failures", pen(vermilion, 1.5, 4, 2), draw.PyramidGlyph{}, func(w measure.Window) float64 { return float64(w.Failed()) / w.Length.Seconds() }),
		}},
		{heading: "Response time, from when a request was due", log: true, empty: "no right answers", bounds: quantiles, series: []series{
			at.line("p50", pen(blue, 1.5), draw.CircleGlyph{}, quantile(0.5)),
			at.line("p95", pen(green, 1.5, 5, 2), draw.BoxGlyph{}, quantile(0.95)),
			at.line("p99", pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}, quantile(0.99)),
		}},
		{heading: "CPUs", empty: "the engine told nothing", bounds: []bound{{"limit " + limits.CPU.String(), limits.CPU.Float()}}, series: []series{
			at.line("used", pen(blue, 2), draw.CircleGlyph{}, usage(func(u measure.Usage) float64 { return u.CPU })),
		}},
		{heading: "Memory, MiB", empty: "the engine told nothing", bounds: []bound{{"limit " + number(limits.Memory.MiB()), limits.Memory.MiB()}}, series: []series{
			at.line("working set", pen(purple, 2), draw.BoxGlyph{}, usage(func(u measure.Usage) float64 { return u.Memory.MiB() })),
		}},
	}
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

// A film is a trial's panels over their time axis.
type film struct {
	result measure.Result
	marks  []mark
	void   []analysis.Stretch // seconds that decided nothing
	panels []panel
}

// end returns the end of the time axis, in seconds.
func (f film) end() float64 {
	end := time.Second
	for _, w := range f.result.Series.Windows {
		end = max(end, w.End())
	}
	for _, m := range f.marks {
		end = max(end, m.at)
	}
	return end.Seconds()
}

func (f film) draw(c draw.Canvas) {
	end := f.end()
	ticks := timeTicks(end)
	plots := make([][]*plot.Plot, len(f.panels))
	for i, p := range f.panels {
		p.marks, p.void = f.marks, f.void
		shown := ticks
		if i < len(f.panels)-1 {
			shown = unlabelled(ticks)
		}
		plots[i] = []*plot.Plot{p.plot(end, shown)}
	}
	// The room between tiles is for the headings.
	tiles := draw.Tiles{Rows: len(f.panels), Cols: 1, PadTop: stripHeight, PadY: 24, PadRight: tagWidth, PadBottom: 1.6 * small}
	canvases := plot.Align(plots, tiles, c)
	for i := range plots {
		plots[i][0].Draw(canvases[i][0])
	}
	f.drawMarks(plots[0][0].DataCanvas(canvases[0][0]), c.Rectangle, end)
	area := plots[len(plots)-1][0].DataCanvas(canvases[len(plots)-1][0])
	hand{small, false, rgb(dim)}.write(c, area.Center().X, c.Min.Y, draw.XCenter, "time since the load began")
	if len(f.void) > 0 {
		f.drawVoid(c, area.Max.X)
	}
}

// drawVoid says what the grey of some seconds means, beneath the panels.
func (f film) drawVoid(c draw.Canvas, left vg.Length) {
	const side = small
	at := vg.Point{X: left + 8, Y: c.Min.Y - 0.15*side}
	box := vg.Rectangle{Min: at, Max: at.Add(vg.Point{X: side, Y: side})}
	fill(c, box, rgb(void))
	outline(c, box, pen(edge, 0.5))
	hand{small, false, rgb(black)}.write(c, box.Max.X+5, c.Min.Y, draw.XLeft, "generator or host limited")
}

// drawMarks names the marks above the first panel, each in a row of its own,
// with its line up to it. All names stand on one side of their lines, and rows
// are in such an order that no line runs through another's name.
func (f film) drawMarks(area draw.Canvas, whole vg.Rectangle, end float64) {
	h := hand{small, false, rgb(black)}
	const (
		gap          = 5
		aboveHeading = 20 // so that no line runs through the first panel's heading
	)
	at := func(m mark) vg.Length { return area.X(m.at.Seconds() / end) }
	leftwards := slices.ContainsFunc(f.marks, func(m mark) bool { return at(m)+h.width(m.name)+gap > whole.Max.X })
	for i, m := range f.marks {
		x, row := at(m), i
		if leftwards {
			row = len(f.marks) - 1 - i
		}
		y := whole.Max.Y - vg.Length(row+1)*h.line()
		area.StrokeLine2(m.style, x, area.Max.Y+aboveHeading, x, y-1)
		if leftwards && x-h.width(m.name)-gap > area.Min.X {
			h.write(area, x-gap, y, draw.XRight, m.name)
		} else {
			h.write(area, x+gap, y, draw.XLeft, m.name)
		}
	}
}

// timeTicks returns round ticks from 0 to end, in seconds.
func timeTicks(end float64) plot.ConstantTicks {
	const intervals = 8
	step := roundStep(end / intervals)
	unit, size := " s", 1.0
	if end > 5*60 {
		unit, size = " min", 60
		step = 60 * max(1, roundStep(end/60/intervals))
	}
	var ticks plot.ConstantTicks
	for i := 0; float64(i)*step <= end*(1+1e-9); i++ {
		x := float64(i) * step
		ticks = append(ticks, plot.Tick{Value: x, Label: number(x/size) + unit})
	}
	return ticks
}

func unlabelled(ticks plot.ConstantTicks) plot.ConstantTicks {
	out := make(plot.ConstantTicks, len(ticks))
	for i, t := range ticks {
		out[i].Value = t.Value
	}
	return out
}
