package report

import (
	"bytes"
	_ "embed" // the live page's script
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/vg"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

//go:embed page/live.js
var liveScript string

// LivePage writes the page of a run that goes on: the same as [HTML], but above it
// stands what happens now, which its script fills in from events, and only the
// story of one cell has pictures: that with the id view ("cell-2"), as the page's
// own links have it; none where view is anything else. Once nothing is running
// any more, it is the whole page.
//
// The script reads these events, each with one line of JSON:
//
//	trial   {"number", "of", "name", "load", "scene": null or [Scene]}: a trial begins, or is shown on other axes
//	phase   {"text"}: what it does now
//	second  {"second": [Second], or none where a scene just told it, "words": [texts], "left": how long the sweep may still take}
//	log     {"at", "text"}: what stays on the page
//	end     {"text"}: how the sweep ended
func LivePage(w io.Writer, r Run, view string) error {
	pictured := map[string]bool{view: true}
	switch {
	case r.Running == nil: // all that it will ever show
		pictured = r.pictured()
	case r.Surface.Minimal == nil:
		r.Surface.Answer = r.unanswered()
	default:
		r.Surface.Answer = "So far: " + r.Surface.Answer
	}
	p, err := r.page(pictured)
	if err != nil {
		return err
	}
	p.Live = true
	if r.Running != nil {
		p.Omitted = ""
	}
	p.run(pageScript + liveScript)
	return p.write(w)
}

// unanswered says how far a run is from its answer.
func (r Run) unanswered() string {
	return fmt.Sprintf("Which configuration carries %s %s isn't known yet: %d of %d configurations measured.",
		analysis.Thousands(r.Surface.Target), r.unit(), r.measuredCells(), len(r.Surface.Cells))
}

// A Scene is a trial that is under way, as the page draws it: the empty
// picture with its axes, made here as all pictures are, and the values of
// each second so far, which the page draws into it. Places are in the picture's points,
// from its upper left corner.
type Scene struct {
	SVG    string       `json:"svg"`
	Width  float64      `json:"width"`
	Height float64      `json:"height"`
	Left   float64      `json:"left"`  // of all panels: where the load begins
	Right  float64      `json:"right"` // where End is
	End    float64      `json:"end"`   // seconds
	Panels []ScenePanel `json:"panels"`
	At     []float64    `json:"at"` // seconds since the load began, one for each value of a line
}

// A ScenePanel is one of a scene's plots.
type ScenePanel struct {
	Top    float64      `json:"top"`    // where High is
	Bottom float64      `json:"bottom"` // where Low is
	Low    float64      `json:"low"`
	High   float64      `json:"high"`
	Log    bool         `json:"log"` // between them the axis is logarithmic
	Bounds []SceneBound `json:"bounds"`
	Lines  []SceneLine  `json:"lines"`
}

// A SceneBound is a level across a panel, which the picture has without its name.
type SceneBound struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// A SceneLine is a line in a panel.
type SceneLine struct {
	Name   string     `json:"name"`
	Colour string     `json:"colour"`
	Width  float64    `json:"width"`
	Dashes []float64  `json:"dashes"`
	Values []*float64 `json:"values"` // null: not known
}

// A Second is what a second adds to a scene: a value for each line of each panel,
// in the scene's order.
type Second struct {
	At     float64      `json:"at"`
	Values [][]*float64 `json:"values"`
}

// A Stage makes the scene of a trial while it goes on.
type Stage struct {
	run    Run
	trial  experiment.Trial
	end    float64      // of the axis, in seconds
	at     []float64    // of the seconds so far
	panels []panel      // with all values so far
	made   []ScenePanel // the scene that was made last; nil: none
}

// NewStage returns the stage of a trial whose load takes so long, if it isn't
// stopped. Of the run only its objective and its target count.
func NewStage(r Run, t experiment.Trial, length time.Duration) *Stage {
	s := &Stage{run: r, trial: t, end: max(1, length.Seconds())}
	s.panels = s.shown(measure.Series{})
	return s
}

// shown returns the panels that a live page shows of windows: those of lines. What
// the report has as areas is lines here, told apart by their names and dashes.
func (s *Stage) shown(of measure.Series) []panel {
	all := s.run.panels(measure.Result{Trial: s.trial, Series: of})
	for i := range all {
		for _, layer := range all[i].stack {
			n := slices.Index(measure.Classes(), measure.Class(layer.name)) // 0 to 6
			layer.style = pen(vermilion, 1.5, vg.Length(8-n), 2)
			all[i].series = append(all[i].series, layer)
		}
		all[i].stack = nil
	}
	return slices.DeleteFunc(all, func(p panel) bool { return len(p.series) == 0 })
}

// Scene returns the trial so far, on axes that have room for what may come.
func (s *Stage) Scene() (Scene, error) {
	f := film{axis: "time since the load began", end: s.end, ticks: timeTicks(s.end), unfilled: true}
	for _, p := range s.panels {
		p.roomy()
		f.panels = append(f.panels, p)
	}
	picture := &Picture{Title: fmt.Sprintf("%s, %s", named(s.trial.Limits), s.run.started(s.trial)), width: rampWidth}
	picture.show(f)
	var svg bytes.Buffer
	if err := picture.WriteSVG(&svg); err != nil {
		return Scene{}, err
	}
	_, body, _ := strings.Cut(svg.String(), "<svg") // without what XML begins with
	width, height := picture.size()
	out := Scene{SVG: "<svg" + body, Width: float64(width), Height: float64(height), End: s.end, At: s.at}
	plots, canvases := f.layout(picture.blank())
	for i, p := range s.panels {
		axes, area := plots[i][0], plots[i][0].DataCanvas(canvases[i][0])
		out.Left, out.Right = float64(area.Min.X), float64(area.Max.X)
		shown := ScenePanel{
			Top: float64(height - area.Max.Y), Bottom: float64(height - area.Min.Y), Low: axes.Y.Min, High: axes.Y.Max, Log: p.log,
			Bounds: []SceneBound{},
		}
		for _, b := range p.bounds {
			shown.Bounds = append(shown.Bounds, SceneBound{b.name, b.y})
		}
		for _, line := range p.series {
			shown.Lines = append(shown.Lines, lineOf(line))
		}
		out.Panels = append(out.Panels, shown)
	}
	s.made = out.Panels
	return out, nil
}

// roomy makes room on a panel's axis for what hasn't come yet: response times
// between a tenth of a millisecond and ten seconds, and of what has no bound twice
// as much as there was.
func (p *panel) roomy() {
	switch least, more := 10.0, 2.0; {
	case p.log:
		p.room = []float64{1e-4, 10}
	case len(p.bounds) == 0:
		p.room = []float64{max(least, more*p.top())}
	}
}

func lineOf(s series) SceneLine {
	out := SceneLine{Name: s.name, Colour: hex(s.style.Color), Width: float64(s.style.Width), Values: []*float64{}, Dashes: []float64{}}
	for _, d := range s.style.Dashes {
		out.Dashes = append(out.Dashes, float64(d))
	}
	for _, y := range s.ys {
		out.Values = append(out.Values, knownOrNil(y))
	}
	return out
}

func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

func knownOrNil(y float64) *float64 {
	if math.IsNaN(y) || math.IsInf(y, 0) { // JSON has neither
		return nil
	}
	return &y
}

// Add adds what came in a second. It returns false where the scene hasn't room
// for it, so that it has to be made anew.
func (s *Stage) Add(w measure.Window) (Second, bool) {
	at := w.End().Seconds()
	out := Second{At: at}
	fits := s.made != nil && at <= s.end
	for at > s.end {
		s.end *= 1.25
	}
	fresh := s.shown(measure.Series{Windows: []measure.Window{w}})
	s.makeRoom(fresh)
	s.at = append(s.at, at)
	for i := range s.panels {
		p := &s.panels[i]
		var values []*float64
		for j := range p.series {
			y := valueOf(fresh, p.heading, p.series[j].name)
			p.series[j].xs, p.series[j].ys = append(p.series[j].xs, at), append(p.series[j].ys, y)
			values = append(values, knownOrNil(y))
		}
		out.Values = append(out.Values, values)
	}
	return out, fits && s.fit()
}

// makeRoom adds the panels and lines that weren't there before, such as the first
// failures of a class, with nothing for the seconds so far. They stand in the order
// in which they come.
func (s *Stage) makeRoom(fresh []panel) {
	next := 0
	for _, p := range fresh {
		i := slices.IndexFunc(s.panels, func(have panel) bool { return have.heading == p.heading })
		if i < 0 {
			i = next
			lines := p.series
			p.series = nil
			s.panels = slices.Insert(s.panels, i, p)
			p.series = lines
		}
		next = i + 1
		for _, line := range p.series {
			if !slices.ContainsFunc(s.panels[i].series, func(have series) bool { return have.name == line.name }) {
				line.xs, line.ys = slices.Clone(s.at), slices.Repeat([]float64{math.NaN()}, len(s.at))
				s.panels[i].series = append(s.panels[i].series, line)
			}
		}
	}
}

// valueOf returns the last value of a line, NaN where there is none.
func valueOf(panels []panel, heading, name string) float64 {
	for _, p := range panels {
		for _, line := range p.series {
			if y, known := line.last(); known && p.heading == heading && line.name == name {
				return y
			}
		}
	}
	return math.NaN()
}

// fit reports whether the scene that was made last has room for the last second.
func (s *Stage) fit() bool {
	return slices.EqualFunc(s.made, s.panels, func(made ScenePanel, now panel) bool {
		over := func(line series) bool { return line.ys[len(line.ys)-1] > made.High }
		return len(made.Lines) == len(now.series) && !slices.ContainsFunc(now.series, over)
	})
}
