package report

import (
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
	"pgregory.net/rapid"

	"sweep/pkg/measure"
)

// TestLayersStandOnEachOther checks that each layer reaches from the one below
// as far as it is high, that what isn't known is a gap, and that no line of a
// texture leaves its area.
func TestLayersStandOnEachOther(t *testing.T) {
	same := func(v float64) vg.Length { return vg.Length(v) }
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "bars")
		known := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "known")
		var s layers
		for range rapid.IntRange(1, 4).Draw(t, "layers") {
			one := series{}
			for i := range n {
				y := float64(rapid.IntRange(0, 30).Draw(t, "y"))
				if !known[i] {
					y = math.NaN()
				}
				one.xs, one.ys = append(one.xs, float64(10*(i+1))), append(one.ys, y)
			}
			s = append(s, one)
		}
		below := map[vg.Length]vg.Length{}
		for n := range s {
			seen := map[vg.Length]vg.Length{}
			for _, bars := range s.runs(n+1, same, same) {
				for k, b := range bars {
					if k > 0 && bars[k-1].right != b.left || b.right-b.left != 10 {
						t.Fatalf("bars %v", bars)
					}
					seen[b.right] = b.top
				}
				for _, slope := range []vg.Length{-1, 0, 1} {
					inside(t, bars, slanted(bars, 0, slope))
				}
				inside(t, bars, standing(bars, 0))
			}
			for i, x := range s[n].xs {
				at := vg.Length(x)
				if want := vg.Length(s[n].ys[i]); known[i] && seen[at]-below[at] != want || !known[i] && seen[at] != 0 {
					t.Fatalf("layer %d at %g: from %g to %g, not %g high", n, x, below[at], seen[at], want)
				}
			}
			below = seen
		}
	})
}

// inside fails where a line leaves the bars: every place of it, halfway between its
// ends too, must be in one.
func inside(t *rapid.T, bars []bar, lines vg.Path) {
	const within = 1e-6
	check := func(p vg.Point) {
		for _, b := range bars {
			if b.left-within <= p.X && p.X <= b.right+within && -within <= p.Y && p.Y <= b.top+within {
				return
			}
		}
		t.Fatalf("%v is in none of %v", p, bars)
	}
	for i, to := range lines {
		check(to.Pos)
		if to.Type == vg.LineComp {
			check(vg.Point{X: (to.Pos.X + lines[i-1].Pos.X) / 2, Y: (to.Pos.Y + lines[i-1].Pos.Y) / 2})
		}
	}
}

// TestClassesDifferWithoutColour checks that no two classes of failures have the
// same lines across them.
func TestClassesDifferWithoutColour(t *testing.T) {
	of := map[string]measure.Class{}
	for _, class := range measure.Classes() {
		w := measure.Window{Length: 1e9, Errors: map[measure.Class]uint64{class: 3}}
		got := clock{w}.failures()
		if len(got) != 1 || got[0].name != string(class) || got[0].texture.none() {
			t.Fatalf("%s: %+v", class, got)
		}
		c := vgsvg.New(100, 100)
		texture := got[0].texture
		texture.ground = white
		texture.swatch(draw.New(c), vg.Rectangle{Max: vg.Point{X: 20, Y: 20}})
		var b strings.Builder
		if _, err := c.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if other, taken := of[b.String()]; taken {
			t.Errorf("%s looks like %s", class, other)
		}
		of[b.String()] = class
	}
}
