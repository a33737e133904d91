package report

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
)

const pricesHeight vg.Length = 330

// Prices draws what each measured cell costs over how much it carries, and what
// is the least price for each capacity. A cell that carried the target may carry
// more: nobody asked it to.
func Prices(r Run) *Picture {
	return &Picture{
		Title:       clean(r.Surface.Experiment, nameLength) + ": price by capacity",
		Description: "What each measured configuration costs an hour, by the most " + r.unit() + " that it carried: a cross failed there, a disc carried all that was asked, perhaps more. The steps are the least price for so many.",
		caption:     r.caption(),
		width:       rampWidth, height: pricesHeight,
		draw: newOffers(r).draw,
	}
}

// An offer is a measured cell on the market of capacity.
type offer struct {
	name    string
	carries float64
	price   float64
	more    bool // it carried all that was asked
	best    bool // none that costs less, or as much, carries more
	minimal bool
}

type offers struct {
	all    []offer
	unit   string
	target float64
}

func newOffers(r Run) offers {
	out := offers{unit: r.unit(), target: float64(r.Surface.Target)}
	for _, c := range r.Surface.Cells {
		if !c.Measured || !c.Outcome.Known() || c.PriceHour <= 0 {
			continue
		}
		o := offer{name: clean(c.Trial.Limits.String(), nameLength), price: c.PriceHour, more: c.Outcome == analysis.Passed, minimal: r.minimal(c)}
		if c.LastPass != nil {
			o.carries = float64(c.LastPass.Users)
		}
		out.all = append(out.all, o)
	}
	for i, a := range out.all {
		out.all[i].best = a.carries > 0 && !slices.ContainsFunc(out.all, func(b offer) bool {
			return b.carries >= a.carries && b.price < a.price || b.carries > a.carries && b.price <= a.price
		})
	}
	return out
}

func (o offers) draw(c draw.Canvas) {
	most, least, dearest := o.target, math.Inf(1), 0.0
	for _, x := range o.all {
		most, least, dearest = max(most, x.carries), min(least, x.price), max(dearest, x.price)
	}
	p := plot.New()
	p.BackgroundColor = nil
	p.Y.Scale = plot.LogScale{}
	p.X.Min, p.X.Max, p.X.Tick.Marker = 0, 1.22*max(1, most), countTicks(1.22*max(1, most))
	p.Y.Min, p.Y.Max = 0.7*least, 1.4*dearest
	p.Y.Tick.Marker = dollarTicks(p.Y.Min, p.Y.Max)
	p.X.Label.Text, p.Y.Label.Text = o.unit+" carried", "dollars per hour (logarithmic)"
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Padding, a.Tick.Length = 0, 3
		a.Tick.Label.Font, a.Label.TextStyle.Font = sized(small), sized(normal)
		a.Color, a.Tick.Color, a.Label.TextStyle.Color, a.Label.Padding = rgb(edge), rgb(edge), rgb(dim), 4
	}
	p.Add(o)
	p.Draw(draw.Crop(c, 0, 0, 0, -captionHand().line()))
}

// dollarTicks returns 1, 2 and 5 times the powers of ten between two prices; where
// those are too few for an axis, prices at even steps.
func dollarTicks(low, high float64) plot.ConstantTicks {
	const fewest = 3
	var out plot.ConstantTicks
	for e := int(math.Floor(math.Log10(low))); e <= int(math.Ceil(math.Log10(high))); e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow10(e); v >= low && v <= high {
				out = append(out, plot.Tick{Value: v, Label: fine(v)})
			}
		}
	}
	if len(out) >= fewest {
		return out
	}
	out = nil
	step := roundStep((high - low) / (fewest + 1))
	for n := math.Ceil(low / step); n*step <= high; n++ {
		out = append(out, plot.Tick{Value: n * step, Label: fine(n * step)})
	}
	return out
}

// Plot draws the offers. It is gonum/plot's interface.
func (o offers) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		c.StrokeLine2(pen(grid, 0.75), c.Min.X, y(t.Value), c.Max.X, y(t.Value))
	}
	c.StrokeLine2(boundPen(), x(o.target), c.Min.Y, x(o.target), c.Max.Y)
	hand{small, false, rgb(black)}.write(c, x(o.target), c.Max.Y+4, draw.XCenter, "target "+analysis.Thousands(int(o.target)))
	o.drawSteps(c, x, y)
	taken := []vg.Rectangle{}
	for _, a := range o.all {
		at := vg.Point{X: x(a.carries), Y: y(a.price)}
		taken = append(taken, vg.Rectangle{Min: at.Sub(vg.Point{X: 6, Y: 6}), Max: at.Add(vg.Point{X: 6, Y: 6})})
	}
	for _, a := range o.all {
		taken = append(taken, a.label(c, vg.Point{X: x(a.carries), Y: y(a.price)}, taken))
	}
	for _, a := range o.all {
		a.draw(c, vg.Point{X: x(a.carries), Y: y(a.price)})
	}
}

// drawSteps draws the least price for each capacity.
func (o offers) drawSteps(c draw.Canvas, x, y func(float64) vg.Length) {
	best := slices.DeleteFunc(slices.Clone(o.all), func(a offer) bool { return !a.best })
	slices.SortStableFunc(best, func(a, b offer) int { return int(math.Copysign(1, a.carries-b.carries)) })
	var line []vg.Point
	from := 0.0
	for _, a := range best {
		line = append(line, vg.Point{X: x(from), Y: y(a.price)}, vg.Point{X: x(a.carries), Y: y(a.price)})
		from = a.carries
	}
	c.StrokeLines(pen(green, 1.5, 5, 2), line)
}

func (o offer) draw(c draw.Canvas, at vg.Point) {
	ink := uint32(edge)
	if o.best {
		ink = green
	}
	if o.more { // and perhaps more
		c.StrokeLine2(pen(ink, 1.5), at.X, at.Y, at.X+16, at.Y)
		c.FillPolygon(rgb(ink), []vg.Point{{X: at.X + 21, Y: at.Y}, {X: at.X + 14, Y: at.Y + 3}, {X: at.X + 14, Y: at.Y - 3}})
	}
	switch {
	case o.minimal:
		star(c, at, 9, rgb(black))
	case o.more:
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: rgb(ink), Radius: 4.5, Shape: draw.CircleGlyph{}}, at)
	default:
		const arm = 4
		c.StrokeLine2(pen(ink, 2.5), at.X-arm, at.Y-arm, at.X+arm, at.Y+arm)
		c.StrokeLine2(pen(ink, 2.5), at.X-arm, at.Y+arm, at.X+arm, at.Y-arm)
	}
}

// label names an offer where nothing stands yet, and returns where.
func (o offer) label(c draw.Canvas, at vg.Point, taken []vg.Rectangle) vg.Rectangle {
	h := hand{small, o.minimal, rgb(black)}
	width, half := h.width(o.name), small/2
	var box vg.Rectangle
	for step := range 40 { // further and further up and down, right and left of it
		rise := vg.Length((step+2)/4) * (small + 3)
		if step%4 >= 2 {
			rise = -rise
		}
		x := at.X + 10
		if o.more {
			x += 16 // its arrow
		}
		if step%2 == 1 || x+width > c.Max.X+tagWidth/2 {
			x = at.X - 10 - width
		}
		box = vg.Rectangle{Min: vg.Point{X: x, Y: at.Y + rise - half}, Max: vg.Point{X: x + width, Y: at.Y + rise + half}}
		if box.Min.X > c.Min.X && box.Max.Y < c.Max.Y && box.Min.Y > c.Min.Y && !slices.ContainsFunc(taken, func(r vg.Rectangle) bool { return meets(r, box) }) {
			break
		}
	}
	fill(c, inset(box, -1), rgb(white)) // no line runs through a name
	h.write(c, box.Min.X, box.Min.Y+0.15*small, draw.XLeft, o.name)
	return box
}

func meets(a, b vg.Rectangle) bool {
	return a.Min.X < b.Max.X && b.Min.X < a.Max.X && a.Min.Y < b.Max.Y && b.Min.Y < a.Max.Y
}
