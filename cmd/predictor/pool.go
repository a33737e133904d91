package main

import (
	"context"

	"sweep/cmd/predictor/model"
)

// pool holds the idle evaluators. Their number bounds how many predictions are
// evaluated at once; requests beyond it wait, first come first served, since
// that is how Go serves the receivers of a channel.
type pool chan *model.Evaluator

func newPool(network *model.Network, workers int) pool {
	p := make(pool, workers)
	for range workers {
		p <- network.NewEvaluator()
	}
	return p
}

// predict waits for an evaluator and uses it. It gives up when ctx is done
// while it waits.
func (p pool) predict(ctx context.Context, features [model.NumFeatures]float64) (float64, error) {
	select {
	case e := <-p:
		defer func() { p <- e }()
		return e.Predict(features)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
