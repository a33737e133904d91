package report

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
)

// A film is panels over one axis that they share: of time, or of users.
type film struct {
	end    float64 // of the axis, which begins at 0
	ticks  plot.ConstantTicks
	axis   string // what it counts
	marks  []mark
	bands  []band
	band   string // what their grey means; empty: the marks say it
	panels []panel

	unfilled bool // only axes and bounds are drawn: what comes, comes later
}

// height returns how high the whole is: every mark's name has a row.
func (f film) height() vg.Length {
	return f.strip() + vg.Length(len(f.panels))*panelHeight + axisSpace
}

// aboveHeading is the room of the first panel's heading, through which no
// mark's line runs.
const aboveHeading = 20

// strip returns the height of the marks' names, above the panels.
func (f film) strip() vg.Length {
	return aboveHeading + vg.Length(len(f.marks))*captionHand().line()
}

// layout returns the panels' plots, and where on c each goes.
func (f film) layout(c draw.Canvas) ([][]*plot.Plot, [][]draw.Canvas) {
	plots := make([][]*plot.Plot, len(f.panels))
	for i, p := range f.panels {
		p.marks, p.bands, p.unfilled = f.marks, f.bands, f.unfilled
		shown := f.ticks
		if i < len(f.panels)-1 {
			shown = unlabelled(f.ticks)
		}
		plots[i] = []*plot.Plot{p.plot(f.end, shown)}
	}
	// The room between tiles is for the headings.
	tiles := draw.Tiles{Rows: len(f.panels), Cols: 1, PadTop: f.strip(), PadY: 24, PadRight: tagWidth, PadBottom: 1.6 * small}
	return plots, plot.Align(plots, tiles, c)
}

func (f film) draw(c draw.Canvas) {
	plots, canvases := f.layout(c)
	for i := range plots {
		plots[i][0].Draw(canvases[i][0])
	}
	f.drawMarks(plots[0][0].DataCanvas(canvases[0][0]), c.Rectangle)
	area := plots[len(plots)-1][0].DataCanvas(canvases[len(plots)-1][0])
	hand{small, false, rgb(dim)}.write(c, area.Center().X, c.Min.Y, draw.XCenter, f.axis)
	if len(f.bands) > 0 && f.band != "" {
		f.drawBand(c, area.Max.X)
	}
}

// across returns from where to where the axis goes on c.
func (f film) across(c draw.Canvas) (left, right vg.Length) {
	plots, canvases := f.layout(c)
	area := plots[0][0].DataCanvas(canvases[0][0])
	return area.Min.X, area.Max.X
}

// drawBand says what the grey means, beneath the panels.
func (f film) drawBand(c draw.Canvas, left vg.Length) {
	const side = small
	at := vg.Point{X: left + 8, Y: c.Min.Y - 0.15*side}
	box := vg.Rectangle{Min: at, Max: at.Add(vg.Point{X: side, Y: side})}
	fill(c, box, rgb(void))
	outline(c, box, pen(edge, 0.5))
	hand{small, false, rgb(black)}.write(c, box.Max.X+5, c.Min.Y, draw.XLeft, f.band)
}

// drawMarks names the marks above the first panel, each in a row of its own,
// with its line up to it. All names stand on one side of their lines, and rows
// are in such an order that no line runs through another's name.
func (f film) drawMarks(area draw.Canvas, whole vg.Rectangle) {
	h := hand{small, false, rgb(black)}
	const gap = 5
	at := func(m mark) vg.Length { return area.X(m.at / f.end) }
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
	unit, size := " s", 1.0
	if end > 5*60 {
		unit, size = " min", 60
	}
	step := roundStep(end / intervals)
	if size > 1 {
		step = size * max(1, roundStep(end/size/intervals))
	}
	return ticks(end, step, func(x float64) string { return number(x/size) + unit })
}

// intervals are how many a long axis has, at most.
const intervals = 8

// countTicks returns round ticks from 0 to end, in whole numbers.
func countTicks(end float64) plot.ConstantTicks {
	return ticks(end, max(1, roundStep(end/intervals)), func(x float64) string { return analysis.Thousands(int(x)) })
}

func ticks(end, step float64, label func(float64) string) plot.ConstantTicks {
	var out plot.ConstantTicks
	for i := 0; float64(i)*step <= end*(1+1e-9); i++ {
		x := float64(i) * step
		out = append(out, plot.Tick{Value: x, Label: label(x)})
	}
	return out
}

func unlabelled(ticks plot.ConstantTicks) plot.ConstantTicks {
	out := make(plot.ConstantTicks, len(ticks))
	for i, t := range ticks {
		out[i].Value = t.Value
	}
	return out
}
