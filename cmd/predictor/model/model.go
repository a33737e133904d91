// Package model evaluates the neural network behind the prediction service:
// the delivery time, in minutes, of an order from its distance, its number of
// items and the hour at which it leaves.
//
// The network is a multilayer perceptron with residual hidden layers that
// share one weight matrix:
//
//	h₀     = tanh(A·x + a)                      x: standardised features
//	hₖ₊₁   = hₖ + tanh(W·hₖ + w) / steps        k = 0 … steps-1
//	y      = B·h + b                            y: standardised minutes
//
// Sharing W keeps the weights small enough to embed while the number of steps
// sets the price of a prediction, which is the point of the service: each one
// costs a known amount of honest floating-point work.
//
// The package only evaluates and stores networks. Package train makes them,
// from the data described by package recipe.
package model

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// NumFeatures is the number of inputs of the network.
const NumFeatures = 3

// Feature is one input of the network and the range it was trained on. The
// network says nothing sensible outside that range.
type Feature struct {
	Name, Unit string
	Min, Max   float64
}

// Features describes the inputs, in the order Predict takes them.
func Features() [NumFeatures]Feature {
	return [NumFeatures]Feature{
		{Name: "distance", Unit: "km", Min: 0, Max: 30},
		{Name: "items", Unit: "items", Min: 1, Max: 40},
		{Name: "hour", Unit: "h", Min: 0, Max: 24},
	}
}

// Check reports the first value that is not a number within its feature's range.
func Check(features [NumFeatures]float64) error {
	for i, f := range Features() {
		v := features[i]
		if !(f.Min <= v && v <= f.Max) { // written so that NaN fails
			return fmt.Errorf("%s must be between %v and %v %s, got %v", f.Name, f.Min, f.Max, f.Unit, v)
		}
	}
	return nil
}

// Scale standardises a quantity to zero mean and unit deviation.
type Scale struct{ Mean, Std float64 }

// Layer is the affine map W·x + B.
type Layer struct {
	W blas64.General
	B []float64
}

// Network holds the parameters of a network. Evaluating it does not change it,
// so any number of evaluators may share one.
type Network struct {
	Features [NumFeatures]Scale
	Target   Scale

	Input, Hidden, Output Layer
	Steps                 int // how many times Hidden is applied
}

// New returns a network of the given shape with all parameters zero.
func New(width, steps int) *Network {
	return &Network{
		Input:  newLayer(width, NumFeatures),
		Hidden: newLayer(width, width),
		Output: newLayer(1, width),
		Steps:  steps,
	}
}

func newLayer(rows, cols int) Layer {
	return Layer{
		W: blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: make([]float64, rows*cols)},
		B: make([]float64, rows),
	}
}

// Width is the number of units in each hidden layer.
func (n *Network) Width() int { return n.Hidden.W.Rows }

// Parameters lists everything training adjusts, in a fixed order. The slices
// are the network's own.
func (n *Network) Parameters() [][]float64 {
	return [][]float64{
		n.Input.W.Data, n.Input.B,
		n.Hidden.W.Data, n.Hidden.B,
		n.Output.W.Data, n.Output.B,
	}
}

// Evaluator computes predictions of one network. It owns scratch memory, so
// one goroutine at a time may use it; it never allocates after its creation.
type Evaluator struct {
	net         *Network
	x, h, delta []float64
	y           []float64
}

// NewEvaluator returns an evaluator of n.
func (n *Network) NewEvaluator() *Evaluator {
	return &Evaluator{
		net:   n,
		x:     make([]float64, NumFeatures),
		h:     make([]float64, n.Width()),
		delta: make([]float64, n.Width()),
		y:     make([]float64, 1),
	}
}

// Predict returns the expected delivery time in minutes. The only error is
// that of Check.
func (e *Evaluator) Predict(features [NumFeatures]float64) (float64, error) {
	if err := Check(features); err != nil {
		return 0, err
	}
	n := e.net
	for i, s := range n.Features {
		e.x[i] = (features[i] - s.Mean) / s.Std
	}
	n.Input.apply(e.h, e.x)
	for i, v := range e.h {
		e.h[i] = math.Tanh(v)
	}
	for range n.Steps {
		n.Hidden.apply(e.delta, e.h)
		for i, v := range e.delta {
			e.h[i] += math.Tanh(v) / float64(n.Steps)
		}
	}
	n.Output.apply(e.y, e.h)
	return e.y[0]*n.Target.Std + n.Target.Mean, nil
}

// apply sets y to W·x + B.
func (l Layer) apply(y, x []float64) {
	copy(y, l.B)
	blas64.Gemv(blas.NoTrans, 1, l.W, vector(x), 1, vector(y))
}

func vector(x []float64) blas64.Vector {
	return blas64.Vector{N: len(x), Inc: 1, Data: x}
}
