package report

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"

	"sweep/pkg/analysis"
	"sweep/pkg/measure"
)

// paper is what a chart is drawn on: characters, and dots on them. Braille has
// two by four dots a character, ASCII one.
type paper struct {
	look   Look
	width  int           // of the plot, in characters
	over   time.Duration // from the left end to the right one
	fine   struct{ x, y int }
	dots   map[[2]int]bool // by column and row
	ground [][]rune        // what shows where no dot is
	paint  map[int]string  // colours of letters on the axis, by column
	tall   map[int]string  // colours of whole columns
	labels [chartHeight]string
	ruler  []rune
}

func newPaper(look Look, over time.Duration) *paper {
	p := &paper{look: look, width: look.Width - gutter - 1, over: over, dots: map[[2]int]bool{}, paint: map[int]string{}, tall: map[int]string{}}
	p.fine.x, p.fine.y = 1, 1
	if look.Unicode {
		p.fine.x, p.fine.y = 2, 4
	}
	for range chartHeight {
		p.ground = append(p.ground, slices.Repeat([]rune{' '}, p.width))
	}
	p.ruler = slices.Repeat([]rune{p.pick('─', '-')}, p.width)
	return p
}

// pick returns the character for what the terminal can show.
func (p *paper) pick(unicode, ascii rune) rune {
	if p.look.Unicode {
		return unicode
	}
	return ascii
}

// column returns in which of n columns an instant is.
func (p *paper) column(at time.Duration, n int) int {
	return min(n-1, max(0, int(float64(at)/float64(p.over)*float64(n))))
}

// level draws a limit, under everything else.
func (p *paper) level(height float64, label string) {
	row := min(chartHeight-1, int(math.Round((1-height)*(chartHeight-1))))
	for x := 0; x < p.width; x += 2 {
		p.ground[row][x] = p.pick('╌', '-')
	}
	p.labels[row] = label
}

// label names a row, unless it is named already.
func (p *paper) label(row int, text string) {
	if p.labels[row] == "" {
		p.labels[row] = text
	}
}

// curve draws a height for each window. What is missing leaves a gap; where
// several are in one column the worst is drawn with all between.
func (p *paper) curve(windows []measure.Window, height func(measure.Window) float64) {
	columns, rows := p.width*p.fine.x, chartHeight*p.fine.y
	last := -1
	for x := range columns {
		from := time.Duration(float64(p.over) * float64(x) / float64(columns))
		to := time.Duration(float64(p.over) * float64(x+1) / float64(columns))
		low, high := rows, -1
		for _, w := range windows[min(len(windows), int(from/time.Second)):] {
			if w.Start >= to {
				break
			}
			if h := height(w); !math.IsNaN(h) && w.End() > from {
				row := int(math.Round((1 - h) * float64(rows-1)))
				low, high = min(low, row), max(high, row)
			}
		}
		if high < 0 {
			last = -1
			continue
		}
		if last >= 0 { // a step is drawn whole
			p.fill(x, min(last, low), max(last, high))
		}
		p.fill(x, low, high)
		last = (low + high) / 2
	}
}

func (p *paper) fill(x, from, to int) {
	for y := from; y <= to; y++ {
		p.dots[[2]int{x, y}] = true
	}
}

// void marks seconds that decided nothing on the axis.
func (p *paper) void(s analysis.Stretch) {
	for x := p.column(s.From, p.width); x <= p.column(s.To-1, p.width); x++ {
		p.ruler[x] = '~'
	}
}

// marked draws instants on the axis, and returns the lines that say what they
// are.
func (p *paper) marked(all []instant) []string {
	taken := map[int]bool{}
	var says []string
	for _, i := range slices.Backward(all) { // the last keeps its place
		x := p.column(i.at-1, p.width) // a level's time is its end
		for taken[x] && x > 0 {
			x--
		}
		taken[x] = true
		if i.tall {
			p.stand(x, i.colour)
		}
		p.ruler[x], p.paint[x] = i.letter, i.colour
		says = append(says, p.look.painted(i.colour, string(i.letter))+" "+i.says)
	}
	slices.Reverse(says)
	if slices.Contains(p.ruler, '~') {
		says = append(says, "~ seconds that decided nothing")
	}
	return says
}

// stand draws a column from the axis to the top.
func (p *paper) stand(x int, colour string) {
	p.tall[x] = colour
	for row := range p.ground {
		p.ground[row][x] = p.pick('│', '|')
	}
}

// lines returns the rows of the plot.
func (p *paper) lines() []string {
	var out []string
	for row := range chartHeight {
		b := &strings.Builder{}
		b.WriteString(rightAligned(p.labels[row], gutter-1) + " " + string(p.pick('│', '|')))
		for x := range p.width {
			text := string(p.at(x, row))
			if colour, ok := p.tall[x]; ok {
				text = p.look.painted(colour, text)
			}
			b.WriteString(text)
		}
		out = append(out, b.String())
	}
	return out
}

// at returns the character at a place: the dots on it, or what is under them.
func (p *paper) at(x, row int) rune {
	const braille = 0x2800
	bits := [2][4]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}
	var c rune
	for dx := range p.fine.x {
		for dy := range p.fine.y {
			if p.dots[[2]int{x*p.fine.x + dx, row*p.fine.y + dy}] {
				c |= bits[dx][dy]
			}
		}
	}
	switch {
	case c == 0:
		return p.ground[row][x]
	case p.look.Unicode:
		return braille | c
	default:
		return '*'
	}
}

// axis returns the time axis, with the letters of marks on it.
func (p *paper) axis() string {
	b := &strings.Builder{}
	b.WriteString(strings.Repeat(" ", gutter) + string(p.pick('└', '+')))
	for x, c := range p.ruler {
		text := string(c)
		if colour, ok := p.paint[x]; ok {
			text = p.look.painted(colour, text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// scale writes what text says of instants along the axis.
func (p *paper) scale(name string, text func(time.Duration) string) string {
	line := rightAligned(name, gutter-1) + "  "
	for i := range timeParts + 1 {
		label := text(p.over * time.Duration(i) / timeParts)
		at := gutter + 1 + i*(p.width-1)/timeParts
		switch i {
		case 0:
		case timeParts:
			at -= len(label) - 1
		default:
			at -= len(label) / 2
		}
		if at > len(line) || i == 0 {
			line += strings.Repeat(" ", max(0, at-len(line))) + label
		}
	}
	return line
}

// rightAligned returns s at the right end of width columns.
func rightAligned(s string, width int) string {
	return strings.Repeat(" ", max(0, width-displaywidth.String(s))) + s
}

// writing returns s in characters that the terminal can show.
func (l Look) writing(s string) string {
	if l.Unicode {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c < 0x80:
			return c
		case c == '–':
			return '-'
		case c == '…':
			return '.'
		default:
			return '?'
		}
	}, s)
}

// cut returns s as one line that the terminal has room for.
func (l Look) cut(s string) string {
	return l.writing(strings.TrimRight(fit(l.writing(s), l.Width), " "))
}
