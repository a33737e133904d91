package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"
	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// charted are runs that have something to chart.
func charted() map[string]Run {
	errors := reference()
	errors.Surface.Objective = experiment.Objective{Errors: errors.Surface.Objective.Errors}
	errors.Surface.Cells[0].Void = []analysis.Stretch{{From: 10 * time.Second, To: 20 * time.Second}}
	return map[string]Run{"reference": reference(), "errors": errors, "never_ready": neverReady()}
}

func TestChartsGolden(t *testing.T) {
	for name, r := range charted() {
		for kind, look := range map[string]Look{"ascii": {Width: 80}, "unicode": {Width: 100, Unicode: true}} {
			var b bytes.Buffer
			if err := Charts(&b, r, look); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", "chart", name+"-"+kind+".txt"), b.Bytes())
		}
	}
}

// Whatever was measured, on whatever terminal: no line is wider than it, and
// nothing is on it that it can't show.
func TestChartsFitTheirTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		look := Look{Width: rapid.IntRange(0, 300).Draw(t, "width"), Unicode: rapid.Bool().Draw(t, "unicode")}
		r := reference()
		r.Surface.Cells[0].Trial.Limits.Image = rapid.String().Draw(t, "image")
		r.Results[1].Trial = r.Surface.Cells[0].Trial
		for i := range r.Results {
			windows := r.Results[i].Series.Windows
			r.Results[i].Series.Windows = windows[:rapid.IntRange(0, len(windows)).Draw(t, "seconds")]
		}
		c := &r.Surface.Cells[rapid.IntRange(0, 2).Draw(t, "cell")]
		for _, l := range []**analysis.Level{&c.LastPass, &c.FirstFail} {
			*l = &analysis.Level{At: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "at")), Users: rapid.IntRange(0, 1_000_000).Draw(t, "users")}
		}
		if rapid.Bool().Draw(t, "no times") {
			r.Surface.Objective = experiment.Objective{Errors: r.Surface.Objective.Errors}
		}
		var b bytes.Buffer
		if err := Charts(&b, r, look); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n, most := displaywidth.String(line), min(max(look.Width, narrowest), widest); n > most {
				t.Fatalf("%d columns of %d: %q", n, most, line)
			}
			if !look.Unicode && strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Fatalf("more than ASCII: %q", line)
			}
		}
	})
}

func TestTheFailurePointIsOnTheChart(t *testing.T) {
	r := reference()
	p := newPaper(Look{Width: 60}, 54*time.Second)
	says := p.marked(r.instants(r.Surface.Cells[0], *r.result(r.Surface.Cells[0].Trial)))
	want := []string{"P last pass 4,300 users at 52s", "D the service died at 53.6s", "F first fail 4,500 users at 54s"}
	if strings.Join(says, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", says)
	}
	if axis := p.axis(); !strings.HasSuffix(axis, "-PDF") || strings.Count(axis, "F") != 1 {
		t.Errorf("%s", axis)
	}
}

// Characters of two columns and of none are counted as what they take.
func TestWideCharactersAreMeasured(t *testing.T) {
	for _, s := range []string{"", "abc", "日本語のサービス", "e\u0301a\u0300", "👩‍👩‍👧", strings.Repeat("界", 100)} {
		for _, width := range []int{1, 5, 20} {
			if got := fit(s, width); displaywidth.String(got) != width {
				t.Errorf("%q in %d columns: %q has %d", s, width, got, displaywidth.String(got))
			}
		}
	}
	rows := aligned([][]string{{"日本", "x"}, {"a", "y"}})
	if rows[0] != "日本   x" || rows[1] != "a      y" {
		t.Errorf("%q", rows)
	}
}

func TestGapsAndUnknownSecondsAreNotDrawn(t *testing.T) {
	r := reference()
	for i := range r.Results[1].Series.Windows {
		w := &r.Results[1].Series.Windows[i]
		w.Response = measure.Histogram{}
	}
	var b bytes.Buffer
	if err := Charts(&b, r, Look{Width: 60}); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(b.String(), "2 CPU / 200M:")
	_, first, _ = strings.Cut(first, "1 CPU / 200M:")
	if strings.Contains(first, "*") {
		t.Errorf("something is drawn:\n%s", first)
	}
}
