package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
	"sweep/pkg/measure"
)

// Percentiles draws what share of a cell's right answers took how long, at about
// as many users as at the last pass and at the first fail of its ramp. The axis goes by the share that took
// longer, so that the slowest few aren't squeezed into its end.
func Percentiles(r Run, c analysis.Cell) *Picture {
	p := &Picture{
		Title:       fmt.Sprintf("%s: %s, by percentile", clean(r.Surface.Experiment, nameLength), clean(c.Trial.Limits.String(), nameLength)),
		Description: "Response time that a share of the right answers didn't exceed. Where fewer than ten took longer, a line ends.",
		caption:     r.caption(),
		width:       rampWidth,
	}
	all := panel{heading: "Response time, from when a request was due", log: true, empty: "no right answers", bounds: r.latencyLimits()}
	ws := r.ramped(c)
	for _, s := range []struct {
		name  string
		level *analysis.Level
		style draw.LineStyle
		glyph draw.GlyphDrawer
	}{{"last pass", c.LastPass, pen(green, 1.5, 5, 2), draw.BoxGlyph{}}, {"first fail", c.FirstFail, pen(vermilion, 1.5, 2, 2), draw.PyramidGlyph{}}} {
		if s.level != nil {
			all.series = append(all.series, percentiles(s.name, s.style, s.glyph, withAbout(ws, s.level.Users)))
		}
	}
	f := film{axis: "share of the right answers", panels: []panel{all}, end: 1}
	for _, s := range all.series {
		f.end = max(f.end, slices.Max(append(s.xs, 0)))
	}
	f.ticks = nines(f.end)
	p.show(f)
	return p
}

// near is how far a second's users may be from a level's, as a share.
const near = 0.05

// withAbout returns the right answers of the seconds with about so many users.
func withAbout(ws []measure.Window, users int) measure.Histogram {
	var all measure.Histogram
	for _, w := range ws {
		if math.Abs(float64(w.Users-users)) <= near*float64(users) {
			all.Merge(w.Response)
		}
	}
	return all
}

// percentiles returns a distribution as a series: of each share the number of
// nines that it begins with, which is 0 for none, 1 for 90 %, 2 for 99 %.
func percentiles(name string, style draw.LineStyle, glyph draw.GlyphDrawer, h measure.Histogram) series {
	const step, fewest, most = 0.2, 10, 5.0
	s := series{name: name, style: style, glyph: glyph}
	n := float64(h.Count())
	for i := 0; float64(i)*step <= most; i++ {
		x := float64(i) * step
		longer := math.Pow(10, -x)
		if longer*n < fewest {
			break
		}
		s.xs, s.ys = append(s.xs, x), append(s.ys, h.Quantile(1-longer).Seconds())
	}
	return s
}

// nines returns the ticks of an axis of nines.
func nines(end float64) plot.ConstantTicks {
	out := plot.ConstantTicks{{Value: 0, Label: "0 %"}, {Value: math.Log10(2), Label: "50 %"}}
	for i, label := range []string{"90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"} {
		if x := float64(i + 1); x <= end {
			out = append(out, plot.Tick{Value: x, Label: label})
		}
	}
	return out
}
