package analysis

import (
	"cmp"
	"math"
	"slices"
)

// Changes are looked for as Hunter and Otava do it: the E-divisive statistic
// proposes where a series splits, a test of significance decides. A change is
// told to people; nothing is gated by it.
const (
	changeWindow   = 50  // nights that are looked at together; windows follow each other by half of it
	changeReach    = 100 // nights on either side that a change is judged by, at most: what is long ago tells less
	proposedPValue = 10 * ChangePValue

	// A change that is kept is at most so likely to be chance. Theirs is 0.001;
	// but where to split was chosen so that both sides differ, and with 0.001
	// nearly 3 % of series of 60 nights without any change had one, with this 0.2 %.
	ChangePValue = 0.0003

	ChangeMagnitude = 0.05 // the least that medians differ by, as a share
)

// Change is where a series began to be another.
type Change struct {
	At     int     // the index of the first value after it
	Before float64 // the median of the values back to the change before, 100 at most
	After  float64 // the median of the values up to the next change, 100 at most
	PValue float64 // how likely both sides came from one distribution
}

// Share returns by how much the median changed: 0.2 is 20 % more.
func (c Change) Share() float64 { return c.After/c.Before - 1 }

// FindChanges returns where a series changes, in order. Its values are
// positive; they are compared by their ratios. The same series has the same
// changes. One value that stands out isn't a change: it takes three after 40
// others, four after 20, six after ten.
func FindChanges(series []float64) []Change {
	logs := make([]float64, len(series))
	for i, v := range series {
		logs[i] = math.Log(v)
	}
	return keepChanges(series, proposeChanges(logs))
}

// proposeChanges returns where a series may split, in order. A window begins
// at the last split that was found, if that is later than half a window on, so
// that none is found twice.
func proposeChanges(logs []float64) []int {
	var found []int
	for start := 0; start < len(logs); {
		end := min(start+changeWindow, len(logs))
		for _, at := range bisect(logs[start:end]) {
			found = append(found, start+at)
		}
		start += changeWindow / 2
		if n := len(found); n > 0 {
			start = max(start, found[n-1])
		}
	}
	return found
}

// bisect splits values where they differ most, and both parts again, until
// what is left doesn't differ.
func bisect(values []float64) []int {
	at, end := divide(values)
	if at == 0 || rankSum(values[:at], values[at:end]) > proposedPValue {
		return nil
	}
	out := append(bisect(values[:at]), at)
	for _, later := range bisect(values[at:]) {
		out = append(out, at+later)
	}
	return out
}

// divide returns the split at and the end of the part behind it at which the
// E-divisive statistic (Matteson and James, arXiv 1306.4933, with alpha = 1) is
// greatest, or 0 where the values are too few. With X the n values before at
// and Y the m values from at to end it is
//
//	nm/(n+m) (2 mean|X-Y| - mean|X-X'| - mean|Y-Y'|)
//
// where each mean is over pairs of different values.
func divide(values []float64) (at, end int) {
	d := distancesOf(values)
	best := 0.0
	for a := 2; a < len(values)-1; a++ {
		for e := a + 2; e <= len(values); e++ {
			if q := d.divergence(a, e); q > best {
				best, at, end = q, a, e
			}
		}
	}
	return at, end
}

// distances sums the distances of pairs: at [i][j] of all pairs of which the
// one is among the first i values, the other among the first j.
type distances [][]float64

func distancesOf(values []float64) distances {
	n := len(values)
	d := make(distances, n+1)
	d[0] = make([]float64, n+1)
	for i := range n {
		d[i+1] = make([]float64, n+1)
		for j := range n {
			d[i+1][j+1] = d[i][j+1] + d[i+1][j] - d[i][j] + math.Abs(values[i]-values[j])
		}
	}
	return d
}

// divergence returns the statistic for the values to at, and from there to end.
func (d distances) divergence(at, end int) float64 {
	n, m := float64(at), float64(end-at)
	across := d[at][end] - d[at][at]
	left := d[at][at] // counts each pair twice, as right does
	right := d[end][end] - 2*d[at][end] + d[at][at]
	return n * m / (n + m) * (2*across/(n*m) - left/(n*(n-1)) - right/(m*(m-1)))
}

// keepChanges leaves out proposals, the weakest first, until each that is left
// is significant and large. What was beside one that is left out is judged
// anew.
func keepChanges(series []float64, at []int) []Change {
	for {
		changes := changesAt(series, at)
		if len(changes) == 0 {
			return nil
		}
		weakest := slices.MaxFunc(changes, func(a, b Change) int { return cmp.Compare(a.PValue, b.PValue) })
		if weakest.PValue <= ChangePValue {
			weakest = slices.MinFunc(changes, func(a, b Change) int { return cmp.Compare(a.magnitude(), b.magnitude()) })
			if weakest.magnitude() >= ChangeMagnitude {
				return changes
			}
		}
		at = slices.DeleteFunc(slices.Clone(at), func(i int) bool { return i == weakest.At })
	}
}

// magnitude is the same for a change and its undoing.
func (c Change) magnitude() float64 { return max(c.After/c.Before, c.Before/c.After) - 1 }

func changesAt(series []float64, at []int) []Change {
	var out []Change
	for k, i := range at {
		from, to := max(0, i-changeReach), min(len(series), i+changeReach)
		if k > 0 {
			from = max(from, at[k-1])
		}
		if k+1 < len(at) {
			to = min(to, at[k+1])
		}
		before, after := series[from:i], series[i:to]
		out = append(out, Change{i, middle(before), middle(after), rankSum(before, after)})
	}
	return out
}

// middle returns the median of values, of which there is at least one.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// rankSum returns the two-sided p-value of the test of Mann and Whitney: exact,
// with ties, where the smaller side has few values; else by the normal
// distribution, corrected for ties and continuity.
func rankSum(xs, ys []float64) float64 {
	const few = 12 // from there on the normal distribution is near enough
	if len(xs) > len(ys) {
		xs, ys = ys, xs
	}
	if len(xs) == 0 {
		return 1
	}
	doubled, sum, ties := ranks(xs, ys)
	if len(xs) <= few {
		return exactly(doubled, len(xs), sum)
	}
	n, m := float64(len(xs)), float64(len(ys))
	all := n + m
	variance := n * m / 12 * (all + 1 - ties/(all*(all-1)))
	if variance <= 0 {
		return 1
	}
	off := max(0, math.Abs(float64(sum)/2-n*(all+1)/2)-0.5)
	return math.Erfc(off / math.Sqrt(2*variance))
}

// ranks returns twice the mid-ranks of all values, so that they are whole, what
// those of xs add up to, and the sum of t^3-t over ties of t values.
func ranks(xs, ys []float64) (doubled []int, sum int, ties float64) {
	all := slices.Sorted(slices.Values(slices.Concat(xs, ys)))
	rank := map[float64]int{}
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		rank[all[i]] = i + 1 + j
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	for _, v := range all {
		doubled = append(doubled, rank[v])
	}
	for _, v := range xs {
		sum += rank[v]
	}
	return doubled, sum, ties
}

// exactly returns how likely n of the ranks, drawn by chance, add up to
// something at least as far out as sum, on both sides.
func exactly(ranks []int, n, sum int) float64 {
	most := 2 * n * len(ranks)
	ways := make([][]float64, n+1) // by how many were drawn, and what they add up to
	for k := range ways {
		ways[k] = make([]float64, most+1)
	}
	ways[0][0] = 1
	for i, r := range ranks {
		for k := min(i+1, n); k > 0; k-- {
			for s := r; s <= most; s++ {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	var all, below, above float64
	for s, w := range ways[n] {
		all += w
		if s <= sum {
			below += w
		}
		if s >= sum {
			above += w
		}
	}
	return min(1, 2*min(below, above)/all)
}
