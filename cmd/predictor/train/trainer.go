package main

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"sweep/cmd/predictor/model"
	"sweep/cmd/predictor/recipe"
)

// newNetwork returns a network ready for training: random weights, and scales
// taken from the samples.
func newNetwork(width, steps int, samples []recipe.Sample, rng *rand.Rand) *model.Network {
	n := model.New(width, steps)
	for _, l := range []model.Layer{n.Input, n.Hidden, n.Output} {
		std := 1 / math.Sqrt(float64(l.W.Cols)) // keeps tanh out of saturation
		for i := range l.W.Data {
			l.W.Data[i] = std * rng.NormFloat64()
		}
	}
	for i := range n.Features {
		n.Features[i] = scale(samples, func(s recipe.Sample) float64 { return s.Features[i] })
	}
	n.Target = scale(samples, func(s recipe.Sample) float64 { return s.Minutes })
	return n
}

func scale(samples []recipe.Sample, value func(recipe.Sample) float64) model.Scale {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	mean, std := stat.MeanStdDev(values, nil)
	return model.Scale{Mean: mean, Std: std}
}

// trainer computes gradients of the squared error over batches of a fixed
// size. Matrices hold one sample per row.
type trainer struct {
	net  *model.Network
	grad *model.Network // same shape; holds derivatives instead of parameters

	x    blas64.General   // standardised features
	h    []blas64.General // h[0] … h[steps]: hidden states
	t    []blas64.General // t[k]: tanh(W·h[k] + w)
	y    blas64.General   // output, then the loss's derivative by it
	back blas64.General   // the loss's derivative by the current hidden state
	dz   blas64.General   // the same before tanh
}

func newTrainer(net *model.Network, batch int) *trainer {
	width := net.Width()
	tr := &trainer{
		net:  net,
		grad: model.New(width, net.Steps),
		x:    matrix(batch, model.NumFeatures),
		y:    matrix(batch, 1),
		back: matrix(batch, width),
		dz:   matrix(batch, width),
		h:    []blas64.General{matrix(batch, width)},
	}
	for range net.Steps {
		tr.h = append(tr.h, matrix(batch, width))
		tr.t = append(tr.t, matrix(batch, width))
	}
	return tr
}

func matrix(rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: make([]float64, rows*cols)}
}

// gradient fills tr.grad for one batch.
func (tr *trainer) gradient(batch []recipe.Sample) {
	for i, s := range batch {
		for j, scale := range tr.net.Features {
			tr.x.Data[i*tr.x.Stride+j] = (s.Features[j] - scale.Mean) / scale.Std
		}
	}
	tr.forward()
	for i, s := range batch {
		want := (s.Minutes - tr.net.Target.Mean) / tr.net.Target.Std
		tr.y.Data[i] = 2 * (tr.y.Data[i] - want) / float64(len(batch))
	}
	for _, g := range tr.grad.Parameters() {
		clear(g)
	}
	tr.backward()
}

func (tr *trainer) forward() {
	n := tr.net
	affine(tr.h[0], n.Input, tr.x)
	tanh(tr.h[0].Data)
	for k, t := range tr.t {
		affine(t, n.Hidden, tr.h[k])
		tanh(t.Data)
		floats.AddScaledTo(tr.h[k+1].Data, tr.h[k].Data, 1/float64(n.Steps), t.Data)
	}
	affine(tr.y, n.Output, tr.h[n.Steps])
}

func (tr *trainer) backward() {
	n, g := tr.net, tr.grad
	accumulate(g.Output, tr.y, tr.h[n.Steps])
	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, tr.y, n.Output.W, 0, tr.back)
	for k := n.Steps - 1; k >= 0; k-- {
		throughTanh(tr.dz.Data, tr.back.Data, tr.t[k].Data)
		floats.Scale(1/float64(n.Steps), tr.dz.Data)
		accumulate(g.Hidden, tr.dz, tr.h[k])
		// Adds to back, since the residual connection passes it on unchanged.
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, tr.dz, n.Hidden.W, 1, tr.back)
	}
	throughTanh(tr.dz.Data, tr.back.Data, tr.h[0].Data)
	accumulate(g.Input, tr.dz, tr.x)
}

// affine sets y to x·Wᵀ + B.
func affine(y blas64.General, l model.Layer, x blas64.General) {
	for i := range y.Rows {
		copy(y.Data[i*y.Stride:], l.B)
	}
	blas64.Gemm(blas.NoTrans, blas.Trans, 1, x, l.W, 1, y)
}

// accumulate adds to g the derivatives by a layer's parameters, given dy, the
// derivative by its output, and its input x.
func accumulate(g model.Layer, dy, x blas64.General) {
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, dy, x, 1, g.W)
	for i := range dy.Rows {
		floats.Add(g.B, dy.Data[i*dy.Stride:i*dy.Stride+dy.Cols])
	}
}

func tanh(x []float64) {
	for i, v := range x {
		x[i] = math.Tanh(v)
	}
}

// throughTanh sets dz to the derivative before a tanh from dy, the derivative
// after it, and y, its value.
func throughTanh(dz, dy, y []float64) {
	for i, v := range y {
		dz[i] = dy[i] * (1 - v*v)
	}
}
