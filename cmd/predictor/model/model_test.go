package model_test

import (
	"math"
	"sync"
	"testing"

	"sweep/cmd/predictor/model"
	"sweep/cmd/predictor/recipe"
)

type features = [model.NumFeatures]float64

func load(t testing.TB) *model.Network {
	t.Helper()
	n, err := model.Load()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestQuality judges the embedded weights on deliveries they were neither
// trained nor tuned on.
func TestQuality(t *testing.T) {
	e := load(t).NewEvaluator()
	samples := recipe.Draw(5000, 20_000_003)
	mean := 0.0
	for _, s := range samples {
		mean += s.Minutes / float64(len(samples))
	}
	var residual, total float64
	for _, s := range samples {
		got, err := e.Predict(s.Features)
		if err != nil {
			t.Fatal(err)
		}
		residual += (s.Minutes - got) * (s.Minutes - got)
		total += (s.Minutes - mean) * (s.Minutes - mean)
	}
	rmse := math.Sqrt(residual / float64(len(samples)))
	r2 := 1 - residual/total
	t.Logf("RMSE %.3f minutes (noise %.3f), R² %.4f", rmse, recipe.NoiseStd, r2)
	if r2 < 0.95 || rmse > 1.15*recipe.NoiseStd {
		t.Errorf("RMSE %.3f and R² %.4f: not good enough", rmse, r2)
	}
}

// TestSense asks for what anybody knows about deliveries.
func TestSense(t *testing.T) {
	e := load(t).NewEvaluator()
	tests := []struct {
		name         string
		less, longer features
	}{
		{"morning rush", features{15, 5, 3}, features{15, 5, 8}},
		{"evening rush", features{15, 5, 3}, features{15, 5, 17.5}},
		{"evening is worse than morning", features{25, 5, 8}, features{25, 5, 17.5}},
		{"farther", features{5, 5, 12}, features{10, 5, 12}},
		{"larger order", features{10, 2, 12}, features{10, 30, 12}},
	}
	for _, test := range tests {
		less, err1 := e.Predict(test.less)
		longer, err2 := e.Predict(test.longer)
		if err1 != nil || err2 != nil || less >= longer {
			t.Errorf("%s: %.2f (%v) is not less than %.2f (%v)", test.name, less, err1, longer, err2)
		}
	}
}

func TestPredictChecksRanges(t *testing.T) {
	e := load(t).NewEvaluator()
	for _, f := range []features{{0, 1, 0}, {30, 40, 24}} {
		if _, err := e.Predict(f); err != nil {
			t.Errorf("Predict(%v): %v", f, err)
		}
	}
	bad := map[string]features{
		"distance must be between 0 and 30 km, got NaN":    {math.NaN(), 1, 0},
		"distance must be between 0 and 30 km, got -0.1":   {-0.1, 1, 0},
		"items must be between 1 and 40 items, got +Inf":   {1, math.Inf(1), 0},
		"items must be between 1 and 40 items, got 0.5":    {1, 0.5, 0},
		"hour must be between 0 and 24 h, got 24.00000001": {1, 1, 24.00000001},
	}
	for want, f := range bad {
		if got, err := e.Predict(f); err == nil || err.Error() != want {
			t.Errorf("Predict(%v) = %v, %v, want error %s", f, got, err, want)
		}
	}
}

// TestSharedNetwork runs evaluators side by side, for the race detector, and
// checks that none leaves a trace in its next prediction.
func TestSharedNetwork(t *testing.T) {
	n := load(t)
	samples := recipe.Draw(50, 1)
	want := make([]float64, len(samples))
	for i, s := range samples {
		want[i], _ = n.NewEvaluator().Predict(s.Features)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			e := n.NewEvaluator()
			for i, s := range samples {
				if got, err := e.Predict(s.Features); err != nil || got != want[i] {
					t.Errorf("Predict(%v) = %v, %v, want %v", s.Features, got, err, want[i])
				}
			}
		})
	}
	wg.Wait()
}

func TestPredictDoesNotAllocate(t *testing.T) {
	e := load(t).NewEvaluator()
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := e.Predict(features{12.5, 3, 18.25}); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per prediction", allocs)
	}
}

func BenchmarkPredict(b *testing.B) {
	e := load(b).NewEvaluator()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Predict(features{12.5, 3, 18.25}); err != nil {
			b.Fatal(err)
		}
	}
}
