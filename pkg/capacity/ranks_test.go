package capacity

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// The least chances are those of printed tables: 1 / C(n1+n2, n1) for Mann and
// Whitney's test, 2^-n for Wilcoxon's.
func TestTheLeastChancesAreThoseOfTheTables(t *testing.T) {
	for _, c := range []struct {
		base, sample int
		want         float64
	}{{3, 3, 1.0 / 20}, {10, 3, 1.0 / 286}, {12, 3, 1.0 / 455}, {15, 3, 1.0 / 816}, {5, 5, 1.0 / 252}, {10, 5, 1.0 / 3003}} {
		var base, sample []float64
		for i := range c.base {
			base = append(base, float64(i))
		}
		for i := range c.sample {
			sample = append(sample, 100+float64(i))
		}
		if got := mannWhitney(base, sample); !near(got, c.want) || !near(leastP(c.base, c.sample), c.want) {
			t.Errorf("%d and %d: %g and %g, want %g", c.base, c.sample, got, leastP(c.base, c.sample), c.want)
		}
	}
	for n, want := range map[int]float64{5: 1.0 / 32, 6: 1.0 / 64, 7: 1.0 / 128} {
		var all []float64
		for i := range n {
			all = append(all, 1+float64(i))
		}
		if got := signedRank(all); !near(got, want) {
			t.Errorf("%d pairs: %g, want %g", n, got, want)
		}
	}
	// Hollander and Wolfe's table of the signed-rank test, n = 8: P(T+ >= 30) = 0.055.
	if got := signedRank([]float64{-6, 1, 2, 3, 4, 5, 7, 8}); math.Abs(got-0.055) > 0.0005 {
		t.Errorf("T+ = 30 of 8: %g", got)
	}
}

// small numbers, so that there are ties.
func values(least, most int) *rapid.Generator[[]float64] {
	return rapid.SliceOfN(rapid.Map(rapid.IntRange(-4, 4), func(i int) float64 { return float64(i) }), least, most)
}

func TestMannWhitneyCountsEveryArrangement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, sample := values(1, 5).Draw(t, "base"), values(1, 4).Draw(t, "sample")
		all := append(slices.Clone(sample), base...)
		statistic := func(picked int) (u float64) { // pairs in which the sample is above, ties for half
			for i, a := range all {
				for j, b := range all {
					if picked>>i&1 == 1 && picked>>j&1 == 0 {
						u += map[bool]float64{true: 1}[a > b] + map[bool]float64{true: 0.5}[a == b]
					}
				}
			}
			return u
		}
		observed, ways, high := statistic(1<<len(sample)-1), 0.0, 0.0
		for picked := range 1 << len(all) {
			n := 0
			for i := range all {
				n += picked >> i & 1
			}
			if n == len(sample) {
				ways++
				if statistic(picked) >= observed {
					high++
				}
			}
		}
		if got := mannWhitney(base, sample); !near(got, high/ways) {
			t.Fatalf("%g, counted %g", got, high/ways)
		}
	})
}

func TestSignedRankCountsEverySign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		differences := slices.DeleteFunc(values(1, 8).Draw(t, "differences"), func(d float64) bool { return d == 0 })
		if len(differences) == 0 {
			return
		}
		rank := func(of float64) (r float64) {
			for _, d := range differences {
				r += map[bool]float64{true: 1}[math.Abs(d) < of] + map[bool]float64{true: 0.5}[math.Abs(d) == of]
			}
			return r + 0.5
		}
		statistic := func(positive func(i int) bool) (w float64) {
			for i, d := range differences {
				if positive(i) {
					w += rank(math.Abs(d))
				}
			}
			return w
		}
		observed, high := statistic(func(i int) bool { return differences[i] > 0 }), 0.0
		for signs := range 1 << len(differences) {
			if statistic(func(i int) bool { return signs>>i&1 == 1 }) >= observed {
				high++
			}
		}
		if got, want := signedRank(differences), high/float64(int(1)<<len(differences)); !near(got, want) {
			t.Fatalf("%g, counted %g", got, want)
		}
	})
}

// The interval holds the shifts that the test doesn't reject: moved by less than
// its low end, the samples differ.
func TestTheIntervalIsThatOfTheTest(t *testing.T) {
	base, sample := []float64{1, 2.1, 3.3, 4.6, 6, 7.5, 9.1, 10.8, 12.6, 14.5}, []float64{21, 24.4, 29.7}
	s := hodgesLehmann(base, sample)
	moved := func(by float64) []float64 {
		out := slices.Clone(sample)
		for i := range out {
			out[i] -= by
		}
		return out
	}
	if p := 2 * mannWhitney(base, moved(s.Low-0.01)); p > 1-s.Level+1e-9 {
		t.Errorf("below the low end %g: two-sided %g, level %g", s.Low, p, s.Level)
	}
	if p := 2 * mannWhitney(base, moved(s.Low+0.01)); p <= 1-level {
		t.Errorf("above the low end %g: two-sided %g", s.Low, p)
	}
	if s.Level < level || s.Low > s.Estimate || s.High < s.Estimate {
		t.Errorf("%+v", s)
	}
	if s := hodgesLehmann([]float64{1}, []float64{3}); s.Estimate != 2 || s.Low != 2 || s.High != 2 || s.Level > 0.1 {
		t.Errorf("one each: %+v", s)
	}
	if s := pairedShift([]float64{1, 2, 3, 4, 5, 6}); s.Estimate != 3.5 || s.Low != 1 || s.High != 6 || !near(s.Level, 1-2.0/64) {
		t.Errorf("six pairs: %+v", s)
	}
}

func TestHolmRaisesTheSmallestByAllAndKeepsTheOrder(t *testing.T) {
	got := holm([]float64{0.04, 0.001, 0.03, 0.9})
	for i, want := range []float64{0.09, 0.004, 0.09, 0.9} {
		if !near(got[i], want) {
			t.Errorf("%v", got)
		}
	}
}
