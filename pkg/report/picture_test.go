package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func svg(t *testing.T, p *Picture) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	for _, size := range regexp.MustCompile(`font-size:([0-9.]+)px`).FindAllStringSubmatch(b.String(), -1) {
		// A unit of the drawing is a point, and a pixel is 3/4 of it.
		if pt, err := strconv.ParseFloat(size[1], 64); err != nil || pt/0.75 < 11 {
			t.Errorf("text of %s points", size[1])
		}
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Error("a place isn't a number")
	}
	return b.String()
}

func picture(t *testing.T, p *Picture) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := p.WritePNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	w, h := p.size()
	want := image.Pt(int(w/vg.Inch*pngDPI+0.5), int(h/vg.Inch*pngDPI+0.5))
	if img.Bounds().Size() != want {
		t.Errorf("size %v, want %v", img.Bounds().Size(), want)
	}
	return img
}

// variance returns how much the lightness of pixels varies between two heights,
// shares from 0 at the top to 1 at the bottom. Every third pixel each way is enough.
func variance(img image.Image, from, to float64) float64 {
	b := img.Bounds()
	var n, sum, squares float64
	for y := int(from * float64(b.Dy())); y < int(to*float64(b.Dy())); y += 3 {
		for x := b.Min.X; x < b.Max.X; x += 3 {
			r, g, bl, _ := img.At(x, y).RGBA()
			v := float64(r+g+bl) / (3 * 0xFFFF)
			n, sum, squares = n+1, sum+v, squares+v*v
		}
	}
	return squares/n - sum*sum/(n*n)
}

// matrixOf returns a run with a cell at each of the places that verdict wants.
func matrixOf(cpus []float64, memory []int, verdict func(i, j int) (analysis.Verdict, bool)) Run {
	var cells []analysis.Cell
	for i, c := range cpus {
		for j, m := range memory {
			if v, ok := verdict(i, j); ok {
				cells = append(cells, cellOf(c, m, v))
			}
		}
	}
	return runOf("An answer.", nil, cells...)
}

func always(v func() analysis.Verdict) func(i, j int) (analysis.Verdict, bool) {
	return func(int, int) (analysis.Verdict, bool) { return v(), true }
}

// TestEachSettingHasAPanel checks that no two settings share a place, however
// many there are, and that each is named.
func TestEachSettingHasAPanel(t *testing.T) {
	text := svg(t, Matrix(settings()))
	for _, want := range []string{"no setting", "WORKERS=1", "WORKERS=2", "WORKERS=${cpus} and image sweep/fastapi:slim"} {
		if strings.Count(text, ">"+want+"</text>") != 1 {
			t.Errorf("no panel is called %q", want)
		}
	}
	for n, want := range map[int][2]int{1: {1, 1}, 3: {3, 1}, 4: {3, 2}, 7: {3, 3}} {
		r := matrixOf([]float64{1, 2}, []int{200, 500}, always(passed))
		cells := r.Surface.Cells
		r.Surface.Cells = nil
		for i := range n {
			for _, c := range cells {
				c.Trial.Limits.Env = experiment.VariablesOf(map[string]string{"WORKERS": strconv.Itoa(i)})
				r.Surface.Cells = append(r.Surface.Cells, c)
			}
		}
		if p := newPanels(r); len(p.all) != n || p.across != want[0] || p.down != want[1] {
			t.Errorf("%d settings stand in %d rows of %d", n, p.down, p.across)
		}
	}
}

func TestMatrix(t *testing.T) {
	mixed := []func() analysis.Verdict{oomKilled, breached, limited, notReady, passed}
	all := runs()
	all["all equal"] = matrixOf([]float64{1, 2}, []int{100, 200}, always(passed))
	all["row"] = matrixOf([]float64{0.25, 0.5, 4}, []int{200}, always(breached))
	all["column"] = matrixOf([]float64{2}, []int{100, 200, 300}, always(passed))
	all["6x6"] = matrixOf([]float64{0.25, 0.5, 1, 2, 4, 8}, []int{64, 128, 256, 512, 1024, 4096}, func(i, j int) (analysis.Verdict, bool) {
		return mixed[(i+j)%len(mixed)](), true
	})
	all["sparse"] = matrixOf([]float64{0.25, 1, 4}, []int{100, 200, 1024}, func(i, j int) (analysis.Verdict, bool) {
		return mixed[(i+2*j)%len(mixed)](), (i+j)%2 == 0
	})
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			text := svg(t, Matrix(r))
			for _, c := range r.Surface.Cells {
				for _, want := range []string{bracket(c, "users"), dollars(c.PriceHour) + "/h", c.Trial.Limits.Memory.String()} {
					if !strings.Contains(text, ">"+want+"</text>") {
						t.Errorf("%s: no %q", c.Trial.Limits, want)
					}
				}
			}
			if got := strings.Contains(text, ">minimal viable</text>"); got != (r.Surface.Minimal != nil) {
				t.Errorf("the minimal cell is named: %v", got)
			}
			if v := variance(picture(t, Matrix(r)), 0.25, 0.75); v < 0.005 {
				t.Errorf("blank: variance %g", v)
			}
		})
	}
}

// A cell that fails while it holds the target must not pass for one that
// carries it: neither by colour, nor by colour alone.
func TestACellThatFailsHoldingTheTargetLooksLikeNoPass(t *testing.T) {
	holding := breached()
	holding.LastPass, holding.FirstFail = at(130, 10000, 900000, 9900, 300*time.Millisecond, 0), at(140, 10000, 950000, 9900, 2*time.Second, 0)
	r := runOf("An answer.", nil, cellOf(1, 500, breached()), cellOf(2, 200, holding), cellOf(2, 500, passed())).withMinimal(2)
	m, edge := newMatrix(r), "stroke:#D55E00"
	if m.ground(r.Surface.Cells[1]) == m.ground(r.Surface.Cells[2]) {
		t.Error("the same colour")
	}
	if text := svg(t, Matrix(r)); strings.Count(text, edge) != 1 || !strings.Contains(text, ">fails holding 10,000<") {
		t.Errorf("%d edges, want that of the cell that fails holding the target", strings.Count(text, edge))
	}
	picture(t, Matrix(r))
}

func TestEachCauseHasALetterOfItsOwn(t *testing.T) {
	of := map[string]analysis.Label{"?": analysis.CauseUnknown}
	for _, label := range analysis.Labels() {
		letter := glyph(label)
		if other, taken := of[letter]; taken && other != label || len(letter) != 1 {
			t.Errorf("%s has the letter %q of %s", label, letter, other)
		}
		of[letter] = label
		v := breached()
		v.Cause = &analysis.Cause{Label: label}
		text := svg(t, Matrix(runOf("", nil, cellOf(1, 200, v))))
		if !strings.Contains(text, ">"+letter+"</text>") || !strings.Contains(text, ">"+plain(string(label))+"</text>") {
			t.Errorf("%s: not both %q and its words", label, letter)
		}
	}
}

func TestMatrixSaysWhatTheReferenceCellsDid(t *testing.T) {
	text := svg(t, Matrix(reference()))
	for _, want := range []string{
		"<title>prediction-api: users carried of 10,000</title>", "<desc>2 CPU / 500M is the least of 3", `role="img"`, ",Arial,Helvetica,sans-serif;",
		">~4,300 – 4,500 users<", ">OOM-killed<", ">p99 breached<", ">memory bound<", ">carries 10,000<", ">minimal viable<",
		"ramp 83.3 users/s", "wait 1s", "20261123T101500Z", "AWS Fargate list price",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestEachSideHasASign checks that a cell which failed has a cross and one that
// passed a tick, the minimal one its star; what isn't known has none of them.
func TestEachSideHasASign(t *testing.T) {
	signs := func(r Run) int { return strings.Count(svg(t, Matrix(r)), "stroke-width:2.2") }
	for want, r := range map[int]Run{0: notMeasured(), 1: matrixOf([]float64{1}, []int{200}, always(passed)), 2: reference()} {
		if n := signs(r); n != want {
			t.Errorf("%d signs, want %d", n, want)
		}
	}
}

func TestMatrixShowsWhatIsPredictedInSmallWords(t *testing.T) {
	text := svg(t, Matrix(foreseen()))
	for _, want := range []string{">predicted about 6,300 users,<", ">memory bound<", ">not measured<", "users, CPU bound<"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	plain := foreseen()
	plain.Surface.Models = nil
	if strings.Contains(svg(t, Matrix(plain)), "predicted") {
		t.Error("predicted without a model")
	}
}

func TestRamp(t *testing.T) {
	s := service{limits: cellLimits(1, 200), seconds: 60, target: 10000, ramp: 120, knee: 6000, leak: 0.03}
	long, short := s, s
	long.seconds, long.ramp, short.seconds = 3600, 3000, 1
	blind, holes := s.result(), s.result()
	for i := range holes.Series.Windows {
		blind.Series.Windows[i].Usage = nil
		w := &holes.Series.Windows[i]
		switch i % 7 {
		case 3:
			w.Response, w.Usage = measure.Histogram{}, nil
		case 4:
			w.Response = measure.NewHistogram(measure.Bucket{Value: 0, Count: 9})
		case 5:
			w.Length = 0
		}
	}
	for name, res := range map[string]measure.Result{"60": s.result(), "3600": long.result(), "1": short.result(), "no usage": blind, "gaps": holes} {
		t.Run(name, func(t *testing.T) {
			c := cellOf(1, 200, oomKilled())
			r := runOf("", []measure.Result{res}, c)
			text := svg(t, Ramp(r, res.Trial))
			for _, want := range []string{">Users<", ">Requests per second<", ">CPU, % of the limit of 1<", ">Memory, MiB<", ">p99 limit 1s<", ">limit 200<", ">target 10,000<"} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q", want)
				}
			}
			for _, mark := range []string{"last pass: 4,300 users at 52 s", "first fail: 4,500 users at 54 s"} {
				if strings.Count(text, mark) != 1 {
					t.Errorf("%q isn't there once", mark)
				}
			}
			img := picture(t, Ramp(r, res.Trial))
			for i := range 5 {
				from := 0.17 + 0.16*float64(i)
				if v := variance(img, from, from+0.1); v < 0.0005 {
					t.Errorf("panel %d is blank: variance %g", i, v)
				}
			}
		})
	}
}

func TestRampWithoutLoadSaysWhy(t *testing.T) {
	r := neverReady()
	if text := svg(t, Ramp(r, r.Results[0].Trial)); !strings.Contains(text, "never got ready") || !strings.Contains(text, "model is loading") {
		t.Error(text)
	}
	if text := svg(t, Ramp(r, experiment.Trial{Limits: cellLimits(3, 300), Replicate: 2})); !strings.Contains(text, "nothing was run") {
		t.Error(text)
	}
}

func TestMarksOfADeath(t *testing.T) {
	r := reference()
	if text := svg(t, Ramp(r, r.Surface.Cells[0].Trial)); strings.Count(text, "the service died at 53.6 s") != 1 {
		t.Error("the death isn't marked")
	}
}

func TestSecondsThatDecidedNothingAreGrey(t *testing.T) {
	const legend, panels = ">generator or host limited<", 6
	r := reference()
	grey := func() (n int) {
		for _, path := range regexp.MustCompile(`d="([^"]*)" style="fill:#EDEDED`).FindAllStringSubmatch(svg(t, Ramp(r, r.Surface.Cells[2].Trial)), -1) {
			n += strings.Count(path[1], "M")
		}
		return n
	}
	if n := grey(); n != 0 || strings.Contains(svg(t, Ramp(r, r.Surface.Cells[2].Trial)), legend) {
		t.Errorf("%d grey places where every second counts", n)
	}
	r.Surface.Cells[2].Void = []analysis.Stretch{{From: 30 * time.Second, To: 33 * time.Second}, {From: 120 * time.Second, To: 121 * time.Second}}
	if n := grey(); n != 2*panels+1 {
		t.Errorf("%d grey places, want two in each panel and the legend's", n)
	}
	if !strings.Contains(svg(t, Ramp(r, r.Surface.Cells[2].Trial)), legend) {
		t.Error("nothing says what is grey")
	}
}

func TestPicturesOfHostileNames(t *testing.T) {
	r := hostile()
	for _, p := range []*Picture{Matrix(r), Ramp(r, r.Surface.Cells[0].Trial)} {
		text := svg(t, p)
		if strings.Contains(text, "<script") || strings.Contains(text, "\x1b") || len(text) > 60000 {
			t.Errorf("%d bytes: %.300s", len(text), text)
		}
		picture(t, p)
	}
}

// Colours must be readable everywhere on the scale, whatever stands on them.
func TestInkHasContrast(t *testing.T) {
	for i := range 1001 {
		ground := viridis(float64(i) / 1000)
		if c := contrast(inkOn(ground), ground); c < 4.5 {
			t.Errorf("%v: contrast %.2f", ground, c)
		}
	}
	for _, ground := range []uint32{white, shade} {
		if c := contrast(rgb(dim), rgb(ground)); c < 4.5 {
			t.Errorf("dim on %06x: contrast %.2f", ground, c)
		}
	}
}

func TestSpreadKeepsNamesApart(t *testing.T) {
	tags := []tag{{y: 100}, {y: 100}, {y: 99}, {y: 3}, {y: 100}}
	spread(tags, 100)
	for i := 1; i < len(tags); i++ {
		if tags[i].y-tags[i-1].y < 1.2*small {
			t.Errorf("tags at %v", tags)
		}
	}
	if tags[len(tags)-1].y > 100 || tags[0].y != 3 {
		t.Errorf("tags at %v", tags)
	}
}

func TestAxes(t *testing.T) {
	for _, top := range []float64{0, 0.3, 1, 7, 999, 1000, 123456} {
		p := panel{bounds: []bound{{y: top}}}
		low, high, ticks := p.fromZero()
		if low != 0 || high < top || len(ticks) < 3 || len(ticks) > 6 {
			t.Errorf("to %g: %g to %g, %v", top, low, high, ticks)
		}
	}
	for _, d := range []time.Duration{0, time.Nanosecond, time.Second, 5 * time.Millisecond, 1000 * time.Hour} {
		p := panel{bounds: []bound{{y: d.Seconds()}}}
		low, high, ticks := p.decades()
		if low <= 0 || high < 9*low || len(ticks) < 2 || math.IsNaN(low+high) {
			t.Errorf("%v: %g to %g, %v", d, low, high, ticks)
		}
	}
	for _, end := range []float64{0.5, 1, 54, 300, 301, 3600, 86400} {
		if n := len(timeTicks(end)); n < 2 || n > 10 {
			t.Errorf("%g s: %d ticks", end, n)
		}
	}
}

func TestBracket(t *testing.T) {
	low, high := at(1, 100, 1, 1, 0, 0), at(2, 200, 1, 1, 0, 0)
	for want, v := range map[string]analysis.Verdict{
		"100 – 200 users":   {Outcome: analysis.Breached, LastPass: low, FirstFail: high},
		"fails holding 100": {Outcome: analysis.Breached, LastPass: high, FirstFail: low},
		"below 100 users":   {Outcome: analysis.Crashed, FirstFail: low},
		"at least 200":      {Outcome: analysis.HostLimited, LastPass: high},
		"carries none":      {Outcome: analysis.Crashed},
		"unknown":           {Outcome: analysis.Inconclusive},
		"never ready":       {Outcome: analysis.NotReady},
		"not measured":      {Outcome: analysis.NotMeasured},
		"carries 200":       {Outcome: analysis.Passed, LastPass: high},
	} {
		if got := bracket(analysis.Cell{Verdict: v, Proved: true}, "users"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := bracket(analysis.Cell{Verdict: v}, "users"); strings.Contains(got, "~") != strings.HasSuffix(want, " users") {
			t.Errorf("where no hold says so, got %q", got)
		}
	}
}
