package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// nights is a series of log-normal values: about centre, with a coefficient of
// variation of about spread.
func nights(r *rand.Rand, n int, centre, spread float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = centre * math.Exp(spread*r.NormFloat64())
	}
	return out
}

func TestNightsWithoutChangeHaveNone(t *testing.T) {
	const series, length = 1000, 60
	for _, spread := range []float64{0.01, 0.03, 0.05, 0.10} {
		alarms := 0
		for seed := range series {
			if len(FindChanges(nights(rand.New(rand.NewPCG(uint64(seed), 1)), length, 100, spread))) > 0 {
				alarms++
			}
		}
		t.Logf("spread %g: %d false alarms in %d", spread, alarms, series)
		if alarms >= series/100 {
			t.Errorf("spread %g: %d false alarms in %d series", spread, alarms, series)
		}
	}
}

func TestChangesAreFound(t *testing.T) {
	for _, c := range []struct {
		name    string
		spread  float64
		lengths []int
		centres []float64
	}{
		{"a step up", 0.03, []int{40, 20}, []float64{100, 120}},
		{"a step down", 0.03, []int{20, 40}, []float64{100, 85}},
		{"up and back", 0.03, []int{25, 15, 20}, []float64{100, 125, 100}},
		{"twice up", 0.02, []int{30, 30, 30}, []float64{100, 110, 125}},
		{"after a long time", 0.03, []int{300, 30}, []float64{100, 115}},
		{"the newest five nights", 0.02, []int{40, 5}, []float64{100, 130}},
		{"the first of four nights", 0.02, []int{20, 4}, []float64{100, 80}},
		{"doubled", 0.10, []int{30, 30}, []float64{10, 20}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const seeds = 50
			missed := 0
			for seed := range seeds {
				r := rand.New(rand.NewPCG(uint64(seed), 2))
				var series []float64
				var want []int
				for i, n := range c.lengths {
					if i > 0 {
						want = append(want, len(series))
					}
					series = append(series, nights(r, n, c.centres[i], c.spread)...)
				}
				if !near(FindChanges(series), want) {
					missed++
				}
			}
			if missed > seeds/20 {
				t.Errorf("missed or told beside in %d of %d series", missed, seeds)
			}
		})
	}
}

// near reports whether changes are where they should be, within two nights.
func near(changes []Change, want []int) bool {
	return slices.EqualFunc(changes, want, func(c Change, at int) bool { return max(c.At-at, at-c.At) <= 2 })
}

func TestASingleNightIsNoChange(t *testing.T) {
	for seed := range 200 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		series := nights(r, 60, 100, 0.03)
		series[r.IntN(len(series))] *= 5
		if changes := FindChanges(series); len(changes) > 0 {
			t.Errorf("seed %d: %+v", seed, changes)
		}
	}
}

func TestAChangeTellsItsMedians(t *testing.T) {
	got := FindChanges(slices.Concat(slices.Repeat([]float64{100}, 10), slices.Repeat([]float64{80}, 10)))
	if len(got) != 1 || got[0].At != 10 || got[0].Before != 100 || got[0].After != 80 || math.Abs(got[0].Share()+0.2) > 1e-9 || got[0].PValue > ChangePValue {
		t.Errorf("%+v", got)
	}
	for name, series := range map[string][]float64{
		"nothing": nil, "one night": {1}, "three nights": {1, 2, 3}, "all the same": slices.Repeat([]float64{7}, 100),
		"less than 5 %": slices.Concat(slices.Repeat([]float64{100}, 30), slices.Repeat([]float64{104}, 30)),
	} {
		if changes := FindChanges(series); len(changes) > 0 {
			t.Errorf("%s: %+v", name, changes)
		}
	}
}

// plainly is the statistic as its formula has it.
func plainly(values []float64, at, end int) float64 {
	mean := func(xs, ys []float64, same bool) float64 {
		sum, n := 0.0, 0.0
		for i, x := range xs {
			for j, y := range ys {
				if !same || i != j {
					sum, n = sum+math.Abs(x-y), n+1
				}
			}
		}
		return sum / n
	}
	x, y := values[:at], values[at:end]
	n, m := float64(len(x)), float64(len(y))
	return n * m / (n + m) * (2*mean(x, y, false) - mean(x, x, true) - mean(y, y, true))
}

func TestTheStatisticIsItsFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-5, 5), 4, 12).Draw(t, "values")
		d := distancesOf(values)
		best := 0.0
		for at := 2; at < len(values)-1; at++ {
			for end := at + 2; end <= len(values); end++ {
				want := plainly(values, at, end)
				if got := d.divergence(at, end); math.Abs(got-want) > 1e-9 {
					t.Fatalf("split at %d of %d: %g, want %g", at, end, got, want)
				}
				best = max(best, want)
			}
		}
		if at, end := divide(values); at > 0 && math.Abs(plainly(values, at, end)-best) > 1e-9 || at == 0 && best > 1e-9 {
			t.Fatalf("divided at %d of %d; the greatest is %g", at, end, best)
		}
	})
}

// drawn returns the p-value by looking at each way to draw the ranks of xs.
func drawn(xs, ys []float64) float64 {
	doubled, sum, _ := ranks(xs, ys)
	var all, below, above float64
	var draw func(from, left, total int)
	draw = func(from, left, total int) {
		if left == 0 {
			all++
			if total <= sum {
				below++
			}
			if total >= sum {
				above++
			}
			return
		}
		for i := from; i <= len(doubled)-left; i++ {
			draw(i+1, left-1, total+doubled[i])
		}
	}
	draw(0, len(xs), 0)
	return min(1, 2*min(below, above)/all)
}

func TestTheTestIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 9), 1, 6)
		if rapid.Bool().Draw(t, "ties") {
			values = rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 3), func(i int) float64 { return float64(i) }), 1, 6)
		}
		xs, ys := values.Draw(t, "xs"), values.Draw(t, "ys")
		if len(xs) > len(ys) {
			xs, ys = ys, xs
		}
		if got, want := rankSum(xs, ys), drawn(xs, ys); math.Abs(got-want) > 1e-12 {
			t.Fatalf("p = %g, want %g", got, want)
		}
		if got, want := rankSum(ys, xs), rankSum(xs, ys); math.Abs(got-want) > 1e-12 {
			t.Fatalf("the other way round p = %g, not %g", got, want)
		}
	})
	// Known from tables: one-sided .0040 for 5 and 5, .0035 for 3 and 10.
	for _, c := range []struct {
		n, m int
		p    float64
	}{{5, 5, 2. / 252}, {3, 10, 2. / 286}, {5, 10, 2. / 3003}} {
		r := rand.New(rand.NewPCG(1, 1))
		if p := rankSum(nights(r, c.n, 1, 0.01), nights(r, c.m, 2, 0.01)); math.Abs(p-c.p) > 1e-12 {
			t.Errorf("%d and %d: p = %g, want %g", c.n, c.m, p, c.p)
		}
	}
}

// Where the exact way ends, the other one must go on from there.
func TestTheNormalDistributionIsNearEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		xs, ys := nights(r, 13, 1+0.05*r.Float64(), 0.03), nights(r, 30, 1, 0.03)
		doubled, sum, _ := ranks(xs, ys)
		exact, got := exactly(doubled, len(xs), sum), rankSum(xs, ys)
		// Far out it is the more careful one of both.
		if math.Abs(got-exact) > 0.01 || exact < 0.001 && (got < exact || got > exact+0.001) {
			t.Errorf("p = %g, exactly %g", got, exact)
		}
	}
}

// Ten years of nights that change each month: a long history must cost a report
// little.
func BenchmarkFindChanges(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	var series []float64
	for month := range 120 {
		series = append(series, nights(r, 30, 100+20*float64(month%2), 0.03)...)
	}
	for b.Loop() {
		FindChanges(series)
	}
}
