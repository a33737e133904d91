package report

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/analysis"
)

// Sizes in the trend, in points.
const (
	trendHeight  vg.Length = 84 // of a metric's panel
	lanesHeight  vg.Length = 48 // of the verdicts'
	aboveHeight  vg.Length = 38 // over a panel: its heading, and names of changes
	valuesWidth  vg.Length = 72 // the values to the left of panels
	namesOfNight           = 2  // rows of names over a panel
)

// TrendPicture draws the nights of an experiment on one axis of time: what each
// said, then one panel for each metric. Machines have markers of their own,
// nights that say nothing are hollow and grey, those that regressed are ringed.
// Where nights can be compared, a band is what is noise about their median.
func TrendPicture(t Trend) *Picture {
	f := newTrendFilm(t)
	height := vg.Length(len(f.legend))*captionHand().line() + lanesHeight + axisSpace/2
	height += vg.Length(1+len(f.panels))*aboveHeight + vg.Length(len(f.panels))*trendHeight
	return &Picture{
		Title:       clean(t.Experiment, nameLength) + ": its nights",
		Description: t.story(),
		caption:     t.caption(),
		width:       rampWidth,
		height:      height,
		draw:        f.draw,
	}
}

// A trendFilm is a trend's panels over their time axis, which counts days from
// the midnight before the first night, in UTC.
type trendFilm struct {
	t        Trend
	midnight time.Time
	end      float64 // of the axis
	radius   vg.Length
	glyphs   map[string]marker // by machine
	legend   [][]legendEntry   // by rows
	panels   []trendPanel
}

// A trendPanel is the panel of one metric.
type trendPanel struct {
	metric    analysis.Metric
	heading   string
	low, high float64 // the axis' ends
	ticks     []float64
}

// A marker is the shape of a machine: filled, and hollow.
type marker struct{ filled, hollow draw.GlyphDrawer }

// markers are told apart without colour. Further machines share the last one.
func markers() []marker {
	return []marker{
		{draw.CircleGlyph{}, draw.RingGlyph{}},
		{draw.BoxGlyph{}, draw.SquareGlyph{}},
		{draw.PyramidGlyph{}, draw.TriangleGlyph{}},
		{draw.CrossGlyph{}, draw.PlusGlyph{}},
	}
}

func newTrendFilm(t Trend) *trendFilm {
	f := &trendFilm{t: t, glyphs: map[string]marker{}}
	first, last := t.Nights[0].Time.UTC(), t.Nights[len(t.Nights)-1].Time.UTC()
	f.midnight = time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC)
	f.end = max(1, math.Ceil(f.days(last)+0.01))
	width := rampWidth - valuesWidth - tagWidth
	f.radius = max(1.4, min(2.8, 0.4*width/vg.Length(f.end)))
	shapes := markers()
	for i, m := range t.machines() {
		f.glyphs[m.Fingerprint] = shapes[min(i, len(shapes)-1)]
	}
	for _, m := range analysis.Metrics() {
		f.panels = append(f.panels, newTrendPanel(t, m))
	}
	f.legend = f.entries()
	return f
}

func (f *trendFilm) days(at time.Time) float64 { return at.Sub(f.midnight).Hours() / 24 }

// newTrendPanel lays out the axis of a metric. Nights that say nothing don't
// stretch it. It shows a third of the median at least, so that noise looks as
// small as it is; it needn't begin at 0, for there are no bars on it.
func newTrendPanel(t Trend, m analysis.Metric) trendPanel {
	p := trendPanel{metric: m, heading: metricHeading(m, t.unit())}
	var values []float64
	for _, n := range t.Nights {
		if v, known := m.Of(n); known && n.Valid() {
			values = append(values, inUnit(m, v))
		}
		if c := n.Capacity(); m == analysis.MetricCapacity && c != nil && c.FirstFail != nil && n.Valid() {
			values = append(values, float64(*c.FirstFail))
		}
	}
	if m == analysis.MetricCapacity && t.target() > 0 {
		values = append(values, float64(t.target()))
	}
	if len(values) == 0 {
		return p
	}
	slices.Sort(values)
	const sixth, room = 1.0 / 6, 0.07
	middle := values[len(values)/2]
	low, high := min(values[0], (1-sixth)*middle), max(values[len(values)-1], (1+sixth)*middle)
	p.low, p.high = max(0, low-room*(high-low)), high+room*(high-low)
	const intervals = 4
	step := roundStep((p.high - p.low) / intervals)
	for i := math.Ceil(p.low / step); i*step <= p.high; i++ {
		p.ticks = append(p.ticks, i*step)
	}
	return p
}

func (f *trendFilm) draw(c draw.Canvas) {
	top := c.Max.Y
	for _, row := range f.legend {
		top -= captionHand().line()
		x := c.Min.X
		for _, e := range row {
			e.draw(c, vg.Point{X: x, Y: top + 0.35*small})
			hand{small, false, rgb(black)}.write(c, x+legendSign+4, top, draw.XLeft, e.text)
			x += e.width()
		}
	}
	area := vg.Rectangle{Min: vg.Point{X: c.Min.X + valuesWidth, Y: top - aboveHeight - lanesHeight}, Max: vg.Point{X: c.Max.X - tagWidth, Y: top - aboveHeight}}
	ticks := dateTicks(f.midnight, f.end)
	f.lanes(c, area, ticks)
	for _, p := range f.panels {
		area.Max.Y = area.Min.Y - aboveHeight
		area.Min.Y = area.Max.Y - trendHeight
		f.panel(c, area, p, ticks)
	}
	for _, t := range ticks {
		hand{small, false, rgb(dim)}.write(c, f.at(area, t.day), area.Min.Y-1.4*small, draw.XCenter, t.label)
	}
}

// at returns the place of a day.
func (f *trendFilm) at(area vg.Rectangle, day float64) vg.Length {
	return area.Min.X + vg.Length(day/f.end)*area.Size().X
}

func (f *trendFilm) night(area vg.Rectangle, i int) vg.Length {
	return f.at(area, f.days(f.t.Nights[i].Time))
}

// lanes draws what each night said: one lane a verdict, so that nights without
// any number are there too.
func (f *trendFilm) lanes(c draw.Canvas, area vg.Rectangle, ticks []dateTick) {
	f.frame(c, area, "What each night said", ticks)
	lanes := []analysis.NightVerdict{analysis.Regressed, analysis.NightInconclusive, analysis.Holds}
	y := func(i int) vg.Length { return area.Min.Y + (vg.Length(i)+0.5)*area.Size().Y/vg.Length(len(lanes)) }
	for i, v := range lanes {
		hand{small, false, rgb(black)}.write(c, area.Min.X-6, y(i)-0.35*small, draw.XRight, string(v))
		c.StrokeLine2(pen(grid, 0.75), area.Min.X, y(i), area.Max.X, y(i))
	}
	s := newShelf(area, "What each night said")
	for _, turn := range slices.Backward(f.t.Turns) {
		x := f.night(area, turn.Night)
		words := "another question"
		if turn.Cell {
			words = "now " + clean(turn.Minimal.String(), nameLength)
		}
		s.name(c, x, words, pen(edge, 1, 1, 2))
	}
	for i, n := range f.t.Nights {
		f.mark(c, vg.Point{X: f.night(area, i), Y: y(slices.Index(lanes, n.Verdict))}, n)
	}
}

// frame draws the axes of a panel, without its values, and its heading.
func (f *trendFilm) frame(c draw.Canvas, area vg.Rectangle, heading string, ticks []dateTick) {
	headingHand().write(c, area.Min.X, area.Max.Y+7, draw.XLeft, heading)
	for _, t := range ticks {
		c.StrokeLine2(pen(grid, 0.75), f.at(area, t.day), area.Min.Y, f.at(area, t.day), area.Max.Y)
		c.StrokeLine2(pen(edge, 0.5), f.at(area, t.day), area.Min.Y, f.at(area, t.day), area.Min.Y-3)
	}
	c.StrokeLine2(pen(edge, 0.5), area.Min.X, area.Min.Y, area.Max.X, area.Min.Y)
	c.StrokeLine2(pen(edge, 0.5), area.Min.X, area.Min.Y, area.Min.X, area.Max.Y)
}

func headingHand() hand { return hand{normal, true, rgb(black)} }

// panel draws one metric.
func (f *trendFilm) panel(c draw.Canvas, area vg.Rectangle, p trendPanel, ticks []dateTick) {
	f.frame(c, area, p.heading, ticks)
	if len(p.ticks) == 0 {
		hand{normal, false, rgb(dim)}.write(c, (area.Min.X+area.Max.X)/2, (area.Min.Y+area.Max.Y)/2, draw.XCenter, "nothing is known")
		return
	}
	y := func(v float64) vg.Length {
		return area.Min.Y + vg.Length((v-p.low)/(p.high-p.low))*area.Size().Y
	}
	for _, v := range p.ticks {
		c.StrokeLine2(pen(grid, 0.75), area.Min.X, y(v), area.Max.X, y(v))
		hand{small, false, rgb(black)}.write(c, area.Min.X-6, y(v)-0.35*small, draw.XRight, plainNumber(v))
	}
	f.bands(c, area, p, y)
	for _, turn := range f.t.Turns {
		x := f.night(area, turn.Night)
		c.StrokeLine2(pen(edge, 1, 1, 2), x, area.Min.Y, x, area.Max.Y)
	}
	s := newShelf(area, p.heading)
	for _, shift := range slices.Backward(f.t.Shifts) {
		if shift.Metric == p.metric {
			day := f.days(f.t.Nights[shift.Night].Time) - 0.5
			s.name(c, f.at(area, max(0, day)), f.t.dated(shift), shiftPen(shift))
		}
	}
	f.values(c, area, p, y)
	f.tags(c, area, p, y)
}

// shiftPen draws changes for the worse unlike those for the better.
func shiftPen(s analysis.Shift) draw.LineStyle {
	if s.Worse() {
		return pen(vermilion, 1.25, 6, 2)
	}
	return pen(green, 1.25, 2, 2)
}

// noiseColour is the colour of what is noise; what is drawn on it has a contrast of
// at least 3:1.
const noiseColour = 0xDCEAF4

// bands draws the median of nights that can be compared, and what is noise
// about it.
func (f *trendFilm) bands(c draw.Canvas, area vg.Rectangle, p trendPanel, y func(float64) vg.Length) {
	within := func(v float64) vg.Length { return max(area.Min.Y, min(area.Max.Y, y(v))) }
	for pass := range 2 { // all lines over all bands
		for _, s := range f.t.Spells {
			if s.Metric != p.metric {
				continue
			}
			middle := inUnit(p.metric, s.Median)
			from := max(area.Min.X, f.at(area, f.days(f.t.Nights[s.Nights[0]].Time)-0.5))
			to := min(area.Max.X, f.at(area, f.days(f.t.Nights[s.Nights[len(s.Nights)-1]].Time)+0.5))
			if pass == 0 {
				low, high := within(middle*(1-s.Noise)), within(middle*(1+s.Noise))
				fill(c, vg.Rectangle{Min: vg.Point{X: from, Y: low}, Max: vg.Point{X: to, Y: high}}, rgb(noiseColour))
			} else {
				c.StrokeLine2(pen(blue, 0.75), from, y(middle), to, y(middle))
			}
		}
	}
}

// values draws the nights themselves. What is beyond the axis, which only a
// night can be that says nothing, stands at its end.
func (f *trendFilm) values(c draw.Canvas, area vg.Rectangle, p trendPanel, y func(float64) vg.Length) {
	inside := inset(area, f.radius)
	for i, n := range f.t.Nights {
		x := f.night(area, i)
		if cell := n.Capacity(); p.metric == analysis.MetricCapacity && cell != nil && n.Valid() {
			f.bracket(c, x, *cell, y, area)
		}
		if v, known := p.metric.Of(n); known {
			f.mark(c, vg.Point{X: x, Y: max(inside.Min.Y, min(inside.Max.Y, y(inUnit(p.metric, v))))}, n)
		}
	}
}

// bracket draws a bar from the last pass to the first fail, with a cap at the
// end that failed. Where nothing passed it comes from the foot.
func (f *trendFilm) bracket(c draw.Canvas, x vg.Length, cell analysis.NightCell, y func(float64) vg.Length, area vg.Rectangle) {
	if cell.FirstFail == nil {
		return
	}
	from, to := area.Min.Y, y(float64(*cell.FirstFail))
	if cell.LastPass != nil {
		from = y(float64(*cell.LastPass))
	}
	style := pen(dim, 0.25*f.radius)
	c.StrokeLine2(style, x, from, x, to)
	c.StrokeLine2(style, x-f.radius, to, x+f.radius, to)
}

// mark draws a night.
func (f *trendFilm) mark(c draw.Canvas, at vg.Point, n analysis.Night) {
	shape := f.glyphs[n.Host.Fingerprint]
	f.sign(c, at, n.Verdict, shape, f.radius)
}

func (f *trendFilm) sign(c draw.Canvas, at vg.Point, v analysis.NightVerdict, shape marker, radius vg.Length) {
	glyph := func(ink color.Color, radius vg.Length, shape draw.GlyphDrawer) {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: ink, Radius: radius, Shape: shape}, at)
	}
	switch v {
	case analysis.NightInconclusive:
		glyph(rgb(edge), radius+0.3, shape.hollow)
	case analysis.Regressed:
		glyph(rgb(vermilion), radius, shape.filled)
		glyph(rgb(vermilion), radius+2, draw.RingGlyph{})
	case analysis.Holds:
		glyph(rgb(blue), radius, shape.filled)
	}
}

// tags names the target and the newest median beside a panel.
func (f *trendFilm) tags(c draw.Canvas, area vg.Rectangle, p trendPanel, y func(float64) vg.Length) {
	var tags []tag
	if s := f.t.newest(p.metric); s != nil {
		v := inUnit(p.metric, s.Median)
		tags = append(tags, tag{name: "now " + plainNumber(v), y: y(v), style: pen(blue, 1)})
	}
	if target := f.t.target(); p.metric == analysis.MetricCapacity && target > 0 {
		c.StrokeLine2(boundPen(), area.Min.X, y(float64(target)), area.Max.X, y(float64(target)))
		tags = append(tags, tag{name: "target " + analysis.Thousands(target), y: y(float64(target)), style: boundPen()})
	}
	spread(tags, area.Max.Y)
	const dash = 20
	for _, t := range tags {
		left := area.Max.X + 8
		c.StrokeLine2(t.style, left, t.y, left+dash, t.y)
		h := hand{small, false, rgb(black)}
		h.write(c, left+dash+5, t.y-0.35*small, draw.XLeft, h.fit(t.name, tagWidth-dash-13))
	}
}

// A shelf is the room over a panel, in which names of marks stand in rows.
type shelf struct {
	area  vg.Rectangle // the panel's
	taken [namesOfNight][]stretch
}

type stretch struct{ from, to vg.Length }

// newShelf returns the room over a panel, beside its heading.
func newShelf(area vg.Rectangle, heading string) *shelf {
	s := &shelf{area: area}
	s.taken[0] = []stretch{{area.Min.X, area.Min.X + headingHand().width(heading) + 6}}
	return s
}

// name draws a mark through the panel, up to its name. Where there is no room
// for that, the mark is without one: what is named before has it.
func (s *shelf) name(c draw.Canvas, x vg.Length, name string, style draw.LineStyle) {
	const gap = 4
	h := hand{small, false, rgb(black)}
	wide := h.width(name)/roomForFonts + gap
	for _, right := range []bool{true, false} {
		for row := range s.taken {
			room := stretch{x - wide, x + 1}
			if right {
				room = stretch{x - 1, x + wide}
			}
			if room.from < s.area.Min.X || room.to > s.area.Max.X+tagWidth || !s.free(row, room) || !s.stands(row, x) {
				continue
			}
			s.taken[row] = append(s.taken[row], room)
			for below := range row {
				s.taken[below] = append(s.taken[below], stretch{x - 2, x + 2})
			}
			y := s.area.Max.Y + 7 + vg.Length(row)*h.line()
			c.StrokeLine2(style, x, s.area.Min.Y, x, y+0.7*small)
			if right {
				h.write(c, x+gap, y, draw.XLeft, name)
			} else {
				h.write(c, x-gap, y, draw.XRight, name)
			}
			return
		}
	}
	c.StrokeLine2(style, x, s.area.Min.Y, x, s.area.Max.Y)
}

func (s *shelf) free(row int, room stretch) bool {
	return !slices.ContainsFunc(s.taken[row], func(t stretch) bool { return room.from < t.to && t.from < room.to })
}

// stands reports whether a line at x reaches up to a row.
func (s *shelf) stands(row int, x vg.Length) bool {
	for below := range row {
		if !s.free(below, stretch{x - 2, x + 2}) {
			return false
		}
	}
	return true
}

// A legendEntry is a sign and what it means.
type legendEntry struct {
	text string
	draw func(c draw.Canvas, at vg.Point) // at is the middle of its left side
}

const legendSign vg.Length = 18

func (e legendEntry) width() vg.Length {
	return legendSign + 4 + captionHand().width(e.text)/roomForFonts + 12
}

// entries returns the legend, in rows that fit.
func (f *trendFilm) entries() [][]legendEntry {
	night := func(v analysis.NightVerdict, shape marker) func(draw.Canvas, vg.Point) {
		return func(c draw.Canvas, at vg.Point) {
			f.sign(c, at.Add(vg.Point{X: legendSign - 5}), v, shape, 2.8)
		}
	}
	line := func(style draw.LineStyle) func(draw.Canvas, vg.Point) {
		return func(c draw.Canvas, at vg.Point) { c.StrokeLine2(style, at.X, at.Y, at.X+legendSign, at.Y) }
	}
	var all []legendEntry
	shapes, machines := markers(), f.t.machines()
	for i, m := range machines {
		name := "machine " + clean(m.Fingerprint, nameLength/3)
		if i == len(shapes)-1 && len(machines) > len(shapes) {
			name = fmt.Sprintf("%d other machines", len(machines)-i)
		}
		if i < len(shapes) {
			all = append(all, legendEntry{name, night(analysis.Holds, f.glyphs[m.Fingerprint])})
		}
	}
	has := func(is func(analysis.Night) bool) bool { return slices.ContainsFunc(f.t.Nights, is) }
	if has(func(n analysis.Night) bool { return n.Verdict == analysis.Regressed }) {
		all = append(all, legendEntry{"regressed", night(analysis.Regressed, shapes[0])})
	}
	if has(func(n analysis.Night) bool { return !n.Valid() }) {
		all = append(all, legendEntry{"says nothing", night(analysis.NightInconclusive, shapes[0])})
	}
	if has(func(n analysis.Night) bool { c := n.Capacity(); return c != nil && c.FirstFail != nil }) {
		all = append(all, legendEntry{"up to the first fail", func(c draw.Canvas, at vg.Point) {
			f.bracketSign(c, at)
		}})
	}
	all = append(all, legendEntry{"median, and what is noise", func(c draw.Canvas, at vg.Point) {
		fill(c, vg.Rectangle{Min: at.Add(vg.Point{Y: -4}), Max: at.Add(vg.Point{X: legendSign, Y: 4})}, rgb(noiseColour))
		line(pen(blue, 0.75))(c, at)
	}})
	for _, s := range f.worstAndBest() {
		words := "a change for the better"
		if s.Worse() {
			words = "a change for the worse"
		}
		all = append(all, legendEntry{words, line(shiftPen(s))})
	}
	return inRows(all)
}

// worstAndBest returns a change for the worse and one for the better, if there
// are any.
func (f *trendFilm) worstAndBest() []analysis.Shift {
	var out []analysis.Shift
	for _, worse := range []bool{true, false} {
		if i := slices.IndexFunc(f.t.Shifts, func(s analysis.Shift) bool { return s.Worse() == worse }); i >= 0 {
			out = append(out, f.t.Shifts[i])
		}
	}
	return out
}

func (f *trendFilm) bracketSign(c draw.Canvas, at vg.Point) {
	x := at.X + legendSign - 5
	c.StrokeLine2(pen(dim, 0.75), x, at.Y-4, x, at.Y+4)
	c.StrokeLine2(pen(dim, 0.75), x-2.8, at.Y+4, x+2.8, at.Y+4)
}

func inRows(entries []legendEntry) [][]legendEntry {
	var rows [][]legendEntry
	var used vg.Length
	for _, e := range entries {
		if len(rows) == 0 || used+e.width() > rampWidth {
			rows, used = append(rows, nil), 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		used += e.width()
	}
	return rows
}

// A dateTick is a day on the axis of time.
type dateTick struct {
	day   float64
	label string
}

// dateTicks returns days at even distances, at most nine of them, that begin
// with midnight. Months and years are told where there are many days.
func dateTicks(midnight time.Time, end float64) []dateTick {
	const most, quarter = 8, 91
	steps := []int{1, 2, 7, 14, 28, 56, quarter, 2 * quarter, 4 * quarter}
	step := steps[len(steps)-1]
	for _, s := range slices.Backward(steps) {
		if end/float64(s) <= most {
			step = s
		}
	}
	for end/float64(step) > most {
		step *= 2
	}
	format := "2 Jan"
	if step >= quarter || midnight.AddDate(0, 0, int(end)).Year() != midnight.Year() {
		format = "2 Jan 2006"
	}
	var out []dateTick
	for day := 0; float64(day) <= end; day += step {
		out = append(out, dateTick{float64(day), midnight.AddDate(0, 0, day).Format(format)})
	}
	return out
}

// metricHeading names a metric as it is drawn, with its unit.
func metricHeading(m analysis.Metric, unit string) string {
	switch m {
	case analysis.MetricCapacity:
		if unit == "users" {
			return "Users carried"
		}
		return "Load carried, " + unit
	case analysis.MetricThroughput:
		return "Right answers per second"
	case analysis.MetricP99:
		return "p99 of the response time, ms"
	case analysis.MetricCPU:
		return "CPU per request, ms"
	case analysis.MetricMemory:
		return "Peak memory, MiB"
	default:
		return string(m)
	}
}

// inUnit returns a metric's value in the unit that people are shown.
func inUnit(m analysis.Metric, v float64) float64 {
	switch m {
	case analysis.MetricCPU:
		return 1000 * v
	case analysis.MetricMemory:
		return v / (1 << 20)
	case analysis.MetricCapacity, analysis.MetricThroughput, analysis.MetricP99:
	}
	return v
}

// plainNumber writes x with three digits at least, and separators.
func plainNumber(x float64) string {
	if x >= 999.5 {
		return analysis.Thousands(int(math.Round(x)))
	}
	text := strconv.FormatFloat(x, 'g', 3, 64)
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return text
}

// machines returns the machines of a trend, the one with the most nights first.
func (t Trend) machines() []analysis.Machine {
	count := map[string]int{}
	var out []analysis.Machine
	for _, n := range t.Nights {
		if count[n.Host.Fingerprint]++; count[n.Host.Fingerprint] == 1 {
			out = append(out, n.Host)
		}
	}
	slices.SortStableFunc(out, func(a, b analysis.Machine) int { return cmp.Compare(count[b.Fingerprint], count[a.Fingerprint]) })
	return out
}
