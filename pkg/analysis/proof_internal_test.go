package analysis

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestSamplesShowWhatTheyCan checks the test against what MLPerf's LoadGen and
// exact sums give.
func TestSamplesShowWhatTheyCan(t *testing.T) {
	for _, c := range []struct {
		of, missed float64
		may, asked float64
		least      bool // so many are the least that show it
	}{
		{459, 0, 0.01, 0.99, true},
		{458, 0, 0.01, 0.99, false},
		{662, 1, 0.01, 0.99, true},
		{661, 1, 0.01, 0.99, false},
		{299, 0, 0.01, 0.95, true},
		{298, 0, 0.01, 0.95, false},
		{1049, 5, 0.01, 0.95, true},
		{1048, 5, 0.01, 0.95, false},
		{59, 0, 0.05, 0.95, true},
		{58, 0, 0.05, 0.95, false},
	} {
		s := sample{of: c.of, missed: c.missed, may: c.may}
		if got := s.within() >= c.asked; got != c.least {
			t.Errorf("%v of %v shows that %v may with a confidence of %v", c.missed, c.of, c.may, s.within())
		}
		if c.missed == 0 && s.few(c.asked) == c.least {
			t.Errorf("%v: few is %v", c.of, s.few(c.asked))
		}
	}
	for _, c := range []struct{ of, missed float64 }{{100, 5}, {300, 9}, {500, 12}, {1000, 19}, {5000, 68}} { // beyond 1 %
		if enough, short := (sample{c.of, c.missed, 0.01}).beyond(), (sample{c.of, c.missed - 1, 0.01}).beyond(); enough < 0.99 || short >= 0.99 {
			t.Errorf("%v of %v: %v, one less: %v", c.missed, c.of, enough, short)
		}
	}
}

func TestASampleNeverShowsBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sample{of: rapid.Float64Range(1, 1e5).Draw(t, "of"), may: rapid.Float64Range(0.001, 0.5).Draw(t, "may")}
		s.missed = s.of * rapid.Float64Range(0, 1).Draw(t, "missed")
		within, beyond := s.within(), s.beyond()
		if math.IsNaN(within) || math.IsNaN(beyond) || within < 0 || within > 1 || beyond < 0 || beyond > 1 {
			t.Fatalf("%+v: %v, %v", s, within, beyond)
		}
		if within > 0.95 && beyond > 0.95 {
			t.Fatalf("%+v shows both: %v, %v", s, within, beyond)
		}
	})
}

// TestRequestsThatAreLateTogetherCountForFewer checks the design effect.
func TestRequestsThatAreLateTogetherCountForFewer(t *testing.T) {
	of := []float64{200, 200, 200, 200, 200, 200, 200, 200, 200, 200}
	even := newSample(of, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0.01)
	burst := newSample(of, []float64{0, 0, 0, 0, 10, 0, 0, 0, 0, 0}, 0.01)
	if even.within() < 0.98 || burst.within() > 0.8 {
		t.Errorf("even %v, in a burst %v", even.within(), burst.within())
	}
	if even.of != 2000 || math.Abs(burst.missed/burst.of-0.005) > 1e-9 {
		t.Errorf("%+v, %+v", even, burst)
	}
}
