package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Picture is a drawing under a heading and above a caption.
type Picture struct {
	Title       string // one line
	Description string // what it shows, in words: for those who don't see it

	caption       string
	width, height vg.Length // of the drawing alone
	draw          func(draw.Canvas)
	axis          *film // whose axis goes across the picture; nil: it has none
	bare          bool  // the drawing alone: its page says in words what is around it
}

// show makes the picture one of panels over an axis.
func (p *Picture) show(f film) { p.height, p.draw, p.axis = f.height(), f.draw, &f }

// reach returns from where to where, as shares of the picture's width, its axis
// goes.
func (p *Picture) reach() (from, to float64) {
	width, _ := p.size()
	left, right := p.axis.across(p.blank())
	return float64(left / width), float64(right / width)
}

// blank returns where the drawing goes, on paper on which nothing is drawn.
func (p *Picture) blank() draw.Canvas { return p.inner(draw.New(vgsvg.New(p.size()))) }

// margin is the white around everything.
const margin vg.Length = 16

// pngDPI is the resolution of PNGs: one and a half times that of a screen, so
// that they stay sharp where a page enlarges them a little. One that would be
// wider than pngWidth, in pixels, is coarser: it would be a file of megabytes.
const (
	pngDPI   = 144
	pngWidth = 4096
)

// WriteSVG writes the picture as SVG. Its title and description are in it for
// screen readers.
func (p *Picture) WriteSVG(w io.Writer) error {
	c := vgsvg.New(p.size())
	p.drawTo(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return fmt.Errorf("draw %q as SVG: %w", p.Title, err)
	}
	svg := b.String()
	// The canvas can neither name itself nor fall back to another typeface.
	// What it has no words for is put into what it wrote.
	svg = strings.Replace(svg, "<svg ", `<svg role="img" `, 1)
	svg = strings.Replace(svg, "\n<g ", "\n<title>"+xmlText(p.Title)+"</title>\n<desc>"+xmlText(p.Description)+"</desc>\n<g ", 1)
	svg = strings.ReplaceAll(svg, "font-family:Liberation Sans;", "font-family:"+families+";")
	_, err := io.WriteString(w, fitted(slim(svg)))
	return err
}

// fitted says of each text how long it is in our typeface, so that it is as
// long in any other that a reader has instead.
func fitted(svg string) string {
	text := regexp.MustCompile(`^([^>]*font-weight:(normal|bold);[^>]*font-size:([0-9.]+)px[^>]*)>([^<]+)$`)
	return between(svg, "<text ", "</text>", func(inner string) string {
		m := text.FindStringSubmatch(inner)
		if m == nil {
			return inner
		}
		size, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return inner
		}
		width := hand{size: vg.Length(size), bold: m[2] == "bold"}.width(html.UnescapeString(m[4]))
		return fmt.Sprintf(`textLength="%.1f" lengthAdjust="spacingAndGlyphs" %s>%s`, float64(width), m[1], m[4])
	})
}

// families are the typefaces that a picture asks for, the first that is there.
const families = "'Liberation Sans',Arial,Helvetica,sans-serif"

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// WritePNG writes the picture as PNG.
func (p *Picture) WritePNG(w io.Writer) error {
	width, height := p.size()
	dpi := min(pngDPI, int(pngWidth*vg.Inch/width))
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))}
	p.drawTo(draw.New(c))
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("draw %q as PNG: %w", p.Title, err)
	}
	return nil
}

// The three kinds of text around a drawing.
func headHand() hand    { return hand{huge, true, rgb(black)} }
func leadHand() hand    { return hand{large, false, rgb(black)} }
func captionHand() hand { return hand{small, false, rgb(dim)} }

// A page may show an SVG in a wider font than ours, so lines leave it room.
const roomForFonts = 0.87

// leastWidth leaves room for the text around a small drawing.
const leastWidth vg.Length = 540

func (p *Picture) lead() []string {
	return leadHand().wrap(p.Description, roomForFonts*p.across(), 4)
}

func (p *Picture) notes() []string {
	return captionHand().wrap(p.caption, roomForFonts*p.across(), 3)
}

// across returns how wide the picture is between its margins.
func (p *Picture) across() vg.Length {
	if p.bare {
		return p.width
	}
	return max(p.width, leastWidth)
}

// size returns how large the whole is: the text takes the room that it needs.
func (p *Picture) size() (width, height vg.Length) {
	return p.across() + 2*margin, p.above() + p.height + p.below()
}

func (p *Picture) above() vg.Length {
	if p.bare {
		return margin
	}
	return margin + headHand().line() + vg.Length(len(p.lead()))*leadHand().line() + margin/2
}

func (p *Picture) below() vg.Length {
	if p.bare {
		return margin
	}
	return margin/2 + vg.Length(len(p.notes()))*captionHand().line() + margin
}

func (p *Picture) drawTo(c draw.Canvas) {
	fill(c, c.Rectangle, rgb(white))
	if !p.bare {
		p.write(c)
	}
	p.draw(p.inner(c))
}

// write writes the text around the drawing.
func (p *Picture) write(c draw.Canvas) {
	y := c.Max.Y - margin - huge
	headHand().write(c, margin, y, draw.XLeft, headHand().fit(p.Title, p.across()))
	y -= 0.15 * huge
	for _, line := range p.lead() {
		y -= leadHand().line()
		leadHand().write(c, margin, y, draw.XLeft, line)
	}
	y = p.below() - margin/2
	for _, line := range p.notes() {
		y -= captionHand().line()
		captionHand().write(c, margin, y, draw.XLeft, line)
	}
}

// inner returns where on c the drawing is.
func (p *Picture) inner(c draw.Canvas) draw.Canvas {
	return draw.Crop(c, margin, -margin, p.below(), -p.above())
}
