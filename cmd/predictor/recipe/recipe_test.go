package recipe

import (
	"math"
	"slices"
	"testing"

	"sweep/cmd/predictor/model"
)

func TestDraw(t *testing.T) {
	samples := Draw(2000, 1)
	if !slices.Equal(samples, Draw(2000, 1)) {
		t.Error("equal seeds give different samples")
	}
	if slices.Equal(samples, Draw(2000, 2)) {
		t.Error("different seeds give equal samples")
	}
	variance := 0.0
	for _, s := range samples {
		if err := model.Check(s.Features); err != nil {
			t.Fatal(err)
		}
		noise := s.Minutes - Expected(s.Features)
		variance += noise * noise / float64(len(samples))
	}
	if std := math.Sqrt(variance); math.Abs(std-NoiseStd) > 0.1 {
		t.Errorf("noise deviation %.3f, want %.3f", std, NoiseStd)
	}
}

func TestExpected(t *testing.T) {
	tests := []struct {
		features [model.NumFeatures]float64
		want     float64
	}{
		{[3]float64{0, 10, 12}, 8 + 3 + 0.4},      // no trip
		{[3]float64{20, 10, 0}, 8 + 3 + 0.4 + 30}, // empty roads
		{[3]float64{20, 10, 8}, 8 + 3 + 0.4 + 30*1.8},
		{[3]float64{20, 10, 17.5}, 8 + 3 + 0.4 + 30*2},
	}
	for _, test := range tests {
		if got := Expected(test.features); math.Abs(got-test.want) > 0.02 {
			t.Errorf("Expected(%v) = %.3f, want %.3f", test.features, got, test.want)
		}
	}
	if a, b := Expected([3]float64{20, 1, 0}), Expected([3]float64{20, 1, 24}); a != b {
		t.Errorf("midnight differs from midnight: %v, %v", a, b)
	}
}
