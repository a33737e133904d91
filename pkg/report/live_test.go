package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/measure"
)

// An onlooker knows what a page knows of a trial, and no more: it gets scenes and
// seconds as JSON.
type onlooker struct {
	Scene

	scenes int
}

func (o *onlooker) take(t *testing.T, s *Stage, w measure.Window) {
	t.Helper()
	second, fits := s.Add(w)
	if fits {
		var got Second
		overWire(t, second, &got)
		o.At = append(o.At, got.At)
		for i, p := range o.Panels {
			for j := range p.Lines {
				p.Lines[j].Values = append(p.Lines[j].Values, got.Values[i][j])
			}
		}
		return
	}
	scene, err := s.Scene()
	if err != nil {
		t.Fatal(err)
	}
	o.Scene = Scene{}
	overWire(t, scene, &o.Scene)
	o.scenes++
}

func overWire(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}

// TestAPageSeesATrialAsTheReportDrawsIt plays a trial second by second, and holds
// what a page has got in the end against the report's own panels.
func TestAPageSeesATrialAsTheReportDrawsIt(t *testing.T) {
	r := reference()
	res := r.Results[0]
	s := NewStage(r, res.Trial, 40*time.Second) // shorter than it is
	var o onlooker
	for _, w := range res.Series.Windows {
		o.take(t, s, w)
	}
	drawn := slices.DeleteFunc(r.panels(res), func(p panel) bool { return len(p.series)+len(p.stack) == 0 })
	if len(o.Panels) != len(drawn) {
		t.Fatalf("%d panels, not %d", len(o.Panels), len(drawn))
	}
	for i, p := range drawn {
		for j, line := range append(p.series, p.stack...) {
			got := o.Panels[i].Lines[j]
			if got.Name != line.name || len(got.Values) != len(line.ys) {
				t.Errorf("%s: the line is %s with %d values, not %s with %d", p.heading, got.Name, len(got.Values), line.name, len(line.ys))
				continue
			}
			for k, y := range line.ys {
				at := got.Values[k]
				// Of a class of failures nothing is known before the first: there were none.
				if at == nil && !math.IsNaN(y) && y != 0 || at != nil && *at != y {
					t.Errorf("%s, %s, second %d: not %g", p.heading, line.name, k, y)
				}
				if at != nil && *at > o.Panels[i].High {
					t.Errorf("%s, %s: %g is above the axis", p.heading, line.name, *at)
				}
			}
		}
	}
	if last := o.At[len(o.At)-1]; o.End < last {
		t.Errorf("the axis ends at %g s, before %g s", o.End, last)
	}
	if o.scenes > 12 {
		t.Errorf("the axes have changed %d times", o.scenes)
	}
}

func TestASceneIsAPicture(t *testing.T) {
	r := reference()
	s := NewStage(r, r.Results[0].Trial, time.Minute)
	s.Add(r.Results[0].Series.Windows[0])
	scene, err := s.Scene()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(scene.SVG)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range scene.Panels {
		if p.Top >= p.Bottom || p.Top < 0 || p.Bottom > scene.Height || p.Low >= p.High || scene.Left >= scene.Right {
			t.Errorf("a panel is nowhere: %+v", p)
		}
	}
}

func TestTheLivePageSaysWhatIsNotKnownYet(t *testing.T) {
	r := unanswered()
	var b bytes.Buffer
	if err := LivePage(&b, r, "cell-1"); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"isn&#39;t known yet: 1 of 2 configurations measured", "running now", `id="live"`, "connect-src 'self'"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if n := strings.Count(text, "<svg"); n != 4 {
		t.Errorf("%d pictures, not the matrix and three of a story", n)
	}
	b.Reset()
	if err := LivePage(&b, r, "nonsense"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "<svg"); n != 1 {
		t.Errorf("%d pictures where no story is asked for", n)
	}
	b.Reset()
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "connect-src") || strings.Contains(b.String(), "EventSource") {
		t.Error("the report's own page has what only the live page needs")
	}
}

// unanswered is a run of which one cell is measured, and another is on its way.
func unanswered() Run {
	r := reference()
	r.Surface.Cells, r.Surface.Minimal = r.Surface.Cells[:2], nil
	next := &r.Surface.Cells[1]
	next.Measured, next.Starts, next.Deciding = false, nil, nil
	next.Outcome, next.LastPass, next.FirstFail, next.Cause = "not_measured", nil, nil, nil
	limits := next.Trial.Limits
	r.Running = &limits
	return r
}
