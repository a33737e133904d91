package analysis

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// The Universal Scalability Law (Gunther, "Guerrilla Capacity Planning", 2007)
// says how many answers per second n requests in service at a time make:
//
//	X(n) = g n / (1 + a (n-1) + b n (n-1))
//
// g is what one alone makes, a how far they wait for one another, b what they
// cost one another. With b > 0 throughput has a peak, at n = sqrt((1-a)/b), and
// falls beyond. The law describes a cell; it decides nothing.

// Scaling is the law as fitted to a cell's seconds. Where it is Refused the
// rest isn't known.
type Scaling struct {
	Rate       float64  // g, answers per second; more than 0
	Contention float64  // a, from 0 to 1
	Coherency  float64  // b, more than 0
	Peak       Interval // how many requests in service make most answers
	Throughput Interval // answers per second there
	Levels     int      // of concurrency that were seen
	Refused    string   // why nothing is told
}

// Interval is an estimate, and where 90 % of resamples had it.
type Interval struct{ Value, Low, High float64 }

// When the law is refused.
const (
	leastLevels = 6
	leastPeak   = 0.7  // of the peak's concurrency that must have been seen
	leastBend   = 0.1  // of the time that an answer takes at the most concurrency: what requests cost one another
	leastLawFit = 0.9  // R² of throughput
	levelStep   = 1.25 // a level of concurrency over the one before
)

// resamples is how often the seconds are drawn anew for the intervals: cases,
// with replacement, and percentiles (Efron and Tibshirani, "An Introduction to
// the Bootstrap", 1993). Seconds that follow each other are alike, so that the
// intervals are rather too narrow.
const resamples = 500

// scale fits the law to each measured cell. The cells that are given aren't
// changed.
func scale(cells []Cell) []Cell {
	out := slices.Clone(cells)
	for i, c := range out {
		var all []served
		for _, start := range c.Starts {
			for _, s := range start.Seconds {
				if s.Busy >= 1 { // fewer never meet
					all = append(all, served{s.Busy, s.Answers})
				}
			}
		}
		if c.Measured {
			out[i].Scaling = scaling(all)
		}
	}
	return out
}

// served is how many requests were in service, and how many answers per second
// that made, which is more than 0.
type served struct{ n, x float64 }

// scaling fits the law, or says why it can't be told.
func scaling(all []served) *Scaling {
	seen := levels(all)
	refuse := func(why string) *Scaling { return &Scaling{Levels: len(seen), Refused: why} }
	if len(seen) < leastLevels {
		return refuse(fmt.Sprintf("fewer than %d levels of concurrency were seen", leastLevels))
	}
	law := fitLaw(seen)
	if most := seen[len(seen)-1].n; most < leastPeak*law.peak() || law.bend(most) < leastBend {
		return refuse("throughput shows no peak as far as the load went")
	}
	costs, peaks, tops := resample(all)
	switch {
	case interval(law.costs, costs).Low == 0:
		return refuse("that throughput falls beyond a peak could be chance")
	case law.fit(seen) < leastLawFit:
		return refuse("throughput doesn't follow concurrency closely enough")
	}
	return &Scaling{
		Rate: law.g(), Contention: law.a(), Coherency: law.b(), Levels: len(seen),
		Peak: interval(law.peak(), peaks), Throughput: interval(law.answers(law.peak()), tops),
	}
}

// resample returns what the law says of seconds that are drawn anew.
func resample(all []served) (costs, peaks, tops []float64) {
	rng := rand.New(rand.NewPCG(1, 1)) // the same measurement says the same
	drawn := make([]served, len(all))
	for range resamples {
		for i := range drawn {
			drawn[i] = all[rng.IntN(len(all))]
		}
		l := fitLaw(levels(drawn))
		costs, peaks, tops = append(costs, l.costs), append(peaks, l.peak()), append(tops, l.answers(l.peak()))
	}
	return costs, peaks, tops
}

// interval returns value, and the 5th and 95th percentile of samples.
func interval(value float64, samples []float64) Interval {
	slices.Sort(samples)
	return Interval{value, stat.Quantile(0.05, stat.Empirical, samples, nil), stat.Quantile(0.95, stat.Empirical, samples, nil)}
}

// levels pools seconds of like concurrency, from the lowest to the highest.
func levels(all []served) []served {
	sums, counts := map[int]served{}, map[int]float64{}
	for _, s := range all {
		k := int(math.Floor(math.Log(s.n) / math.Log(levelStep)))
		sums[k], counts[k] = served{sums[k].n + s.n, sums[k].x + s.x}, counts[k]+1
	}
	var out []served
	for k, sum := range sums {
		out = append(out, served{sum.n / counts[k], sum.x / counts[k]})
	}
	slices.SortFunc(out, func(a, b served) int { return cmp.Compare(a.n, b.n) })
	return out
}

// A law is the Universal Scalability Law, turned around: by Little's law an
// answer takes
//
//	n / X(n) = alone + waits n + costs n (n-1)
//
// in which, none of the three being below 0, a is from 0 to 1 and b is not
// below 0.
type law struct{ alone, waits, costs float64 }

func (l law) g() float64 { return 1 / (l.alone + l.waits) }
func (l law) a() float64 { return l.waits * l.g() }
func (l law) b() float64 { return l.costs * l.g() }

// peak returns the concurrency of the most throughput, infinite where more
// always makes more.
func (l law) peak() float64 { return math.Sqrt(l.alone / l.costs) }

// answers returns the throughput of n in service, also of infinitely many.
func (l law) answers(n float64) float64 {
	if math.IsInf(n, 1) {
		return 1 / l.waits
	}
	return n / (l.alone + l.waits*n + l.costs*n*(n-1))
}

// bend returns what share of an answer's time with n in service comes of what
// requests cost one another. A queue before one server has none.
func (l law) bend(n float64) float64 { return l.costs * (n - 1) * l.answers(n) }

// fit returns R², the share of what throughput varies that the law tells.
func (l law) fit(seen []served) float64 {
	var told, is []float64
	for _, s := range seen {
		told, is = append(told, l.answers(s.n)), append(is, s.x)
	}
	return stat.RSquaredFrom(told, is, nil)
}

// fitLaw fits the law by least squares of the relative error of how long an
// answer takes, none of its numbers below 0. With three of them the best is the
// best of all seven ways to leave some out whose own solution has none below.
func fitLaw(seen []served) law {
	best, least := law{}, math.Inf(1)
	for used := 1; used < 1<<3; used++ {
		coefficients, ok := solve(seen, used)
		if !ok || slices.Min(coefficients[:]) < 0 {
			continue
		}
		l := law{coefficients[0], coefficients[1], coefficients[2]}
		if off := l.off(seen); off < least {
			best, least = l, off
		}
	}
	return best
}

// terms returns what the law's numbers are multiplied by, over how long an
// answer takes: their sum should be 1.
func (s served) terms() [3]float64 {
	takes := s.n / s.x
	return [3]float64{1 / takes, s.n / takes, s.n * (s.n - 1) / takes}
}

// off returns the sum of squares of the relative errors.
func (l law) off(seen []served) (sum float64) {
	for _, s := range seen {
		t := s.terms()
		off := l.alone*t[0] + l.waits*t[1] + l.costs*t[2] - 1
		sum += off * off
	}
	return sum
}

// solve returns the best numbers, some perhaps below 0, where those that the
// bits of used leave out are 0.
func solve(seen []served, used int) (coefficients [3]float64, ok bool) {
	var columns []int
	for i := range coefficients {
		if used&(1<<i) != 0 {
			columns = append(columns, i)
		}
	}
	if len(seen) < len(columns) {
		return coefficients, false
	}
	a, ones := mat.NewDense(len(seen), len(columns), nil), mat.NewVecDense(len(seen), nil)
	sizes := make([]float64, len(columns)) // columns of one size can be solved for
	for row, s := range seen {
		ones.SetVec(row, 1)
		for j, i := range columns {
			a.Set(row, j, s.terms()[i])
			sizes[j] = max(sizes[j], math.Abs(s.terms()[i]))
		}
	}
	a.Apply(func(_, j int, v float64) float64 { return v / sizes[j] }, a)
	var x mat.VecDense
	if err := x.SolveVec(a, ones); err != nil { // columns that can't be told apart
		return coefficients, false
	}
	for j, i := range columns {
		coefficients[i] = x.AtVec(j) / sizes[j]
	}
	return coefficients, true
}
