package load

import (
	"maps"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
	"sweep/pkg/measure"
)

func TestEffortIsWhatThisProcessDid(t *testing.T) {
	m := newMeter(1)
	burnt, kept := time.Now(), [][]byte{}
	for time.Since(burnt) < 300*time.Millisecond { // real time: CPU is what is measured
		kept = append(kept, make([]byte, 1<<10))
	}
	runtime.GC()
	e := m.read(measure.Effort{Busy: 0.5})
	runtime.KeepAlive(kept)
	if e == nil {
		t.Fatal("this host doesn't tell of itself")
	}
	if e.CPU < 0.05 || e.Memory < 1<<20 || e.Allocations < uint64(len(kept)) || e.Pause <= 0 || e.Busy != 0.5 || e.Cores <= 0 || e.Cores > 1 {
		t.Errorf("got %+v", *e)
	}
}

func TestThrottledIsTheShareOfPeriodsSinceTheLastRead(t *testing.T) {
	periods, stopped, ok := uint64(100), uint64(50), true
	m := &meter{quota: func() (uint64, uint64, bool) { return periods, stopped, ok }}
	m.throttled()
	if m.throttled() != nil {
		t.Error("no period has passed, but a share is told")
	}
	periods, stopped = 110, 53
	if got := m.throttled(); got == nil || *got != 0.3 {
		t.Errorf("got %v, want 0.3", got)
	}
	if ok = false; m.throttled() != nil {
		t.Error("there is no quota, but a share is told")
	}
}

func TestADistributionTellsOnlyOfWhatIsNew(t *testing.T) {
	h := &metrics.Float64Histogram{Counts: []uint64{5, 0, 1, 0}, Buckets: []float64{0, 0.001, 0.01, 0.1, math.Inf(1)}}
	d := &distribution{}
	if got := d.longest(h); got != 100*time.Millisecond {
		t.Errorf("longest %v, want 100ms", got)
	}
	if got := d.longest(h); got != 0 {
		t.Errorf("nothing came, but the longest is %v", got)
	}
	h.Counts = []uint64{104, 1, 1, 0}
	if got := d.quantile(h, 0.99); got != time.Millisecond {
		t.Errorf("p99 %v, want 1ms", got)
	}
	h.Counts = []uint64{104, 1, 1, 1}
	if got := d.longest(h); got != 100*time.Millisecond {
		t.Errorf("in a bucket without end: %v, want its beginning", got)
	}
}

func TestCeilingIsMeasuredAndHeldAgainstThePlan(t *testing.T) {
	request, err := http1.NewRequest(experiment.Request{Method: "POST", Path: "/", Body: experiment.Literal("{}")}, "nobody:1")
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{
		Address: "nobody:1", Request: request, Timeout: time.Second, Status: []int{201}, Text: "prediction",
		Ramp: experiment.Ramp{stage(1000, 1000, 1000)}, Wait: constant(time.Second),
	}
	ceiling, err := Ceiling(t.Context(), plan)
	if err != nil || ceiling < 1000 {
		t.Fatalf("a ceiling of %.0f requests/s, %v", ceiling, err)
	}
	t.Logf("%.0f requests/s", ceiling)
	for _, c := range []struct {
		change func(*Plan)
		fits   bool
	}{
		{func(*Plan) {}, true},
		{func(p *Plan) { p.Wait = constant(0) }, true},
		{func(p *Plan) { p.Ramp = experiment.Ramp{stage(int(ceiling), 0, 1000)} }, false},
		{func(p *Plan) { p.Open = true; p.Ramp = experiment.Ramp{stage(int(0.7*ceiling), 0, 1000)} }, true},
		{func(p *Plan) { p.Open = true; p.Ramp = experiment.Ramp{stage(int(0.9*ceiling), 0, 1000)} }, false},
	} {
		p := plan
		c.change(&p)
		if err := p.Reaches(ceiling); (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "ask for fewer users") {
			t.Errorf("demand %.0f of %.0f: %v", p.Demand(), ceiling, err)
		}
	}
}

func TestBucketsEndWhereTheHistogramsSaySo(t *testing.T) {
	c := newCounts()
	free := make(chan *counts, 1)
	for _, us := range []int64{0, 1, 2047, 2048, 2049, 5000, 123456, 10_000_000, 3_599_999_999, 4_000_000_000} {
		d := time.Duration(us) * time.Microsecond
		record(c.response, d)
		w := c.window(free)
		got := w.Response.Max()
		if d = min(d, time.Hour); got < d || float64(got) > 1.001*float64(d)+float64(time.Microsecond) {
			t.Errorf("%v is told as %v", d, got)
		}
	}
}

func TestRowsOfAFeedAreSharedByAllLoops(t *testing.T) {
	const loops, rows = 3, 7
	seen := map[int]int{}
	for share := range loops {
		l := &loop{row: share, stride: loops, rows: rows}
		for range 7 {
			seen[l.nextRow()]++
		}
	}
	for row, n := range seen {
		if n != loops {
			t.Errorf("row %d was taken %d times, want %d", row, n, loops)
		}
	}
	if len(seen) != rows {
		t.Errorf("rows %v, want all %d", slices.Sorted(maps.Keys(seen)), rows)
	}
}
