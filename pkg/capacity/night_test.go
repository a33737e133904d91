package capacity

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// world makes starts up: what a service takes, the noise of its starts, and
// what becomes of the host in some nights.
type world struct {
	rng     *rand.Rand
	noise   [4]float64 // standard deviation of each metric's logarithm between starts
	factor  [4]float64 // by which tonight's image differs from the baseline's
	host    float64    // by which tonight's host is slower, whatever runs
	void    float64    // chance that a start tells nothing
	failing float64    // chance that tonight's image fails
	old     float64    // chance that the baseline's does
}

var (
	candidate = experiment.Limits{CPU: 1e9, Memory: 200 << 20, Image: "new"}
	reference = experiment.Limits{CPU: 1e9, Memory: 200 << 20, Image: "sha256:old"}
	rivalCell = experiment.Limits{CPU: 5e8, Memory: 200 << 20, Image: "new"}
)

func (w *world) start(t experiment.Trial) analysis.Verdict {
	v := analysis.Verdict{Trial: t, Outcome: analysis.Passed}
	factor, fails := [4]float64{1, 1, 1, 1}, w.old
	if t.Limits == candidate {
		factor, fails = w.factor, w.failing
	}
	switch chance := w.rng.Float64(); {
	case chance < w.void:
		v.Outcome = analysis.GeneratorLimited
		return v
	case w.rng.Float64() < fails:
		v.Outcome, v.Breach = analysis.Breached, &analysis.Breach{Objective: "p99", Observed: "2s", Limit: "1s"}
		v.FirstFail = &analysis.Level{Users: 900}
		return v
	}
	noise := func(i int) float64 { return factor[i] * math.Exp(w.noise[i]*w.rng.NormFloat64()) }
	slow := max(1, w.host)
	v.LastPass = &analysis.Level{Users: 1000, Throughput: 1000 * noise(0), P99: time.Duration(50 * noise(1) * slow * float64(time.Millisecond))}
	v.CPUSecondsPerRequest, v.PeakMemory = 0.0005*noise(2)*slow, experiment.Bytes(150*noise(3)*float64(experiment.MiB))
	return v
}

func (w *world) baseline(starts int) Baseline {
	b := Baseline{Minimal: experiment.Limits{CPU: 1e9, Memory: 200 << 20}, Measured: "2026-11-24", Ceiling: 50000}
	calm := *w
	calm.host, calm.void, calm.failing, calm.factor = 1, 0, 0, [4]float64{1, 1, 1, 1}
	for range starts {
		b.Starts = append(b.Starts, StartOf(calm.start(experiment.Trial{Limits: candidate})))
	}
	return b
}

func run(n Night, w *world) (v Verdict, trials int) {
	var all []analysis.Verdict
	for {
		t, left, more := Next(n, all)
		if !more {
			return Judge(n, all), len(all)
		}
		if left < 1 || len(all) > 60 {
			panic("a night without an end")
		}
		all = append(all, w.start(t))
	}
}

func (w *world) night(starts int) Night {
	old := reference
	return Night{Baseline: w.baseline(starts), Target: 1000, Unit: "users", Candidate: candidate, Reference: &old}
}

// realistic is a world with noise as it is measured: latency least steady,
// throughput of users who wait hardly at all; hosts that are slower in one night
// of twenty, starts that tell nothing in one of a hundred.
func realistic(rng *rand.Rand) *world {
	w := &world{rng: rng, noise: [4]float64{0.003, 0.03 + 0.02*rng.Float64(), 0.03 + 0.01*rng.Float64(), 0.02}, factor: [4]float64{1, 1, 1, 1}, void: 0.01}
	w.host = math.Exp(0.01 * rng.NormFloat64())
	if rng.Float64() < 0.05 {
		w.host = 1.1 + 0.3*rng.Float64()
	}
	return w
}

// A thousand nights: an unchanged service, built anew each night, is never
// red but by chance; one that is 20 % worse is.
func TestAThousandNights(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(*world)
		least     float64 // share of nights that are red
		most      float64
		leastHold float64
		nights    uint64
	}{
		{"unchanged", func(*world) {}, 0, 0.0099, 0.9, 1000},
		{"20 % more CPU time", func(w *world) { w.factor[2] = 1.2 }, 0.9501, 1, 0, 1000},
		{"20 % more memory", func(w *world) { w.factor[3] = 1.2 }, 0.9501, 1, 0, 250},
		{"20 % slower", func(w *world) { w.factor[1] = 1.2 }, 0.9501, 1, 0, 250},
		{"fails", func(w *world) { w.failing = 1 }, 0.9501, 1, 0, 250},
		{"starved", func(w *world) { w.void = 0.9 }, 0, 0.0099, 0, 1000},
		{"both images fail", func(w *world) { w.failing, w.old = 0.95, 0.95 }, 0, 0.0099, 0, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			counts, trials := map[Outcome]int{}, 0
			for i := range c.nights {
				w := realistic(rand.New(rand.NewPCG(7, i)))
				c.change(w)
				v, n := run(w.night(12), w)
				counts[v.Outcome]++
				trials += n
			}
			red, holds := float64(counts[Regressed])/float64(c.nights), float64(counts[Holds])/float64(c.nights)
			t.Logf("%v, %.1f trials a night", counts, float64(trials)/float64(c.nights))
			if red < c.least || red > c.most || holds < c.leastHold {
				t.Errorf("red in %.3f, holds in %.3f", red, holds)
			}
		})
	}
}

// The same image can't have regressed, whatever becomes of the host.
func TestTheSameImageIsNeverRed(t *testing.T) {
	for i := range uint64(200) {
		w := realistic(rand.New(rand.NewPCG(8, i)))
		w.host, w.failing = 1+0.5*w.rng.Float64(), 0.3*w.rng.Float64()
		n := w.night(12)
		n.Same = true
		if v, _ := run(n, w); v.Outcome == Regressed {
			t.Fatalf("%+v", v)
		}
	}
}

// What the check says that it would have seen, it sees.
func TestPowerKeepsItsWord(t *testing.T) {
	w := realistic(rand.New(rand.NewPCG(9, 1)))
	w.host, w.void = 1, 0
	n := w.night(12)
	for i, seen := range Power(n) {
		if seen.Loss < math.Log(1.04) || seen.Loss > math.Log(1.4) {
			t.Errorf("%s: %.3f", seen.Metric.Name, seen.Loss)
		}
		w.factor = [4]float64{1, 1, 1, 1}
		w.factor[i] = math.Exp(seen.Metric.more * seen.Loss)
		red := 0
		for range 100 {
			n.Candidate = candidate
			if v, _ := run(n, w); v.Outcome == Regressed {
				red++
			}
		}
		t.Logf("%s: %s, red in %d of 100", seen.Metric.Name, Signed(seen.Metric.Share(seen.Loss)), red)
		if red < 70 {
			t.Errorf("%s: a loss of %.3f was red in %d nights of 100", seen.Metric.Name, seen.Loss, red)
		}
	}
	n.Baseline.Starts = n.Baseline.Starts[:2]
	for _, seen := range Power(n) {
		if !math.IsInf(seen.Loss, 1) {
			t.Errorf("two starts can't show %+v", seen)
		}
	}
}

// Each night's starts come out as the script says, in the order in which
// they are asked for: p passes, f fails, v tells nothing.
func TestTheCourseOfANight(t *testing.T) {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), noise: [4]float64{0.001, 0.03, 0.02, 0.01}, factor: [4]float64{1, 1, 1, 1}, host: 1}
	for _, c := range []struct {
		name, script string // what the starts come out as
		cells        string // where they are made: c candidate, r reference
		change       func(*Night)
		outcome      Outcome
		reason       Reason
	}{
		{"calm", "ppp", "ccc", nil, Holds, Carried},
		{"one failed by chance", "pfpp", "cccc", nil, Holds, Carried},
		{"fails where the old image doesn't", "ffpfp", "ccrcr", nil, Regressed, NotCarried},
		{"two of three fail", "fpfpfp", "cccrcr", nil, Regressed, NotCarried},
		{"the old image fails too", "fff", "ccr", nil, Inconclusive, BaselineFails},
		{"it fails no more", "ffpp", "ccrc", nil, Inconclusive, NotReproduced},
		{"three starts tell nothing", "vvv", "ccc", nil, Inconclusive, Unmeasured},
		{"two of them are repeated", "vpvpp", "ccccc", nil, Holds, Carried},
		{"the same image fails", "ff", "cc", func(n *Night) { n.Same = true }, Inconclusive, SameImage},
		{"it fails, the old one is gone", "ff", "cc", func(n *Night) { n.Reference = nil }, Regressed, NotCarried},
		{"the same on a slower host", "ff", "cc", func(n *Night) { n.Reference, n.Ceiling = nil, 40000 }, Inconclusive, SlowerHost},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := w.night(12)
			if c.change != nil {
				c.change(&n)
			}
			var all []analysis.Verdict
			var cells []byte
			for _, r := range c.script {
				trial, _, more := Next(n, all)
				if !more {
					break
				}
				cells = append(cells, map[bool]byte{true: 'c', false: 'r'}[trial.Limits == candidate])
				w.failing, w.old, w.void = 0, 0, 0
				switch r {
				case 'f':
					w.failing, w.old = 1, 1
				case 'v':
					w.void = 1
				}
				all = append(all, w.start(trial))
			}
			_, _, more := Next(n, all)
			v := Judge(n, all)
			if more || string(cells) != c.cells || v.Outcome != c.outcome || v.Reason != c.reason || v.Sentence == "" {
				t.Errorf("more %t, cells %s, %s %s: %s", more, cells, v.Outcome, v.Reason, v.Sentence)
			}
			t.Log(v.Sentence)
		})
	}
}

func TestACheaperCellIsTriedWhereLessIsNeeded(t *testing.T) {
	w := &world{rng: rand.New(rand.NewPCG(1, 1)), noise: [4]float64{0.001, 0.03, 0.02, 0.01}, factor: [4]float64{1, 1, 0.6, 1}, host: 1}
	n, rival := w.night(12), rivalCell
	n.Rival = &rival
	v, trials := run(n, w)
	if v.Outcome != Holds || trials != 4 || v.Improvement == "" {
		t.Errorf("%d trials: %+v", trials, v)
	}
	t.Log(v.Improvement)
}

func TestTwoImagesTakeTurns(t *testing.T) {
	w := realistic(rand.New(rand.NewPCG(3, 3)))
	w.host, w.void, w.factor[2] = 1, 0, 1.4
	n := w.night(12)
	var all []analysis.Verdict
	var order []byte
	for {
		trial, _, more := Next(n, all)
		if !more {
			break
		}
		order = append(order, map[bool]byte{true: 'B', false: 'A'}[trial.Limits == candidate])
		all = append(all, w.start(trial))
	}
	if want := "BBBBB" + "ABBAABBAABBA"; string(order) != want {
		t.Errorf("%s, want %s", order, want)
	}
}
