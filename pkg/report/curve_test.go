package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/measure"
)

// TestClimbLosesNothing checks that rungs hold every request of a ramp, in
// order, and are never more than a picture can show.
func TestClimbLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ws []measure.Window
		sent, seconds := uint64(0), 0.0
		for i := range rapid.IntRange(0, 300).Draw(t, "windows") {
			w := measure.Window{Start: time.Duration(i) * time.Second, Length: time.Second, Users: rapid.IntRange(0, 20000).Draw(t, "users"), Sent: rapid.Uint64Max(9999).Draw(t, "sent")}
			if ws = append(ws, w); w.Users > 0 {
				sent, seconds = sent+w.Sent, seconds+1
			}
		}
		steps := climb(ws)
		if len(steps) > rungs {
			t.Fatalf("%d rungs", len(steps))
		}
		last := 0.0
		for _, g := range steps {
			if g.users < last {
				t.Fatalf("%g users after %g", g.users, last)
			}
			last, sent, seconds = g.users, sent-g.all.Sent, seconds-g.seconds
		}
		if sent != 0 || math.Abs(seconds) > 1e-6 {
			t.Fatalf("%d requests and %g seconds are lost", sent, seconds)
		}
	})
}

// TestCurve checks what stands in it: the bracket, the holds, the bounds.
func TestCurve(t *testing.T) {
	r := reference()
	text := svg(t, Curve(r, r.Surface.Cells[0]))
	for _, want := range []string{"last pass: 4,300 users", "first fail: 4,500 users", "target: 10,000 users", ">p99 limit 1s<", ">N / (Z + R0)<", ">CPU limit 4,762<"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q isn't there once", want)
		}
	}
	if n := strings.Count(text, "fill:#EDEDED"); n != 2 {
		t.Errorf("the bracket is grey in %d panels", n)
	}
	held := proved()
	text = svg(t, Curve(held, held.Surface.Cells[0]))
	for _, want := range []string{">p99, held<", ">held<", "Held: 5,987 held (1 of 1)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	bare := strings.Count(text, "<path")
	if text = svg(t, Curve(heldRun(), heldRun().Surface.Cells[0])); strings.Count(text, "<path") <= bare {
		t.Error("no bars")
	}
	if text := svg(t, Curve(neverReady(), neverReady().Surface.Cells[0])); !strings.Contains(text, "No load was made") {
		t.Error("nothing says why there is no curve")
	}
}

// TestBarsHoldTheirPoints checks that the bar of a hold, from its best measured
// second to its worst, holds what was made of them together, and none of what
// came before it was measured, after it was decided, or decided nothing.
func TestBarsHoldTheirPoints(t *testing.T) {
	r := heldRun()
	held := r.holds(r.Surface.Cells[0])
	if len(held) != 2 {
		t.Fatalf("%d holds", len(held))
	}
	for _, h := range held {
		for q, got := range map[float64]time.Duration{0.5: h.level.P50, 0.95: h.level.P95, 0.99: h.level.P99} {
			if low, high := h.between(quantile(q)); !(low < high && low <= got.Seconds() && got.Seconds() <= high) {
				t.Errorf("%d users, p%g: %v isn't between %g and %g s", h.level.Users, 100*q, got, low, high)
			}
		}
		if first, last := h.seconds[0], h.seconds[len(h.seconds)-1]; first.Start != 20*time.Second || last.End() != h.level.At {
			t.Errorf("%d users: from %v to %v", h.level.Users, first.Start, last.End())
		}
	}
	v := held[0].start
	v.Void = []analysis.Stretch{{From: 0, To: time.Hour}}
	if n := len(r.measured(v, time.Hour)); n != 0 {
		t.Errorf("%d seconds that decided nothing count", n)
	}
}

// TestHeatCountsEverySecond checks that tiles neither overlap nor leave the time.
func TestHeatCountsEverySecond(t *testing.T) {
	for _, seconds := range []int{1, 59, 61, 600} {
		s := service{limits: cellLimits(1, 200), seconds: seconds, target: 10000, ramp: seconds, knee: 6000}
		tiles := heat(s.windows())
		if len(tiles) == 0 {
			t.Fatalf("%d s: no tiles", seconds)
		}
		for i, a := range tiles {
			if a.from < 0 || a.to > float64(seconds) || a.low >= a.high || a.shade < 0 || a.shade >= shades {
				t.Errorf("%d s: %+v", seconds, a)
			}
			for _, b := range tiles[:i] {
				if a.from == b.from && a.low < b.high*0.999 && b.low < a.high*0.999 {
					t.Errorf("%d s: %+v lies over %+v", seconds, a, b)
				}
			}
		}
	}
	if tiles := heat(nil); len(tiles) > 0 {
		t.Errorf("of nothing: %v", tiles)
	}
}

// TestOffers checks which cells are the least price for what they carry.
func TestOffers(t *testing.T) {
	r := searched()
	for _, o := range newOffers(r).all {
		if want := o.name == "2 CPU / 500M" || o.name == "1 CPU / 500M" || o.name == "2 CPU / 200M"; o.best != want {
			t.Errorf("%s for %g at %g: best %v", o.name, o.carries, o.price, o.best)
		}
	}
	text := svg(t, Prices(r))
	for _, c := range r.Surface.Cells {
		if n := strings.Count(text, ">"+c.Trial.Limits.String()+"<"); (n == 1) != c.Measured {
			t.Errorf("%s is there %d times", c.Trial.Limits, n)
		}
	}
	for _, to := range []float64{0.031, 0.06, 0.2, 5} {
		if n := len(dollarTicks(0.03, to)); n < 3 || n > 10 {
			t.Errorf("$0.03 to $%g: %d ticks", to, n)
		}
	}
	none := runOf("", nil, cellOf(1, 200, analysis.Verdict{Outcome: analysis.NotReady}), cellOf(2, 200, analysis.Verdict{Outcome: analysis.NotReady}))
	svg(t, Prices(none)) // carries nothing, and has no number that isn't one
}
