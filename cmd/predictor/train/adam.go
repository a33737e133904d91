package main

import "math"

// adam is the optimiser of Kingma and Ba (2015), with their constants.
type adam struct {
	params, m, v [][]float64
	step         int
}

func newAdam(params [][]float64) *adam {
	a := &adam{params: params}
	for _, p := range params {
		a.m = append(a.m, make([]float64, len(p)))
		a.v = append(a.v, make([]float64, len(p)))
	}
	return a
}

// update moves the parameters against their gradients.
func (a *adam) update(grads [][]float64, rate float64) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	a.step++
	c1 := 1 - math.Pow(beta1, float64(a.step))
	c2 := 1 - math.Pow(beta2, float64(a.step))
	for i, p := range a.params {
		m, v := a.m[i], a.v[i]
		for j, g := range grads[i] {
			m[j] = beta1*m[j] + (1-beta1)*g
			v[j] = beta2*v[j] + (1-beta2)*g*g
			p[j] -= rate * (m[j] / c1) / (math.Sqrt(v[j]/c2) + epsilon)
		}
	}
}
