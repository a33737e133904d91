package main

import (
	"io"
	"log"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"sweep/cmd/predictor/model"
	"sweep/cmd/predictor/recipe"
)

// TestGradient compares derivatives with differences of the loss.
func TestGradient(t *testing.T) {
	samples := recipe.Draw(6, 5)
	net := newNetwork(4, 3, samples, rand.New(rand.NewPCG(7, 0)))
	tr := newTrainer(net, len(samples))
	tr.gradient(samples)

	loss := func() float64 { r := rmse(net, samples) / net.Target.Std; return r * r }
	const step = 1e-5
	for i, params := range net.Parameters() {
		for j, p := range params {
			params[j] = p + step
			up := loss()
			params[j] = p - step
			down := loss()
			params[j] = p
			got, want := tr.grad.Parameters()[i][j], (up-down)/(2*step)
			if math.Abs(got-want) > 1e-7 {
				t.Errorf("parameter %d of group %d: derivative %v, want %v", j, i, got, want)
			}
		}
	}
}

// TestTrain fits a network too small to ship, twice.
func TestTrain(t *testing.T) {
	// Wide enough for gonum to multiply in parallel, which must not show.
	opt := options{width: 64, steps: 2, samples: 2000, batch: 250, epochs: 20, rate: 3e-3}
	samples := recipe.Draw(opt.samples, trainSeed)
	fit := func() *model.Network { return train(opt, samples, log.New(io.Discard, "", 0)) }
	net := fit()
	if got := rmse(net, recipe.Draw(500, checkSeed)); got > 9 {
		t.Errorf("RMSE %.2f minutes after training, want less than half the target deviation", got)
	}
	if !reflect.DeepEqual(net, fit()) {
		t.Error("training twice gives two networks")
	}
}
