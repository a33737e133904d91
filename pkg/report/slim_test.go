package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// followed returns the lines that a path goes, each by its places.
func followed(path string) [][][2]float64 {
	var out [][][2]float64
	for _, m := range regexp.MustCompile(`([MLlhv])([-0-9.]+),?([-0-9.]*)`).FindAllStringSubmatch(path, -1) {
		x, _ := strconv.ParseFloat(m[2], 64)
		y, _ := strconv.ParseFloat(m[3], 64) // 0 where there is none
		if m[1] == "v" {
			x, y = y, x
		}
		if m[1] == "M" {
			out = append(out, nil)
		}
		line := &out[len(out)-1]
		if m[1] != "M" && m[1] != "L" {
			last := (*line)[len(*line)-1]
			x, y = x+last[0], y+last[1]
		}
		*line = append(*line, [2]float64{x, y})
	}
	return out
}

// TestSlimPathsGoTheSameWay follows lines as they were drawn, and as they are
// written: every place of the first is on the second, as far as one sees, and
// the ends stay.
func TestSlimPathsGoTheSameWay(t *testing.T) {
	const within = 0.25 + 0.0708 + 1e-6 // what nobody sees, and a place's rounding
	rapid.Check(t, func(t *rapid.T) {
		var path strings.Builder
		for i := range rapid.IntRange(1, 60).Draw(t, "places") {
			to := "L"
			if i == 0 || rapid.IntRange(0, 9).Draw(t, "jump") == 0 {
				to = "M"
			}
			x, y := rapid.Float64Range(0, 9).Draw(t, "x"), rapid.Float64Range(-2, 2).Draw(t, "y")
			path.WriteString(to + strconv.FormatFloat(x, 'f', 3, 64) + "," + strconv.FormatFloat(y, 'f', 3, 64))
		}
		want, got := followed(path.String()), followed(slim(`<path d="`+path.String()+`" style="" />`))
		if len(got) != len(want) {
			t.Fatalf("%d lines of %d", len(got), len(want))
		}
		for i := range want {
			if first, last := len(want[i])-1, len(got[i])-1; off(want[i][0], got[i][:1]) > within || off(want[i][first], got[i][last:]) > within {
				t.Fatalf("line %d begins or ends elsewhere", i)
			}
			for _, p := range want[i] {
				if d := off(p, got[i]); d > within {
					t.Fatalf("%v is %g off the line %v", p, d, got[i])
				}
			}
		}
	})
}

// off returns how far a place is from a line.
func off(p [2]float64, line [][2]float64) float64 {
	least := math.Hypot(p[0]-line[0][0], p[1]-line[0][1])
	for i := 1; i < len(line); i++ {
		const sides = 3 // of the search for the nearest place on a straight line, which has one
		from, to := line[i-1], line[i]
		low, high := 0.0, 1.0
		far := func(s float64) float64 {
			return math.Hypot(p[0]-from[0]-s*(to[0]-from[0]), p[1]-from[1]-s*(to[1]-from[1]))
		}
		for high-low > 1e-6 {
			a, b := low+(high-low)/sides, high-(high-low)/sides
			if far(a) < far(b) {
				high = b
			} else {
				low = a
			}
		}
		least = min(least, far((low+high)/2))
	}
	return least
}

// TestSlimJoinsWhatFollows checks that only neighbours of the same style become
// one, so that nothing is painted over what it was under.
func TestSlimJoinsWhatFollows(t *testing.T) {
	const svg = `<g>
<path d="M0,0l1,0" style="a" />
<path d="M0,5l1,0" style="a" />
<path d="M0,9l1,0" style="b" />
<text>x</text>
<path d="M3,0l1,0" style="a" />
</g>
`
	const want = `<g>
<path d="M0,0l1,0M0,5l1,0" style="a" />
<path d="M0,9l1,0" style="b" />
<text>x</text>
<path d="M3,0l1,0" style="a" />
</g>
`
	if got := joined(svg); got != want {
		t.Errorf("got %s", got)
	}
}
