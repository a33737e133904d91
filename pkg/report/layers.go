package report

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Layers are areas one above the other, of which the uppermost edge is the sum.
// It is of bars, each as wide as the time that it tells of: what happened in a
// single second is seen, too.
type layers []series

// A bar is one of an area, from the panel's foot up: what lies below covers it.
type bar struct{ left, right, top vg.Length }

// top returns the greatest sum.
func (s layers) top() float64 {
	top := 0.0
	for i := range s.len() {
		top = max(top, s.sum(len(s), i))
	}
	return top
}

func (s layers) len() int {
	if len(s) == 0 {
		return 0
	}
	return len(s[0].xs)
}

// sum returns the sum of the first layers at the i-th place, NaN where it isn't
// known.
func (s layers) sum(first, i int) float64 {
	sum := 0.0
	for _, one := range s[:first] {
		sum += one.ys[i]
	}
	return sum
}

// draw draws the areas from the uppermost down, each as if it began at the foot.
// Their textures and black edges tell them apart without colour.
func (s layers) draw(c draw.Canvas, x, y func(float64) vg.Length) {
	for n := len(s); n > 0; n-- {
		for _, bars := range s.runs(n, x, y) {
			area := vg.Path{}
			area.Move(vg.Point{X: bars[0].left, Y: c.Min.Y})
			for _, b := range bars {
				area.Line(vg.Point{X: b.left, Y: b.top})
				area.Line(vg.Point{X: b.right, Y: b.top})
			}
			area.Line(vg.Point{X: bars[len(bars)-1].right, Y: c.Min.Y})
			area.Close()
			s[n-1].texture.paint(c, area, bars)
		}
	}
}

// runs returns the bars of the n-th layer, those that stand side by side
// together. A bar goes from the time before to its own.
func (s layers) runs(n int, x, y func(float64) vg.Length) [][]bar {
	var out [][]bar
	left, open := x(0), false
	for i, at := range s[n-1].xs {
		right, sum := x(at), s.sum(n, i)
		if math.IsNaN(sum) || sum <= 0 || right <= left {
			left, open = right, false
			continue
		}
		if !open {
			out, open = append(out, nil), true
		}
		out[len(out)-1] = append(out[len(out)-1], bar{left, right, y(sum)})
		left = right
	}
	return out
}

// tags names each layer beside the middle of where it last was, or the sum was.
func (s layers) tags(y func(float64) vg.Length) []tag {
	at := -1
	for i := range s.len() {
		if s.sum(len(s), i) > 0 {
			at = i
		}
	}
	var out []tag
	for n, one := range s {
		t := tag{name: one.name, texture: one.texture}
		if at >= 0 {
			t.y = (y(s.sum(n, at)) + y(s.sum(n+1, at))) / 2
		}
		out = append(out, t)
	}
	return out
}

// A texture fills an area: a colour and lines across it.
type texture struct {
	ground  uint32
	slopes  []float64 // of the lines: 1 for up to the right, 0 for level
	upright bool      // lines that stand
}

func (t texture) none() bool { return t.ground == 0 }

// hatchGap is how far a texture's lines are apart.
const hatchGap = 7

// paint fills an area over bars.
func (t texture) paint(c draw.Canvas, area vg.Path, bars []bar) {
	c.SetColor(rgb(t.ground))
	c.Fill(area)
	lines := vg.Path{}
	for _, slope := range t.slopes {
		lines = append(lines, slanted(bars, c.Min.Y, vg.Length(slope))...)
	}
	if t.upright {
		lines = append(lines, standing(bars, c.Min.Y)...)
	}
	if len(lines) > 0 {
		c.SetLineStyle(pen(black, 0.5))
		c.Stroke(lines)
	}
	c.SetLineStyle(draw.LineStyle{Color: color.Black, Width: 0.75})
	c.Stroke(area)
}

// slanted returns lines of a slope within bars that stand on foot.
func slanted(bars []bar, foot, slope vg.Length) vg.Path {
	low, high := vg.Length(math.Inf(1)), vg.Length(math.Inf(-1)) // where the lines cross the axis of y
	for _, b := range bars {
		for _, x := range []vg.Length{b.left, b.right} {
			low, high = min(low, foot-slope*x, b.top-slope*x), max(high, foot-slope*x, b.top-slope*x)
		}
	}
	var out vg.Path
	for cross := hatchGap * vg.Length(math.Ceil(float64(low/hatchGap))); cross <= high; cross += hatchGap {
		end := vg.Length(math.Inf(-1)) // of the line so far
		for _, b := range bars {
			from, to := within(b, foot, slope, cross)
			if from >= to {
				continue
			}
			if from > end {
				out.Move(vg.Point{X: from, Y: slope*from + cross})
			}
			out.Line(vg.Point{X: to, Y: slope*to + cross})
			end = to
		}
	}
	return out
}

// within returns from where to where a line is in a bar; it isn't where from
// isn't less than to.
func within(b bar, foot, slope, cross vg.Length) (from, to vg.Length) {
	if slope == 0 {
		if cross <= foot || cross >= b.top {
			return 0, 0
		}
		return b.left, b.right
	}
	one, other := (foot-cross)/slope, (b.top-cross)/slope
	return max(b.left, min(one, other)), min(b.right, max(one, other))
}

// standing returns upright lines within bars that stand on foot.
func standing(bars []bar, foot vg.Length) vg.Path {
	var out vg.Path
	for _, b := range bars {
		for x := hatchGap * vg.Length(math.Ceil(float64(b.left/hatchGap))); x < b.right; x += hatchGap {
			out.Move(vg.Point{X: x, Y: foot})
			out.Line(vg.Point{X: x, Y: b.top})
		}
	}
	return out
}

// swatch shows a texture beside its name.
func (t texture) swatch(c draw.Canvas, box vg.Rectangle) {
	local := c
	local.Rectangle = box
	t.paint(local, box.Path(), []bar{{box.Min.X, box.Max.X, box.Max.Y}})
}
