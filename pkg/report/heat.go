package report

import (
	"cmp"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"sweep/pkg/measure"
)

// A tile is how many answers took how long in how long a time: one of a heat
// map, which shows what quantiles hide, that answers are of two kinds.
type tile struct {
	from, to  float64 // on the axis
	low, high float64 // seconds that answers took
	shade     int     // how many there were, from 0 for few to shades-1 for the most
}

const (
	shades    = 5   // so few that each is told from the next
	tilesWide = 40  // at most, over all the time
	perDecade = 6.0 // of response times
)

// heat counts a trial's answers by when they were due and how long they took.
// Shades go by the logarithm of the count.
func heat(ws []measure.Window) []tile {
	wide := (len(ws) + tilesWide - 1) / tilesWide
	type place struct{ at, took int }
	counts, most := map[place]uint64{}, uint64(0)
	var order []place
	for i, w := range ws {
		for _, b := range w.Response.Buckets() {
			took := math.Log10(max(b.Value.Seconds(), math.Pow10(leastExponent))) * perDecade
			p := place{i / wide, int(math.Floor(took))}
			if counts[p] == 0 {
				order = append(order, p)
			}
			counts[p] += b.Count
			most = max(most, counts[p])
		}
	}
	slices.SortFunc(order, func(a, b place) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.took, b.took)) })
	var out []tile
	for _, p := range order {
		first, last := p.at*wide, min((p.at+1)*wide, len(ws))-1
		share := math.Log(float64(counts[p])) / max(math.Log(float64(most)), 1)
		one := tile{
			from: ws[first].Start.Seconds(), to: ws[last].End().Seconds(),
			low: math.Pow(10, float64(p.took)/perDecade), high: math.Pow(10, float64(p.took+1)/perDecade),
			shade: min(shades-1, int(share*shades)),
		}
		if n := len(out); n > 0 && out[n-1].from == one.from && out[n-1].high == one.low && out[n-1].shade == one.shade {
			out[n-1].high = one.high // one shape for both
			continue
		}
		out = append(out, one)
	}
	return out
}

// shadeInk returns a shade's colour: the more, the darker.
func shadeInk(i int) color.RGBA { return viridis(0.95 * (1 - float64(i)/(shades-1))) }

// drawTiles draws all tiles of a shade as one path: a picture of thousands of
// shapes takes a browser long.
func drawTiles(c draw.Canvas, tiles []tile, x, y func(float64) vg.Length) {
	for shade := range shades {
		var all vg.Path
		for _, t := range tiles {
			if t.shade == shade {
				box := vg.Rectangle{Min: vg.Point{X: x(t.from), Y: y(t.low)}, Max: vg.Point{X: x(t.to), Y: y(t.high)}}
				all = append(all, box.Path()...)
			}
		}
		if len(all) > 0 {
			c.SetColor(shadeInk(shade))
			c.Fill(all)
		}
	}
}
