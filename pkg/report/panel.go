package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
)

// sized returns the typeface of axes.
func sized(size vg.Length) font.Font { return font.From(typeface(false), size) }

// A series is one line of a panel. A value that is NaN leaves a gap.
type series struct {
	name   string
	xs, ys []float64
	style  draw.LineStyle
	glyph  draw.GlyphDrawer
	alone  bool // each value stands for itself: no line joins them
	bare   bool // a line without glyphs, thin beside what was seen or proved

	low, high []float64 // from where to where the bar through each value goes; nil: there are none
	shift     vg.Length // how far to the right of its place each value is drawn, so that bars stand apart
	texture   texture   // of a layer
}

// last returns the last value that is known.
func (s series) last() (y float64, known bool) {
	for _, y := range slices.Backward(s.ys) {
		if !math.IsNaN(y) {
			return y, true
		}
	}
	return 0, false
}

// A bound is a level drawn across a panel: a limit, a target.
type bound struct {
	name string
	y    float64
}

// A mark is a place on the shared axis, drawn through all panels.
type mark struct {
	name  string
	at    float64 // in the axis' unit
	style draw.LineStyle
}

// A band is a stretch of the shared axis, grey in all panels.
type band struct{ from, to float64 }

// A panel is one of the small plots that share an axis: of time, or of users.
type panel struct {
	heading string
	empty   string // what to say where there is no data
	series  []series
	stack   layers
	bounds  []bound
	log     bool // the values are seconds, on a logarithmic axis
	heat    []tile
	marks   []mark
	bands   []band
	room    []float64 // what the axis has to reach, besides what is drawn

	unfilled bool // lines and names are drawn by somebody else
}

// plot returns the panel with its axes, the shared one from 0 to end.
func (p panel) plot(end float64, ticks plot.ConstantTicks) *plot.Plot {
	out := plot.New()
	out.BackgroundColor = nil
	out.X.Min, out.X.Max, out.X.Tick.Marker = 0, end, ticks
	if p.log {
		out.Y.Scale = plot.LogScale{}
	}
	out.Y.Min, out.Y.Max, out.Y.Tick.Marker = p.axis()
	for _, a := range []*plot.Axis{&out.X, &out.Y} {
		a.Padding, a.Tick.Length = 0, 3
		a.Tick.Label.Font, a.Color, a.Tick.Color = sized(small), rgb(edge), rgb(edge)
	}
	out.Add(p)
	return out
}

// axis returns the ends of the panel's own axis, and its ticks.
func (p panel) axis() (low, high float64, ticks plot.ConstantTicks) {
	if p.log {
		return p.decades()
	}
	return p.fromZero()
}

// top returns the greatest value in the panel.
func (p panel) top() float64 {
	top := 0.0
	p.each(func(y float64) { top = max(top, y) })
	return top
}

func (p panel) each(see func(y float64)) {
	for _, s := range p.series {
		for _, y := range slices.Concat(s.ys, s.low, s.high) {
			if !math.IsNaN(y) {
				see(y)
			}
		}
	}
	see(p.stack.top())
	for _, b := range p.bounds {
		see(b.y)
	}
	for _, y := range p.room {
		see(y)
	}
	for _, t := range p.heat {
		see(t.low)
		see(t.high)
	}
}

// fromZero returns a linear axis that begins at 0, with round ticks.
func (p panel) fromZero() (low, high float64, ticks plot.ConstantTicks) {
	const intervals = 4
	top := p.top()
	if top <= 0 {
		top = 1
	}
	step := roundStep(top / intervals)
	for i := 0; float64(i)*step <= top; i++ {
		y := float64(i) * step
		label := strconv.FormatFloat(y, 'g', 4, 64)
		if y >= 1000 {
			label = analysis.Thousands(int(math.Round(y)))
		}
		ticks = append(ticks, plot.Tick{Value: y, Label: label})
	}
	return 0, 1.06 * top, ticks
}

// roundStep returns the least of 1, 2, 2.5, 5 times a power of ten that is at
// least x.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= x {
			return m * power
		}
	}
	return 10 * power
}

// The ends of the axis of response times. Below the least a time is as good
// as none: an answer within a microsecond is drawn at the axis' foot.
const (
	leastExponent = -6
	mostExponent  = 5
)

// decades returns a logarithmic axis of seconds, in whole powers of ten.
func (p panel) decades() (low, high float64, ticks plot.ConstantTicks) {
	first, last := mostExponent, leastExponent
	p.each(func(y float64) {
		if y > 0 {
			e := math.Log10(y)
			first, last = min(first, int(math.Floor(e))), max(last, int(math.Ceil(e)))
		}
	})
	if first > last { // nothing to show
		first, last = -3, 0
	}
	first = max(first, leastExponent)
	last = min(last, mostExponent)
	first = min(first, last-1)
	for e := first; e <= last; e++ {
		ticks = append(ticks, plot.Tick{Value: math.Pow10(e), Label: decade(e)})
	}
	return math.Pow10(first), math.Pow10(last), ticks
}

// decade names a power of ten of a second: "10 ms".
func decade(e int) string {
	unit := "s"
	switch {
	case e < -3:
		e, unit = e+6, "µs"
	case e < 0:
		e, unit = e+3, "ms"
	}
	return analysis.Thousands(int(math.Pow10(e))) + " " + unit
}

// Plot draws the panel's data. It is gonum/plot's interface.
func (p panel) Plot(c draw.Canvas, axes *plot.Plot) {
	x, y := axes.Transforms(&c)
	for _, b := range p.bands {
		from, to := vg.Point{X: x(b.from), Y: c.Min.Y}, vg.Point{X: x(b.to), Y: c.Max.Y}
		fill(c, vg.Rectangle{Min: from, Max: to}, rgb(void))
	}
	hand{normal, true, rgb(black)}.write(c, c.Min.X, c.Max.Y+7, draw.XLeft, p.heading)
	for _, t := range axes.Y.Tick.Marker.Ticks(axes.Y.Min, axes.Y.Max) {
		c.StrokeLine2(pen(grid, 0.75), c.Min.X, y(t.Value), c.Max.X, y(t.Value))
	}
	drawTiles(c, p.heat, x, y)
	p.stack.draw(c, x, y)
	for _, m := range p.marks {
		c.StrokeLine2(m.style, x(m.at), c.Min.Y, x(m.at), c.Max.Y)
	}
	for _, b := range p.bounds {
		c.StrokeLine2(boundPen(), c.Min.X, y(b.y), c.Max.X, y(b.y))
	}
	if p.unfilled {
		return
	}
	place := func(v float64) vg.Length { return y(max(v, axes.Y.Min)) }
	some := len(p.heat)+len(p.stack) > 0
	for _, s := range p.series {
		s.draw(c, x, place)
		_, known := s.last()
		some = some || known
	}
	if !some {
		hand{normal, false, rgb(dim)}.write(c, c.Center().X, c.Center().Y+0.5*normal, draw.XCenter, p.empty)
	}
	p.label(c, place)
}

func boundPen() draw.LineStyle { return pen(black, 1, 7, 3) }

// draw draws the lines between values that follow each other, and a glyph on
// some: on every value that stands alone, and often enough to tell one series
// from another without colour.
func (s series) draw(c draw.Canvas, x, y func(float64) vg.Length) {
	const glyphs = 10
	every := max(1, len(s.xs)/glyphs)
	style := s.style
	if len(s.xs) > 600 {
		style.Width /= 2
	}
	known := func(i int) bool { return i >= 0 && i < len(s.ys) && !math.IsNaN(s.ys[i]) }
	if s.alone {
		every, style.Width = 1, 0
	}
	s.drawBars(c, x, y)
	var line []vg.Point
	for i := range s.xs {
		if !known(i) || s.alone {
			c.StrokeLines(style, line)
			line = nil
		}
		if !known(i) {
			continue
		}
		at := vg.Point{X: x(s.xs[i]) + s.shift, Y: y(s.ys[i])}
		line = append(line, at)
		if !s.bare && (i%every == every/2 || !known(i-1) && !known(i+1)) {
			s.drawGlyph(c, at)
		}
	}
	c.StrokeLines(style, line)
}

// drawBars draws the bar through each value, with a foot and a head.
func (s series) drawBars(c draw.Canvas, x, y func(float64) vg.Length) {
	const half = 2.5 // of a foot
	bar := pen(black, 1)
	bar.Color = s.style.Color
	for i := range s.low {
		if math.IsNaN(s.low[i]) || math.IsNaN(s.high[i]) {
			continue
		}
		at, low, high := x(s.xs[i])+s.shift, y(s.low[i]), y(s.high[i])
		c.StrokeLine2(bar, at, low, at, high)
		c.StrokeLine2(bar, at-half, low, at+half, low)
		c.StrokeLine2(bar, at-half, high, at+half, high)
	}
}

func (s series) drawGlyph(c draw.Canvas, at vg.Point) {
	radius := vg.Length(2.6)
	if s.alone {
		radius = 3.2
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: rgb(black), Radius: radius + 1, Shape: s.glyph}, at) // an edge
	}
	c.DrawGlyphNoClip(draw.GlyphStyle{Color: s.style.Color, Radius: radius, Shape: s.glyph}, at)
}

// A tag is a name at the right end of its line.
type tag struct {
	name    string
	y       vg.Length // where the line ends, then where the name stands
	style   draw.LineStyle
	glyph   draw.GlyphDrawer
	texture texture // of a layer, instead of both
}

func (s series) tag(y vg.Length) tag {
	t := tag{name: s.name, y: y, style: s.style, glyph: s.glyph}
	if s.bare {
		t.glyph = nil
	}
	if s.alone {
		t.style.Width = 0
	}
	return t
}

// label writes the names of lines beside their ends, apart from each other.
// A piece of the line stands before each name.
func (p panel) label(c draw.Canvas, y func(float64) vg.Length) {
	var tags []tag
	for _, b := range p.bounds {
		tags = append(tags, tag{name: b.name, y: y(b.y), style: boundPen()})
	}
	for _, s := range p.series {
		if v, known := s.last(); known {
			tags = append(tags, s.tag(y(v)))
		}
	}
	tags = append(tags, p.stack.tags(y)...)
	spread(tags, c.Max.Y)
	const dash = 20
	for _, t := range tags {
		left := c.Max.X + 8
		if t.texture.none() {
			c.StrokeLine2(t.style, left, t.y, left+dash, t.y)
		} else {
			t.texture.swatch(c, vg.Rectangle{Min: vg.Point{X: left, Y: t.y - 0.45*small}, Max: vg.Point{X: left + dash, Y: t.y + 0.45*small}})
		}
		if t.glyph != nil {
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: t.style.Color, Radius: 2.6, Shape: t.glyph}, vg.Point{X: left + dash/2, Y: t.y})
		}
		h := hand{small, false, rgb(black)}
		h.write(c, left+dash+5, t.y-0.35*small, draw.XLeft, h.fit(t.name, tagWidth-dash-13))
	}
}

// spread moves tags apart so that none covers another, from bottom to top,
// keeping their order.
func spread(tags []tag, top vg.Length) {
	const apart = 1.25 * small
	slices.SortStableFunc(tags, func(a, b tag) int { return cmp.Compare(a.y, b.y) })
	for i := range tags {
		if i > 0 {
			tags[i].y = max(tags[i].y, tags[i-1].y+apart)
		}
	}
	for i, limit := len(tags)-1, top; i >= 0; i-- {
		tags[i].y = min(tags[i].y, limit)
		limit = tags[i].y - apart
	}
}
