package analysis_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// scaled returns what is told of a cell of which these are the seconds: at
// concurrencies from 1 to most, by the law, with so much noise.
func scaled(g, a, b, most, noise float64) *analysis.Scaling {
	rng := rand.New(rand.NewPCG(7, 7))
	v := analysis.Verdict{Trial: experiment.Trial{Limits: small, Replicate: 1}, Outcome: analysis.Passed, LastPass: &analysis.Level{Users: 1000}}
	for i := range 120 {
		n := math.Pow(most, float64(i)/119)
		x := g * n / (1 + a*(n-1) + b*n*(n-1)) * (1 + noise*rng.NormFloat64())
		v.Seconds = append(v.Seconds, analysis.Second{Busy: n, Answers: x})
	}
	return analysis.Conclude(question(), []analysis.Verdict{v}, possible).Cells[0].Scaling
}

func TestTheScalabilityLawIsFound(t *testing.T) {
	const g, a, b = 100, 0.05, 0.0008
	peak := math.Sqrt((1 - a) / b) // 34.5
	top := g * peak / (1 + a*(peak-1) + b*peak*(peak-1))
	for _, noise := range []float64{0, 0.02, 0.05} {
		s := scaled(g, a, b, 100, noise)
		if s.Refused != "" {
			t.Fatalf("noise %v: %s", noise, s.Refused)
		}
		off := func(got, want float64) bool { return math.Abs(got/want-1) > 0.005+2*noise }
		if off(s.Rate, g) || off(s.Coherency, b) || math.Abs(s.Contention-a) > 0.001+noise/2 || off(s.Peak.Value, peak) || off(s.Throughput.Value, top) {
			t.Errorf("noise %v: got %+v, want a peak of %.1f at %.1f", noise, s, top, peak)
		}
		if s.Peak.Low > s.Peak.Value || s.Peak.High < s.Peak.Value || noise > 0 && s.Peak.High-s.Peak.Low > 0.5*peak {
			t.Errorf("noise %v: interval %+v", noise, s.Peak)
		}
	}
}

func TestTheIntervalOfThePeakHoldsIt(t *testing.T) {
	s := scaled(100, 0.05, 0.0008, 100, 0.05)
	if peak := math.Sqrt(0.95 / 0.0008); s.Peak.Low > peak || s.Peak.High < peak {
		t.Errorf("%+v, without %.1f", s.Peak, peak)
	}
}

func TestTheScalabilityLawIsRefused(t *testing.T) {
	for _, c := range []struct {
		name              string
		a, b, most, noise float64
		why               string
	}{
		{"few levels", 0.05, 0.0008, 2.5, 0.02, "fewer than 6 levels"},
		{"no peak", 0.05, 0, 100, 0.02, "shows no peak as far as"},
		{"a full queue", 1, 0, 100, 0.02, "shows no peak as far as"},
		{"a peak by chance", 0.05, 0.0003, 60, 0.5, "could be chance"},
		{"far from the peak", 0.05, 0.0008, 15, 0.0001, "shows no peak as far as"},
		{"noise", 0.8, 0.003, 100, 0.15, "closely enough"},
	} {
		s := scaled(100, c.a, c.b, c.most, c.noise)
		if !strings.Contains(s.Refused, c.why) || s.Rate != 0 || s.Peak != (analysis.Interval{}) {
			t.Errorf("%s: got %+v, want %q", c.name, s, c.why)
		}
	}
}

func TestTheSameSecondsTellTheSame(t *testing.T) {
	if a, b := scaled(100, 0.05, 0.0008, 100, 0.05), scaled(100, 0.05, 0.0008, 100, 0.05); *a != *b {
		t.Errorf("%+v, then %+v", a, b)
	}
}
