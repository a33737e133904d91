package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
	"sweep/pkg/measure"
)

// A rung is what a ramp saw at some number of users.
type rung struct {
	users   float64        // on average
	seconds float64        // how long
	all     measure.Window // all that was seen, as one
}

const rungs = 40 // at most: one second tells little of a quantile

// climb returns what a ramp saw by the number of users, from the fewest up,
// whenever that was.
func climb(ws []measure.Window) []rung {
	most := 0
	for _, w := range ws {
		most = max(most, w.Users)
	}
	step := max(1, (most+rungs-1)/rungs)
	out := map[int]*rung{}
	for _, w := range ws {
		if w.Length == 0 || w.Users == 0 {
			continue
		}
		at := (w.Users - 1) / step
		if out[at] == nil {
			out[at] = &rung{}
		}
		g, s := out[at], w.Length.Seconds()
		g.users = (g.users*g.seconds + float64(w.Users)*s) / (g.seconds + s)
		g.seconds += s
		g.all.Merge(w)
	}
	var list []rung
	for _, g := range out {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b rung) int { return cmp.Compare(a.users, b.users) })
	return list
}

// Curve draws how a cell answers as its users become more: response times, and
// throughput beside what so many users would make of a service that stays as
// quick, and what its CPU can do. The ramp is a line, thin where there are holds;
// each hold is a point of its own, with a bar from its best second to its worst.
// What lies between the last pass and the first fail is grey. Seconds that decided
// nothing aren't in it.
func Curve(r Run, c analysis.Cell) *Picture {
	p := &Picture{
		Title:       fmt.Sprintf("%s: %s, by %s", clean(r.Surface.Experiment, nameLength), clean(c.Trial.Limits.String(), nameLength), r.unit()),
		Description: r.bends(c),
		caption:     r.caption(),
		width:       rampWidth,
	}
	steps := climb(r.ramped(c))
	held := r.holds(c)
	if len(steps) == 0 && len(held) == 0 {
		p.height, p.draw = panelHeight, func(cv draw.Canvas) { drawNothing(cv, measure.Result{Trial: c.Trial}) }
		return p
	}
	f := film{axis: r.unit(), panels: r.curvePanels(c, steps, held), marks: r.levelMarks(c), end: float64(max(1, r.Surface.Target))}
	if last, first := c.LastPass, c.FirstFail; last != nil && first != nil && last.Users < first.Users {
		f.bands = []band{{float64(last.Users), float64(first.Users)}}
	}
	for _, panel := range f.panels {
		for _, s := range panel.series {
			f.end = max(f.end, slices.Max(append(s.xs, 0)))
		}
	}
	f.end *= 1.02
	f.ticks = countTicks(f.end)
	p.show(f)
	return p
}

// bends says in words what a curve shows.
func (r Run) bends(c analysis.Cell) string {
	text := "Response time and throughput as " + r.unit() + " become more: " + bracket(c, r.unit()) + "."
	if len(c.Levels) > 0 {
		text += " Held: " + held(c) + ". A point is a hold, its bar from the best second to the worst."
	}
	return clean(text, lineLength)
}

// ramped returns the seconds of a cell's first ramp, but for those that decided
// nothing.
func (r Run) ramped(c analysis.Cell) []measure.Window {
	for _, v := range c.Starts {
		res := r.result(v.Trial)
		if v.Trial.Hold > 0 || res == nil {
			continue
		}
		return slices.DeleteFunc(slices.Clone(res.Series.Windows), func(w measure.Window) bool { return voided(v, w) })
	}
	return nil
}

// A heldLevel is what a hold saw of a level while it was judged.
type heldLevel struct {
	start   analysis.Verdict
	level   analysis.Level
	seconds []measure.Window // those that were measured, until it was decided
}

// holds returns what each hold of a cell saw, the fewest users first.
func (r Run) holds(c analysis.Cell) []heldLevel {
	var out []heldLevel
	for _, v := range c.Starts {
		if v.Trial.Hold == 0 {
			continue
		}
		if l := cmp.Or(v.LastPass, v.FirstFail); l != nil {
			h := heldLevel{v, *l, r.measured(v, l.At)}
			h.level.Users = v.Trial.Hold
			out = append(out, h)
		}
	}
	slices.SortStableFunc(out, func(a, b heldLevel) int { return cmp.Compare(a.level.Users, b.level.Users) })
	return out
}

// measured returns the seconds of a hold that were judged, until an instant.
func (r Run) measured(v analysis.Verdict, until time.Duration) []measure.Window {
	res := r.result(v.Trial)
	if res == nil || r.Experiment == nil {
		return nil
	}
	from := r.Experiment.Of(v.Trial).Users.Measured()
	return slices.DeleteFunc(slices.Clone(res.Series.Windows), func(w measure.Window) bool {
		return w.Length == 0 || w.Start < from || w.End() > until || voided(v, w)
	})
}

// voided reports whether a window decided nothing.
func voided(v analysis.Verdict, w measure.Window) bool {
	return slices.ContainsFunc(v.Void, func(s analysis.Stretch) bool { return s.From <= w.Start && w.Start < s.To })
}

// between returns the least and the greatest of a value in a hold's seconds, NaN
// where it is known of none.
func (h heldLevel) between(value func(measure.Window) float64) (low, high float64) {
	var known []float64
	for _, w := range h.seconds {
		if y := value(w); !math.IsNaN(y) {
			known = append(known, y)
		}
	}
	if len(known) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(known), slices.Max(known)
}

func (r Run) levelMarks(c analysis.Cell) []mark {
	var out []mark
	for _, m := range []struct {
		what  string
		level *analysis.Level
		style draw.LineStyle
	}{{"last pass", c.LastPass, pen(green, 1.5, 1.5, 2)}, {"first fail", c.FirstFail, pen(vermilion, 1.5, 6, 2)}} {
		if m.level != nil {
			out = append(out, mark{fmt.Sprintf("%s: %s %s", m.what, analysis.Thousands(m.level.Users), r.unit()), float64(m.level.Users), m.style})
		}
	}
	if target := r.Surface.Target; target > 0 {
		out = append(out, mark{"target: " + analysis.Thousands(target) + " " + r.unit(), float64(target), pen(black, 1, 7, 3)})
	}
	slices.SortStableFunc(out, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return out
}

func (r Run) curvePanels(c analysis.Cell, steps []rung, held []heldLevel) []panel {
	latency := panel{heading: "Response time, from when a request was due", log: true, empty: "no right answers", bounds: r.latencyLimits()}
	for i, q := range []struct {
		name  string
		share float64
		of    func(analysis.Level) time.Duration
		style draw.LineStyle
		glyph draw.GlyphDrawer
	}{
		{"p50", 0.50, func(l analysis.Level) time.Duration { return l.P50 }, pen(blue, 1.5), draw.CircleGlyph{}},
		{"p95", 0.95, func(l analysis.Level) time.Duration { return l.P95 }, pen(green, 1.5, 5, 2), draw.BoxGlyph{}},
		{"p99", 0.99, func(l analysis.Level) time.Duration { return l.P99 }, pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}},
	} {
		line := onRungs(q.name, steps, q.style, q.glyph, func(g rung) float64 { return quantile(q.share)(g.all) })
		latency.series = append(latency.series, line.beside(held))
		if len(held) > 0 {
			points := onHolds(q.name+", held", held, func(l analysis.Level) float64 { return q.of(l).Seconds() }, quantile(q.share))
			points.style, points.glyph, points.shift = q.style, q.glyph, vg.Length(i-1)*barsApart
			latency.series = append(latency.series, points)
		}
	}
	right := onRungs("right answers", steps, pen(blue, 2), draw.CircleGlyph{}, func(g rung) float64 { return float64(g.all.Answered) / g.seconds })
	rate := panel{heading: "Requests per second", series: []series{
		onRungs("asked", steps, pen(dim, 1, 1, 2), draw.PlusGlyph{}, func(g rung) float64 { return float64(g.all.Sent) / g.seconds }), right.beside(held),
	}}
	if len(held) > 0 {
		points := onHolds("held", held, func(l analysis.Level) float64 { return l.Throughput }, func(w measure.Window) float64 { return perSecond(w, w.Answered) })
		points.style, points.glyph = pen(black, 1), draw.BoxGlyph{}
		rate.series = append(rate.series, points)
	}
	return []panel{latency, r.bounded(rate, c, steps)}
}

// barsApart is how far the bars of one hold's quantiles are apart.
const barsApart = 6

// beside makes what a ramp saw in passing a thin line where holds prove the same.
func (s series) beside(held []heldLevel) series {
	if len(held) > 0 {
		s.bare, s.style.Width = true, 0.75
	}
	return s
}

// roomForBounds is how much higher than what was seen a line may go that says
// what could have been: it mustn't dwarf the rest.
const roomForBounds = 1.5

// bounded adds what users would make of a service that stays as quick as it is
// at low load, and what the cell's CPU can do.
func (r Run) bounded(p panel, c analysis.Cell, steps []rung) panel {
	seen := p.top()
	top := roomForBounds * seen
	if quickest := r.quickest(c, steps); r.Experiment != nil && !r.open() && quickest > 0 {
		round := r.Experiment.Users.Wait.Next(0, quickest, 0.5).Seconds()
		ideal := onRungs("N / (Z + R0)", steps, pen(edge, 1), draw.RingGlyph{}, func(g rung) float64 {
			if y := g.users / round; y <= top {
				return y
			}
			return math.NaN()
		})
		ideal.bare = true
		p.series = append(p.series, ideal)
	}
	// A bound that was exceeded is none: what was learnt from other cells errs.
	if most := r.mostByCPU(c); most > 0 && most >= seen && most <= top {
		p.bounds = append(p.bounds, bound{"CPU limit " + number(most), most})
	}
	return p
}

// quickest returns the median of what answers took at the load at which that
// was least, 0 where there were none.
func (r Run) quickest(c analysis.Cell, steps []rung) time.Duration {
	if m := r.model(c); m != nil && m.Quickest > 0 {
		return m.Quickest
	}
	var least time.Duration
	for _, g := range steps {
		if took := g.all.Response.Quantile(0.5); took > 0 && (least == 0 || took < least) {
			least = took
		}
	}
	return least
}

// mostByCPU returns how many requests per second a cell's CPU can answer, 0
// where it isn't known what one takes.
func (r Run) mostByCPU(c analysis.Cell) float64 {
	takes := c.CPUSecondsPerRequest
	if m := r.model(c); m != nil {
		takes = m.Demand
	}
	if takes <= 0 {
		return 0
	}
	return c.Trial.Limits.CPU.Float() / takes
}

func onRungs(name string, steps []rung, style draw.LineStyle, glyph draw.GlyphDrawer, value func(rung) float64) series {
	s := series{name: name, style: style, glyph: glyph}
	for _, g := range steps {
		s.xs, s.ys = append(s.xs, g.users), append(s.ys, value(g))
	}
	return s
}

// onHolds returns a value of each hold, with a bar from its least second to its
// greatest.
func onHolds(name string, held []heldLevel, value func(analysis.Level) float64, second func(measure.Window) float64) series {
	s := series{name: name, alone: true}
	for _, h := range held {
		low, high := h.between(second)
		s.xs, s.ys = append(s.xs, float64(h.level.Users)), append(s.ys, value(h.level))
		s.low, s.high = append(s.low, low), append(s.high, high)
	}
	return s
}
