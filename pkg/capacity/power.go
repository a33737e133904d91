package capacity

import (
	"math"
	"math/rand/v2"
)

// Seen is the smallest change for the worse that a night would have suspected.
type Seen struct {
	Metric Metric
	Loss   float64 // infinite where no change would have been
	Tells  bool    // the baseline has enough starts to tell anything
}

const (
	draws    = 200          // nights that are simulated for each change that is tried
	sees     = 0.9          // share of them that must suspect it
	hugeLoss = math.Ln2 * 2 // a change of four times
	steps    = 8            // halvings, to 1 % and less
	seed     = 20260101     // any, but always the same
)

// Power returns the smallest change of each metric that nine nights of ten
// would suspect: starts are drawn from the baseline's own, made worse by so
// much, and judged as a night is. What the baseline's starts don't show, such as
// how nights differ, it knows nothing of.
func Power(n Night) []Seen {
	var out []Seen
	k, tells := n.closer()
	for _, m := range Metrics() {
		if !m.known(n.Baseline.Starts) {
			continue
		}
		s := Seen{Metric: m, Loss: math.Inf(1), Tells: tells}
		base := m.losses(n.Baseline.Starts)
		if tells && seen(base, k, hugeLoss) {
			low, high := 0.0, hugeLoss
			for range steps {
				if middle := (low + high) / 2; seen(base, k, middle) {
					high = middle
				} else {
					low = middle
				}
			}
			s.Loss = high
		}
		out = append(out, s)
	}
	return out
}

// seen reports whether so many nights would suspect a loss.
func seen(base []float64, k int, loss float64) bool {
	rng := rand.New(rand.NewPCG(seed, 0))
	limit, found := floor(base), 0
	metrics := float64(len(Metrics()))
	for range draws {
		tonight := make([]float64, k)
		for i := range tonight {
			tonight[i] = base[rng.IntN(len(base))] + loss
		}
		if hodgesLehmann(base, tonight[:firstLook]).Estimate < limit {
			continue
		}
		shift := hodgesLehmann(base, tonight)
		if shift.Estimate >= limit && shift.Low > 0 && metrics*mannWhitney(base, tonight) < suspicious {
			found++
		}
	}
	return float64(found) >= sees*draws
}
