package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// hostilePage is a run in which every text that a page shows would do harm if
// it could.
func hostilePage() Run {
	r := hostile()
	evil := r.ID
	r.Manifest.Image, r.Manifest.ImageID, r.Manifest.Version, r.Manifest.Blueprint = evil, evil, evil, evil
	r.Manifest.Digests = []string{evil}
	r.Manifest.Host.OS, r.Manifest.Host.Kernel, r.Manifest.Host.Engine = evil, evil, evil
	r.Experiment.Name, r.Experiment.Service.Image = evil, evil
	r.Surface.Cells[1].Cause.ConfirmedBy, r.Surface.Cells[1].Breach.Objective = evil, evil
	for i, c := range r.Surface.Cells {
		l := c.Trial.Limits
		l.Env, l.Image = experiment.VariablesOf(map[string]string{"NAME" + evil: evil}), evil
		r.Surface.Cells[i].Trial.Limits = l
		for k := range c.Starts {
			r.Surface.Cells[i].Starts[k].Trial.Limits = l
		}
		for k := range r.Results {
			if r.Results[k].Trial.Limits == c.Trial.Limits {
				r.Results[k].Trial.Limits = l
			}
		}
	}
	return r
}

func pageText(t *testing.T, r Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestThePageIsHarmless(t *testing.T) {
	text := pageText(t, hostilePage())
	for _, bad := range []string{"\x1b", "\u202e", "\r", "\x00", "<script>alert", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q in it", bad)
		}
	}
	if n := strings.Count(text, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	if rest := strings.ReplaceAll(text, "http://www.w3.org/", ""); strings.Contains(rest, "http:") || strings.Contains(rest, "https:") {
		t.Error("the page names another one")
	}
}

// TestTheStartThatSpeaksComesFirst checks that a cell's story begins with the
// start whose bracket it has, and tells of all others beside it.
func TestTheStartThatSpeaksComesFirst(t *testing.T) {
	p, err := heldRun().page(func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range p.Stories[0].Starts {
		names = append(names, s.Name)
		if first := len(names) == 1; s.Speaks != first || len(s.Figure.Tables) != 1 {
			t.Errorf("%s: speaks %v, %d tables", s.Name, s.Speaks, len(s.Figure.Tables))
		}
	}
	if got := strings.Join(names, ", "); got != "start 1 holding 6,302 users, start 1, start 1 holding 5,987 users" {
		t.Errorf("starts: %s", got)
	}
	text := pageText(t, heldRun())
	for _, want := range []string{"<th scope=\"col\">reset/s", "Holds, each from its best second to its worst"} {
		if !strings.Contains(text, want) {
			t.Errorf("no table says %q", want)
		}
	}
}

// TestTheFirstScreenLeadsToRemarks checks that what limits the numbers isn't only at
// the page's end.
func TestTheFirstScreenLeadsToRemarks(t *testing.T) {
	head, _, _ := strings.Cut(pageText(t, reference()), "</header>")
	if want := fmt.Sprintf(`<a href="#besides">To know besides: %d remark`, len(reference().besides())); !strings.Contains(head, want) {
		t.Errorf("no %q", want)
	}
}

// TestThePageIsSmall holds a matrix of 4x4 cells, each with a ramp of two
// minutes and a hold, against what a mail or a CI artifact may weigh, however many
// starts it has.
func TestThePageIsSmall(t *testing.T) {
	const most = 1_500_000
	for _, starts := range []int{1, 5} {
		text := pageText(t, wide(4, 4, starts, 150))
		if n := len(text); n > most {
			t.Errorf("%d starts a cell: %d bytes, at most %d", starts, n, most)
		}
		if strings.Contains(text, "sweep report PATH --trials</code> draws them") != (starts > 1) {
			t.Errorf("%d starts a cell: what was left out isn't told of", starts)
		}
	}
}

// wide is a run with many cells, each started several times for so many
// seconds, in which everything happens that has a panel.
func wide(cpus, memories, starts, seconds int) Run {
	var results []measure.Result
	var cells []analysis.Cell
	for i := range cpus {
		for k := range memories {
			s := service{limits: cellLimits(float64(i+1)/4, 100*(k+1)), seconds: seconds, target: 10000, ramp: 4 * seconds / 5, knee: 3000 * float64(i+1), leak: 0.02}
			res := s.result()
			for n := range res.Series.Windows {
				busy(&res.Series.Windows[n], n)
			}
			cells = append(cells, cellOf(float64(i+1)/4, 100*(k+1), breached()))
			for n := range starts {
				res.Trial.Replicate = n + 1
				results = append(results, res)
			}
		}
	}
	r := runOf("An answer.", results, cells...)
	for i := range r.Surface.Cells {
		c := &r.Surface.Cells[i]
		for n := range starts - 1 {
			v := c.Verdict
			v.Trial.Replicate = n + 2
			c.Starts = append(c.Starts, v)
		}
		c.Trials, c.Deciding = len(c.Starts), c.Starts
	}
	return r
}

// busy fills a window with what a real one has: answers of many durations,
// failures of several classes, throttling, a full accept queue.
func busy(w *measure.Window, n int) {
	var buckets []measure.Bucket
	for i := range 60 {
		x := float64(i)/6 - 5
		buckets = append(buckets, measure.Bucket{
			Value: time.Duration(float64(w.Response.Quantile(0.5)) * math.Pow(10, x/4+0.1*math.Sin(float64(n)))), Count: uint64(1 + 1000*math.Exp(-x*x/2)),
		})
	}
	w.Response = measure.NewHistogram(buckets...)
	w.Service, w.First, w.Lag = w.Response, w.Response, measure.NewHistogram(measure.Bucket{Value: time.Duration(300+n) * time.Microsecond, Count: w.Sent})
	w.Errors = map[measure.Class]uint64{measure.Reset: uint64(n % 7), measure.Timeout: uint64(n % 11), measure.BadStatus: uint64(n % 5)}
	w.Usage.Throttled = new(math.Abs(math.Sin(float64(n) / 20)))
	w.Network = &measure.Network{ListenOverflows: uint64(n % 13)}
}

// Beyond what a browser can bear, pictures stay beside the page, and it says so.
func TestThePageOfManyCells(t *testing.T) {
	text := pageText(t, wide(10, 10, 1, 20))
	if n := strings.Count(text, "<svg"); n != 2+3*drawn {
		t.Errorf("%d pictures", n)
	}
	if !strings.Contains(text, fmt.Sprintf("The first %d have pictures here", drawn)) || strings.Count(text, `class="story `) != 100 {
		t.Error("not every cell is told of")
	}
}

func BenchmarkHTML(b *testing.B) {
	r := wide(4, 4, 1, 150)
	for b.Loop() {
		if err := HTML(&bytes.Buffer{}, r); err != nil {
			b.Fatal(err)
		}
	}
}
