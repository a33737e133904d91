// Package recipe generates the synthetic deliveries the network is trained and
// tested on. No real data is involved: the formula stands in for the world, so
// that anyone can reproduce the weights and judge them against the truth.
package recipe

import (
	"math"
	"math/rand/v2"

	"sweep/cmd/predictor/model"
)

// NoiseStd is the standard deviation, in minutes, of the random part of a
// delivery time: the error that no model can go below.
const NoiseStd = 2.0

// Sample is one observed delivery.
type Sample struct {
	Features [model.NumFeatures]float64 // distance in km, items, hour of the day
	Minutes  float64
}

// Draw returns n deliveries, spread evenly over the feature ranges. Equal
// seeds give equal samples.
func Draw(n int, seed uint64) []Sample {
	rng := rand.New(rand.NewPCG(seed, 0))
	samples := make([]Sample, n)
	for i := range samples {
		samples[i] = draw(rng)
	}
	return samples
}

func draw(rng *rand.Rand) Sample {
	var s Sample
	for i, f := range model.Features() {
		s.Features[i] = f.Min + (f.Max-f.Min)*rng.Float64()
	}
	s.Features[1] = math.Round(s.Features[1])
	s.Minutes = Expected(s.Features) + NoiseStd*rng.NormFloat64()
	return s
}

// Expected is the delivery time without noise:
//
//	minutes = 8 + 0.3·items + 0.004·items² + 60·distance / speed(hour)
//
// that is a handover, packing that slows down as the order grows, and the trip.
func Expected(features [model.NumFeatures]float64) float64 {
	distance, items, hour := features[0], features[1], features[2]
	packing := 0.3*items + 0.004*items*items
	return 8 + packing + 60*distance/speed(hour)
}

// speed is 40 km/h on empty roads, divided by up to about two in the morning
// rush (8:00) and in the longer and heavier evening rush (17:30).
func speed(hour float64) float64 {
	return 40 / (1 + 0.8*rush(hour, 8, 1.2) + rush(hour, 17.5, 1.6))
}

// rush is a bell around peak, 1 at its top, on a clock where 24 is 0 again.
func rush(hour, peak, width float64) float64 {
	d := math.Remainder(hour-peak, 24) / width
	return math.Exp(-d * d / 2)
}
