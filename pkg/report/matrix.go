package report

import (
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Sizes in the matrix, in points.
const (
	cellWidth  vg.Length = 158
	cellHeight vg.Length = 92
	cellGap    vg.Length = 4
	axisWidth  vg.Length = 72  // the axis of memory
	axisHeight vg.Length = 38  // the axis of CPUs
	scaleWidth vg.Length = 104 // the scale of colours
)

// Matrix draws the cells of a run: CPUs to the right, memory upwards, coloured
// by how much of the target each carried. Levels stand at even distances,
// however uneven they are. Each setting has a panel of its own, all with the same
// axes.
func Matrix(r Run) *Picture {
	p := newPanels(r)
	return &Picture{
		Title:       clean(r.Surface.Experiment, nameLength) + ": " + r.unit() + " carried of " + analysis.Thousands(r.Surface.Target),
		Description: clean(r.Surface.Answer, lineLength),
		caption:     strings.Join(append([]string{r.caption()}, r.priced()...), "  ·  "),
		width:       vg.Length(p.across)*p.width + scaleWidth,
		height:      vg.Length(p.down) * p.height,
		draw:        p.draw,
	}
}

// Panels stand beside each other as far as they fit, then beneath.
const (
	panelsWidth  vg.Length = 1200 // of the panels in a row, at most, if there are several
	headingSpace vg.Length = 26   // above each panel of a setting
)

// panels are a run's matrices, one for each setting.
type panels struct {
	all           []matrix
	across, down  int
	width, height vg.Length // of one
}

func newPanels(r Run) panels {
	whole := newMatrix(r)
	p := panels{
		width:  axisWidth + vg.Length(len(whole.cpus))*cellWidth,
		height: axisHeight + vg.Length(max(1, len(whole.memory)))*cellHeight,
	}
	if r.set() {
		p.height += headingSpace
	}
	for _, setting := range analysis.Settings(r.Surface.Cells) {
		one := whole
		one.cells, one.setting = analysis.Of(whole.cells, setting), setting
		p.all = append(p.all, one)
	}
	n := max(1, len(p.all))
	p.across = min(n, max(1, int(panelsWidth/p.width)))
	p.down = (n + p.across - 1) / p.across
	return p
}

func (p panels) draw(c draw.Canvas) {
	if len(p.all) == 0 {
		hand{large, false, rgb(dim)}.write(c, c.Center().X, c.Center().Y, draw.XCenter, "no cells")
		return
	}
	for i, m := range p.all {
		one := draw.Crop(c, 0, 0, 0, 0)
		one.Min.X += vg.Length(i%p.across) * p.width
		one.Max.X = one.Min.X + p.width
		one.Max.Y -= vg.Length(i/p.across) * p.height
		one.Min.Y = one.Max.Y - p.height
		area := m.draw(one)
		if i == p.across-1 {
			m.drawScale(c, area.Max.X+20, area.Min.Y+cellGap, area.Max.Y-cellGap)
		}
	}
}

// A matrix places cells on two axes of indices.
type matrix struct {
	run     Run
	cells   []analysis.Cell
	setting experiment.Setting // of the cells, where they have one
	cpus    []experiment.CPUs
	memory  []experiment.Bytes
}

func newMatrix(r Run) matrix {
	m := matrix{run: r, cells: r.Surface.Cells}
	for _, c := range m.cells {
		m.cpus, m.memory = append(m.cpus, c.Trial.Limits.CPU), append(m.memory, c.Trial.Limits.Memory)
	}
	slices.Sort(m.cpus)
	slices.Sort(m.memory)
	m.cpus, m.memory = slices.Compact(m.cpus), slices.Compact(m.memory)
	return m
}

// draw draws the matrix and returns the area of its cells.
func (m matrix) draw(c draw.Canvas) draw.Canvas {
	grid := c
	if m.run.set() {
		grid = draw.Crop(c, 0, 0, 0, -headingSpace)
	}
	p := plot.New()
	p.BackgroundColor = nil
	p.Add(m)
	p.X.Tick.Marker, p.Y.Tick.Marker = m.ticks()
	p.X.Label.Text, p.Y.Label.Text = "CPUs", "memory"
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Width, a.Padding, a.Tick.Length = 0, 0, 0
		a.Tick.Label.Font, a.Label.TextStyle.Font = sized(large), sized(normal)
		a.Label.TextStyle.Color, a.Label.Padding = rgb(dim), 4
	}
	p.Draw(grid)
	area := p.DataCanvas(grid)
	if m.run.set() {
		m.drawHeading(c, area)
	}
	return area
}

// drawHeading names the setting above the cells.
func (m matrix) drawHeading(c, area draw.Canvas) {
	heading := "no setting"
	if m.setting != (experiment.Setting{}) {
		heading = clean(m.setting.String(), lineLength)
	}
	h := hand{large, true, rgb(black)}
	h.write(c, area.Min.X+cellGap, c.Max.Y-large-4, draw.XLeft, h.fit(heading, area.Size().X))
}

func (m matrix) ticks() (cpus, memory plot.ConstantTicks) {
	for i, v := range m.cpus {
		cpus = append(cpus, plot.Tick{Value: float64(i), Label: v.String()})
	}
	for i, v := range m.memory {
		memory = append(memory, plot.Tick{Value: float64(i), Label: v.String()})
	}
	return cpus, memory
}

// DataRange makes room for half a cell around each index.
func (m matrix) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -0.5, float64(len(m.cpus)) - 0.5, -0.5, float64(len(m.memory)) - 0.5
}

// Plot draws the cells. It is gonum/plot's interface; its own heat map stays
// blank where all cells are equal, and has no text.
func (m matrix) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, cell := range m.cells {
		i := float64(slices.Index(m.cpus, cell.Trial.Limits.CPU))
		j := float64(slices.Index(m.memory, cell.Trial.Limits.Memory))
		box := vg.Rectangle{Min: vg.Point{X: x(i - 0.5), Y: y(j - 0.5)}, Max: vg.Point{X: x(i + 0.5), Y: y(j + 0.5)}}
		m.drawCell(c, inset(box, cellGap), cell)
	}
}

func (m matrix) drawCell(c draw.Canvas, box vg.Rectangle, cell analysis.Cell) {
	ground := m.ground(cell)
	switch {
	case m.run.minimal(cell):
		frame(c, box, 4, ground)
	case cell.Outcome == analysis.Passed:
		frame(c, box, 1.5, ground)
	default:
		fill(c, box, ground)
	}
	switch {
	case !cell.Measured:
		hatch(c, box, pen(grid, 1))
		outline(c, inset(box, 0.5), pen(edge, 1, 4, 3))
	case !cell.Outcome.Known():
		c.StrokeLine2(pen(cross, 1.5), box.Min.X, box.Min.Y, box.Max.X, box.Max.Y)
		c.StrokeLine2(pen(cross, 1.5), box.Min.X, box.Max.Y, box.Max.X, box.Min.Y)
		outline(c, inset(box, 0.5), pen(edge, 1))
	case failsHolding(cell):
		outline(c, inset(box, 1.5), pen(vermilion, 3, 7, 4))
	}
	if m.run.running(cell) {
		outline(c, inset(box, 1.5), pen(blue, 3))
	}
	stack(c, box, inkOn(ground), m.lines(cell))
	if cell.Measured && cell.Outcome.Known() && !m.run.minimal(cell) {
		drawSide(c, vg.Point{X: box.Min.X + 12, Y: box.Max.Y - 12}, inkOn(ground), cell.Outcome.Failed())
	}
}

// drawSide draws a cross for a cell that failed, a tick for one that passed.
func drawSide(c draw.Canvas, at vg.Point, ink color.RGBA, failed bool) {
	const arm = 4
	style := draw.LineStyle{Color: ink, Width: 2.2}
	if !failed {
		c.StrokeLines(style, []vg.Point{{X: at.X - arm, Y: at.Y}, {X: at.X - 1, Y: at.Y - arm}, {X: at.X + arm + 1, Y: at.Y + arm}})
		return
	}
	c.StrokeLine2(style, at.X-arm, at.Y-arm, at.X+arm, at.Y+arm)
	c.StrokeLine2(style, at.X-arm, at.Y+arm, at.X+arm, at.Y-arm)
}

// ground returns a cell's colour: how much of the target it carried, or a grey
// where that isn't known.
func (m matrix) ground(cell analysis.Cell) color.RGBA {
	switch {
	case !cell.Measured:
		return rgb(white)
	case !cell.Outcome.Known():
		return rgb(shade)
	case cell.LastPass == nil || m.run.Surface.Target == 0:
		return viridis(0)
	case cell.Outcome.Failed():
		return viridis(min(failedMost, float64(cell.LastPass.Users)/float64(m.run.Surface.Target)))
	default:
		return viridis(float64(cell.LastPass.Users) / float64(m.run.Surface.Target))
	}
}

// failedMost is the most of the scale of colours that a cell which failed gets:
// one that fails while it holds the target has reached it, but not carried it.
const failedMost = 0.9

// failsHolding reports whether a cell failed at the level that it had reached,
// rather than on the way to the next. No colour tells that: such a cell has an
// edge of its own.
func failsHolding(cell analysis.Cell) bool {
	last, first := cell.LastPass, cell.FirstFail
	return cell.Outcome.Failed() && last != nil && first != nil && last.Users >= first.Users
}

// A sign stands before a line of text.
type sign uint8

const (
	noSign sign = iota
	starSign
	badgeSign // the letter of the cause, in a disc
)

// A cellLine is one line of a cell's text.
type cellLine struct {
	text string
	size vg.Length
	bold bool
	sign sign
	mark string // in the badge
}

// lines returns what stands in a cell: how much it carries, how it ended and
// why, what it costs.
func (m matrix) lines(cell analysis.Cell) []cellLine {
	var out []cellLine
	if m.run.minimal(cell) {
		out = append(out, cellLine{text: "minimal viable", size: normal, bold: true, sign: starSign})
	}
	if m.run.running(cell) {
		out = append(out, cellLine{text: "running now", size: normal, bold: true})
	}
	out = append(out, cellLine{text: bracket(cell, m.run.unit()), size: large, bold: true})
	ended, why := m.run.outcome(cell), cause(cell)
	badge := cellLine{text: why, size: normal, sign: badgeSign}
	if cell.Cause != nil {
		badge.mark = glyph(cell.Cause.Label)
	}
	switch {
	case !cell.Measured:
		why := clean(cell.Why, lineLength)
		if cell.Inferred != "" {
			why = follows(cell)
		}
		const most = 4 // lines, beside the bracket and the price
		for _, line := range (hand{size: small}).wrap(strings.TrimPrefix(why+"; "+m.run.foretells(cell), "; "), cellWidth-24, most) {
			out = append(out, cellLine{text: line, size: small})
		}
	case why == "":
		out = append(out, cellLine{text: ended, size: normal})
	case strings.HasPrefix(ended, why): // the outcome is the cause
		badge.text = ended
		out = append(out, badge)
	default:
		out = append(out, cellLine{text: ended, size: normal}, badge)
	}
	return append(out, cellLine{text: dollars(cell.PriceHour) + "/h", size: small})
}

// glyph returns the letter of a cause, each its own, so that causes differ by
// more than the small words beside it.
func glyph(l analysis.Label) string {
	switch l {
	case analysis.CauseOOM:
		return "O"
	case analysis.CauseCrash:
		return "X"
	case analysis.CauseMemory:
		return "M"
	case analysis.CauseCPU:
		return "C"
	case analysis.CauseBursts:
		return "T" // throttled
	case analysis.CauseBacklog:
		return "B"
	case analysis.CauseConcurrency:
		return "W" // workers
	case analysis.CauseDownstream:
		return "D"
	case analysis.CauseApplication:
		return "A"
	case analysis.CauseLeak:
		return "L"
	case analysis.CauseNotReady:
		return "N"
	case analysis.CauseGenerator:
		return "G"
	case analysis.CauseHost:
		return "H"
	case analysis.CauseUnknown:
	}
	return "?"
}

// stack writes lines into the middle of a box.
func stack(c draw.Canvas, box vg.Rectangle, ink color.RGBA, lines []cellLine) {
	const leading = 1.35
	var height vg.Length
	for _, l := range lines {
		height += leading * l.size
	}
	y := (box.Min.Y+box.Max.Y)/2 + height/2
	for _, l := range lines {
		y -= leading * l.size
		l.write(c, (box.Min.X+box.Max.X)/2, y+0.3*l.size, box.Size().X-16, ink)
	}
}

// write writes the line, its sign before it, around x.
func (l cellLine) write(c draw.Canvas, x, y, width vg.Length, ink color.RGBA) {
	h := hand{l.size, l.bold, ink}
	indent := vg.Length(0)
	if l.sign != noSign {
		indent = 1.5 * l.size
	}
	text := h.fit(l.text, width-indent)
	x -= (h.width(text) + indent) / 2
	at := vg.Point{X: x + 0.55*l.size, Y: y + 0.36*l.size}
	switch l.sign {
	case noSign:
	case starSign:
		star(c, at, 0.65*l.size, ink)
	case badgeSign:
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: 0.6 * l.size, Shape: draw.CircleGlyph{}}, at)
		hand{small, true, inkOn(ink)}.write(c, at.X, at.Y-0.36*small, draw.XCenter, l.mark)
	}
	h.write(c, x+indent, y, draw.XLeft, text)
}

// frame fills a box with a black frame: two fills, for a stroke's corner stays
// open where it began.
func frame(c draw.Canvas, box vg.Rectangle, width vg.Length, ground color.RGBA) {
	fill(c, box, rgb(black))
	fill(c, inset(box, width), ground)
}

// hatch fills a box with slanted lines.
func hatch(c draw.Canvas, box vg.Rectangle, style draw.LineStyle) {
	const step = 9
	size := box.Size()
	for d := step - size.Y; d < size.X; d += step {
		low, high := max(0, -d), min(size.Y, size.X-d)
		c.StrokeLine2(style, box.Min.X+d+low, box.Min.Y+low, box.Min.X+d+high, box.Min.Y+high)
	}
}

// drawScale draws the scale of colours at x, from bottom to top.
func (m matrix) drawScale(c draw.Canvas, x, bottom, top vg.Length) {
	const wide, steps = 14, 64
	h := hand{small, false, rgb(black)}
	h.write(c, x, top-small, draw.XLeft, m.run.unit()+" carried")
	top -= 2 * small
	bottom = max(bottom, top-140)
	// From the bottom up, each step over the rest: no seams.
	for i := range steps {
		y := bottom + (top-bottom)*vg.Length(i)/steps
		fill(c, vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + wide, Y: top}}, viridis((float64(i)+0.5)/steps))
	}
	for _, share := range []float64{0, 0.5, 1} {
		y := bottom + (top-bottom)*vg.Length(share)
		n := analysis.Thousands(int(math.Round(share * float64(m.run.Surface.Target))))
		c.StrokeLine2(pen(edge, 0.75), x+wide, y, x+wide+3, y)
		h.write(c, x+wide+6, y-0.35*small, draw.XLeft, n)
	}
}
