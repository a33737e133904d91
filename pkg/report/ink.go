package report

import (
	"image/color"
	"math"
	"sort"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Sizes of text, in points. The least is 12 pixels where a picture is shown
// at its natural size.
const (
	small  vg.Length = 9
	normal vg.Length = 10
	large  vg.Length = 11.5
	huge   vg.Length = 15
)

// rgb returns the colour 0xRRGGBB.
func rgb(hex uint32) color.RGBA {
	return color.RGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

// Greys. Those for text have a contrast of at least 4.5:1 on white.
const (
	black = 0x000000
	dim   = 0x4D4D4D
	void  = 0xEDEDED
	grid  = 0xE3E3E3
	shade = 0xD4D4D4
	cross = 0xBDBDBD
	edge  = 0x767676
	white = 0xFFFFFF
)

// Okabe and Ito's colours, which people with any colour vision tell apart.
const (
	blue      = 0x0072B2
	green     = 0x009E73
	vermilion = 0xD55E00
	purple    = 0xCC79A7
	sky       = 0x56B4E9 // this and those below only fill: they are too light for lines on white
	orange    = 0xE69F00
	yellow    = 0xF0E442
)

// viridis returns the colour of a share from 0 to 1: from dark violet to
// yellow, evenly in lightness, so that it also reads in grey.
func viridis(share float64) color.RGBA {
	stops := [...]uint32{0x440154, 0x472D7B, 0x3B528B, 0x2C728E, 0x21918C, 0x28AE80, 0x5EC962, 0xADDC30, 0xFDE725}
	at := max(0, min(1, share)) * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	a, b, t := rgb(stops[i]), rgb(stops[i+1]), at-float64(i)
	mix := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + t*(float64(y)-float64(x)))) }
	return color.RGBA{R: mix(a.R, b.R), G: mix(a.G, b.G), B: mix(a.B, b.B), A: 255}
}

// inkOn returns black or white, whichever stands out more from ground: one of
// them always has a contrast of at least 4.58:1.
func inkOn(ground color.RGBA) color.RGBA {
	if contrast(rgb(black), ground) >= contrast(rgb(white), ground) {
		return rgb(black)
	}
	return rgb(white)
}

// contrast returns the contrast of two colours as WCAG 2 defines it: 1 to 21.
func contrast(a, b color.RGBA) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(c color.RGBA) float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// A hand writes text of one size, weight and colour.
type hand struct {
	size vg.Length
	bold bool
	ink  color.Color
}

func typeface(bold bool) font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return f
}

func (h hand) face() font.Face { return font.DefaultCache.Lookup(typeface(h.bold), h.size) }

func (h hand) width(s string) vg.Length {
	f := h.face()
	return f.Width(s)
}

// line returns the distance from one line's base to the next one's.
func (h hand) line() vg.Length { return 1.3 * h.size }

// write writes s with its base at y. side is where x is in it: draw.XLeft,
// draw.XCenter or draw.XRight.
func (h hand) write(c draw.Canvas, x, y vg.Length, side draw.XAlignment, s string) {
	if s == "" {
		return
	}
	c.SetColor(h.ink)
	c.FillString(h.face(), vg.Point{X: x + vg.Length(side)*h.width(s), Y: y}, s)
}

// fit cuts s, with an ellipsis, to at most width.
func (h hand) fit(s string, width vg.Length) string {
	if h.width(s) <= width {
		return s
	}
	chars := []rune(s)
	n := sort.Search(len(chars), func(n int) bool { return h.width(string(chars[:n+1])+"…") > width })
	return strings.TrimSpace(string(chars[:n])) + "…"
}

// wrap breaks s between words into at most limit lines of at most width; what
// is left over ends in an ellipsis.
func (h hand) wrap(s string, width vg.Length, limit int) []string {
	var lines []string
	words := strings.Fields(s)
	for len(words) > 0 && len(lines) < limit {
		n := 1
		for n < len(words) && h.width(strings.Join(words[:n+1], " ")) <= width {
			n++
		}
		if len(lines) == limit-1 {
			n = len(words)
		}
		lines = append(lines, h.fit(strings.Join(words[:n], " "), width))
		words = words[n:]
	}
	return lines
}

// A pen draws lines.
func pen(hex uint32, width vg.Length, dashes ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: rgb(hex), Width: width, Dashes: dashes}
}

// inset returns r made smaller by d on each side.
func inset(r vg.Rectangle, d vg.Length) vg.Rectangle {
	return vg.Rectangle{Min: r.Min.Add(vg.Point{X: d, Y: d}), Max: r.Max.Sub(vg.Point{X: d, Y: d})}
}

func fill(c draw.Canvas, r vg.Rectangle, ink color.Color) {
	c.SetColor(ink)
	c.Fill(r.Path())
}

func outline(c draw.Canvas, r vg.Rectangle, style draw.LineStyle) {
	c.SetLineStyle(style)
	c.Stroke(r.Path())
}

// star fills a star of five points.
func star(c draw.Canvas, center vg.Point, radius vg.Length, ink color.Color) {
	const points = 5
	corners := make([]vg.Point, 2*points)
	for i := range corners {
		r := radius
		if i%2 == 1 {
			r *= 0.42
		}
		sin, cos := math.Sincos(math.Pi/2 + float64(i)*math.Pi/points)
		corners[i] = center.Add(vg.Point{X: r * vg.Length(cos), Y: r * vg.Length(sin)})
	}
	c.FillPolygon(ink, corners)
}
