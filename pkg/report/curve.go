package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

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
// quick, and what its CPU can do. The ramp is a line, each hold a point of its
// own; what lies between the last pass and the first fail is grey. Seconds that
// decided nothing aren't in it.
func Curve(r Run, c analysis.Cell) *Picture {
	p := &Picture{
		Title:       fmt.Sprintf("%s: %s, by %s", clean(r.Surface.Experiment, nameLength), clean(c.Trial.Limits.String(), nameLength), r.unit()),
		Description: r.bends(c),
		caption:     r.caption(),
		width:       rampWidth,
	}
	steps := climb(r.ramped(c))
	held := holds(c)
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
		text += " Held: " + held(c) + "."
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
		return slices.DeleteFunc(slices.Clone(res.Series.Windows), func(w measure.Window) bool {
			return slices.ContainsFunc(v.Void, func(s analysis.Stretch) bool { return s.From <= w.Start && w.Start < s.To })
		})
	}
	return nil
}

// holds returns what each hold saw while it was judged, the fewest users first.
func holds(c analysis.Cell) []analysis.Level {
	var out []analysis.Level
	for _, v := range c.Starts {
		if v.Trial.Hold == 0 {
			continue
		}
		if l := cmp.Or(v.LastPass, v.FirstFail); l != nil {
			at := *l
			at.Users = v.Trial.Hold
			out = append(out, at)
		}
	}
	slices.SortStableFunc(out, func(a, b analysis.Level) int { return cmp.Compare(a.Users, b.Users) })
	return out
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

func (r Run) curvePanels(c analysis.Cell, steps []rung, held []analysis.Level) []panel {
	latency := panel{heading: "Response time, from when a request was due", log: true, empty: "no right answers", bounds: r.latencyLimits()}
	for _, q := range []struct {
		name  string
		share float64
		of    func(analysis.Level) float64
		style draw.LineStyle
		glyph draw.GlyphDrawer
	}{
		{"p50", 0.50, func(l analysis.Level) float64 { return l.P50.Seconds() }, pen(blue, 1.5), draw.CircleGlyph{}},
		{"p95", 0.95, func(l analysis.Level) float64 { return l.P95.Seconds() }, pen(green, 1.5, 5, 2), draw.BoxGlyph{}},
		{"p99", 0.99, func(l analysis.Level) float64 { return l.P99.Seconds() }, pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}},
	} {
		latency.series = append(latency.series, onRungs(q.name, steps, q.style, q.glyph, func(g rung) float64 { return quantile(q.share)(g.all) }))
		if len(held) > 0 {
			latency.series = append(latency.series, onHolds(q.name+", held", held, q.style, q.glyph, q.of))
		}
	}
	rate := panel{heading: "Requests per second", series: []series{
		onRungs("asked", steps, pen(dim, 1, 1, 2), draw.PlusGlyph{}, func(g rung) float64 { return float64(g.all.Sent) / g.seconds }),
		onRungs("right answers", steps, pen(blue, 2), draw.CircleGlyph{}, func(g rung) float64 { return float64(g.all.Answered) / g.seconds }),
	}}
	if len(held) > 0 {
		rate.series = append(rate.series, onHolds("held", held, pen(black, 1), draw.BoxGlyph{}, func(l analysis.Level) float64 { return l.Throughput }))
	}
	return []panel{latency, r.bounded(rate, c, steps)}
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

func onHolds(name string, held []analysis.Level, style draw.LineStyle, glyph draw.GlyphDrawer, value func(analysis.Level) float64) series {
	s := series{name: name, style: style, glyph: glyph, alone: true}
	for _, l := range held {
		s.xs, s.ys = append(s.xs, float64(l.Users)), append(s.ys, value(l))
	}
	return s
}
