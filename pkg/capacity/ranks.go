package capacity

import (
	"cmp"
	"math"
	"slices"
)

// The tests here are exact: they count arrangements instead of trusting that
// samples of three to thirty are like a normal distribution. Ties share the mean
// of their ranks. Values may be infinite, for what was worse than can be told.

// mannWhitney returns the chance that as many values as there are in sample,
// drawn from both together, would rank as high as these do: small where sample
// lies above base. It is 1 where either is empty.
func mannWhitney(base, sample []float64) float64 {
	if len(base) == 0 || len(sample) == 0 {
		return 1
	}
	ranks := doubledRanks(append(slices.Clone(sample), base...))
	observed := sum(ranks[:len(sample)])
	return share(subsets(ranks, len(sample)), observed)
}

// leastP returns the least that mannWhitney can return for so many values.
func leastP(base, sample int) float64 {
	ways := 1.0
	for i := 1; i <= sample; i++ {
		ways *= float64(base+i) / float64(i)
	}
	return 1 / ways
}

// signedRank returns the chance that differences which are as often above 0 as
// below would have so many high ranks above (Wilcoxon): small where they lie
// above 0. Those that are 0 tell nothing and are left out.
func signedRank(differences []float64) float64 {
	told := slices.DeleteFunc(slices.Clone(differences), func(d float64) bool { return d == 0 })
	if len(told) == 0 {
		return 1
	}
	sizes := make([]float64, len(told))
	for i, d := range told {
		sizes[i] = math.Abs(d)
	}
	ranks, observed := doubledRanks(sizes), 0
	for i, d := range told {
		if d > 0 {
			observed += ranks[i]
		}
	}
	return share(signs(ranks), observed)
}

// doubledRanks returns twice the rank of each value, from 2 up: whole numbers
// where ties share the mean of their ranks.
func doubledRanks(values []float64) []int {
	sorted := slices.Sorted(slices.Values(values))
	ranks := make([]int, len(values))
	for i, v := range values {
		first, _ := slices.BinarySearch(sorted, v)
		after := first
		for after < len(sorted) && sorted[after] == v {
			after++
		}
		ranks[i] = first + 1 + after
	}
	return ranks
}

func sum(ranks []int) (n int) {
	for _, r := range ranks {
		n += r
	}
	return n
}

// subsets returns in how many ways k of the ranks have each sum.
func subsets(ranks []int, k int) []float64 {
	ways := make([][]float64, k+1)
	for i := range ways {
		ways[i] = make([]float64, sum(ranks)+1)
	}
	ways[0][0] = 1
	most := 0 // the sum of the ranks so far
	for n, r := range ranks {
		most += r
		for taken := min(k, n+1); taken >= 1; taken-- {
			for s := most; s >= r; s-- {
				ways[taken][s] += ways[taken-1][s-r]
			}
		}
	}
	return ways[k]
}

// signs returns in how many ways any of the ranks have each sum.
func signs(ranks []int) []float64 {
	ways := make([]float64, sum(ranks)+1)
	ways[0] = 1
	for _, r := range ranks {
		for s := len(ways) - 1; s >= r; s-- {
			ways[s] += ways[s-r]
		}
	}
	return ways
}

// share returns the share of ways whose sum is at least so much.
func share(ways []float64, atLeast int) float64 {
	all, high := 0.0, 0.0
	for s, n := range ways {
		all += n
		if s >= atLeast {
			high += n
		}
	}
	return high / all
}

// Shift is by how much one sample lies above another: the Hodges-Lehmann
// estimate, and the exact interval around it.
type Shift struct {
	Estimate, Low, High float64
	Level               float64 // that the interval has, 0 to 1: 0.95, or what so few values allow
}

const level = 0.95

// hodgesLehmann returns how far sample lies above base: the median of all
// differences between them.
func hodgesLehmann(base, sample []float64) Shift {
	var all []float64
	for _, s := range sample {
		for _, b := range base {
			all = append(all, difference(s, b))
		}
	}
	if len(all) == 0 {
		return Shift{}
	}
	whole := make([]int, len(base)+len(sample))
	for i := range whole {
		whole[i] = i + 1
	}
	least := len(sample) * (len(sample) + 1) / 2
	return around(all, subsets(whole, len(sample))[least:])
}

// pairedShift returns how far paired differences lie above 0: the median of the
// means of any two of them, each with itself too.
func pairedShift(differences []float64) Shift {
	var means []float64
	for i, a := range differences {
		for _, b := range differences[i:] {
			means = append(means, a/2+b/2)
		}
	}
	if len(means) == 0 {
		return Shift{}
	}
	whole := make([]int, len(differences))
	for i := range whole {
		whole[i] = i + 1
	}
	return around(means, signs(whole))
}

// around returns the median of values, and the interval of the test whose
// statistic is how many of them are above: ways says how often it is 0, 1, 2...
// by chance.
func around(values, ways []float64) Shift {
	slices.SortFunc(values, cmp.Compare)
	n := len(values)
	s := Shift{Estimate: values[(n-1)/2]/2 + values[n/2]/2}
	cut, outside := 0, 0.0 // values cut off at each end, and how often the shift lies there
	for cut < (n-1)/2 {
		tail := 1 - share(ways, cut+1)
		if cut > 0 && 2*tail > 1-level {
			break
		}
		cut, outside = cut+1, 2*tail
	}
	cut = max(1, cut)
	if outside == 0 {
		outside = 2 * (1 - share(ways, 1))
	}
	s.Low, s.High, s.Level = values[cut-1], values[n-cut], 1-outside
	return s
}

// difference is a - b, 0 where both are beyond measure.
func difference(a, b float64) float64 {
	if a == b {
		return 0
	}
	return a - b
}

// holm returns the chances of several tests, each raised so far that the
// smallest of them can be held against one limit as if it had been the only one.
func holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ps[a], ps[b]) })
	out, most := make([]float64, len(ps)), 0.0
	for rank, i := range order {
		most = max(most, min(1, float64(len(ps)-rank)*ps[i]))
		out[i] = most
	}
	return out
}

// median returns the middle of values, 0 where there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]/2 + sorted[len(sorted)/2]/2
}
