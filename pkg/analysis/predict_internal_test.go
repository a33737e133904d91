package analysis

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// A line from the moments of parts is that from all points, wherever the parts
// are cut.
func TestMomentsOfPartsFitTheSameLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.SliceOfN(rapid.Float64Range(0, 1e4), 3, 50).Draw(t, "y")
		cut := rapid.IntRange(0, len(y)).Draw(t, "cut")
		var x []float64
		var parts [2]moments
		for i := range y {
			x = append(x, float64(i*i))
			y[i] += 10 * x[i]
			part := &parts[0]
			if i >= cut {
				part = &parts[1]
			}
			part.add(momentsAt(x[i], y[i]))
		}
		parts[0].add(parts[1])
		got := parts[0].line()
		base, slope := stat.LinearRegression(x, y, nil, false)
		if slope < 0 || base < 0 || base > parts[0].least { // then it is another line
			if slope >= 0 && (got.base < 0 || got.base > parts[0].least) {
				t.Fatalf("base %v is beyond what was seen", got.base)
			}
			return
		}
		fit := stat.RSquared(x, y, nil, base, slope)
		for _, pair := range [][2]float64{{got.base, base}, {got.slope, slope}, {got.fit, fit}} {
			if math.Abs(pair[0]-pair[1]) > 1e-6*(1+math.Abs(pair[1])) {
				t.Fatalf("%+v, want %v + %v x, which fits to %v", got, base, slope, fit)
			}
		}
	})
}
