package load

import (
	"maps"
	"math/bits"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sweep/pkg/measure"
)

// The range and precision of recorded durations, in microseconds. Longer ones
// count as the longest.
const (
	longest = int64(time.Hour / time.Microsecond)
	digits  = 3
)

// recorder counts what a loop's users did, by the second in which it was due.
// Only the loop touches it; what take has handed over comes back by free.
type recorder struct {
	windows []*counts    // few, in no order: seconds that something happened in since the last take
	recent  *counts      // the one that was needed last
	free    chan *counts // empty ones, used again
}

// counts is a window's share of what happened since the last take. A second's
// durations fall into a few hundred buckets, so packed histograms are small.
type counts struct {
	second                                 int64
	sent, done, stale                      uint64
	errors                                 map[measure.Class]uint64
	statuses                               map[int]uint64
	connect, first, service, response, lag *hdrhistogram.PackedHistogram
}

func newCounts() *counts {
	empty := func() *hdrhistogram.PackedHistogram { return hdrhistogram.NewPacked(1, longest, digits) }
	return &counts{
		errors: map[measure.Class]uint64{}, statuses: map[int]uint64{},
		connect: empty(), first: empty(), service: empty(), response: empty(), lag: empty(),
	}
}

func newRecorder() *recorder {
	const kept = 16
	return &recorder{free: make(chan *counts, kept)}
}

// window returns the counts of the second in which due lies.
func (r *recorder) window(due time.Duration) *counts {
	second := int64(due / time.Second)
	if r.recent != nil && r.recent.second == second {
		return r.recent
	}
	for _, c := range r.windows {
		if c.second == second {
			r.recent = c
			return c
		}
	}
	var c *counts
	select {
	case c = <-r.free:
	default:
		c = newCounts()
	}
	c.second = second
	r.windows, r.recent = append(r.windows, c), c
	return c
}

// begin counts a request that the generator begins.
func (r *recorder) begin(due, start time.Duration) {
	c := r.window(due)
	c.sent++
	record(c.lag, start-due)
}

// settle counts how a request ended.
func (r *recorder) settle(s *stamps, class measure.Class, status int, stale bool) {
	c := r.window(s.due)
	if stale {
		c.stale++
	}
	if s.connect > 0 {
		record(c.connect, s.connect)
	}
	if class != "" {
		c.errors[class]++
		if class == measure.BadStatus {
			c.statuses[status]++
		}
		return
	}
	c.done++
	record(c.first, s.first-s.sent)
	record(c.service, s.done-s.send)
	record(c.response, s.done-s.due)
}

func record(h *hdrhistogram.PackedHistogram, d time.Duration) {
	// A value in range is always recorded.
	_ = h.RecordValue(min(max(d.Microseconds(), 0), longest))
}

// take returns what was counted since the last take.
func (r *recorder) take() []*counts {
	all := r.windows
	r.windows, r.recent = nil, nil
	return all
}

// window returns the counts as a delta of their window, empties them and gives
// them back.
func (c *counts) window(free chan<- *counts) measure.Window {
	w := measure.Window{
		Start: time.Duration(c.second) * time.Second, Sent: c.sent, Done: c.done, Stale: c.stale,
		Connect: drain(c.connect), First: drain(c.first), Service: drain(c.service), Response: drain(c.response), Lag: drain(c.lag),
	}
	if len(c.errors) > 0 {
		w.Errors = maps.Clone(c.errors)
		clear(c.errors)
	}
	if len(c.statuses) > 0 {
		w.Statuses = maps.Clone(c.statuses)
		clear(c.statuses)
	}
	c.sent, c.done, c.stale = 0, 0, 0
	select {
	case free <- c:
	default:
	}
	return w
}

// drain empties h into a histogram.
func drain(h *hdrhistogram.PackedHistogram) measure.Histogram {
	buckets := make([]measure.Bucket, 0, h.Populated())
	for value, count := range h.ForEachBucket {
		buckets = append(buckets, measure.Bucket{Value: time.Duration(highest(value)) * time.Microsecond, Count: uint64(count)})
	}
	h.Reset()
	return measure.NewHistogram(buckets...)
}

// highest returns the highest value that counts as the same as lowest, the
// lowest of its bucket: a bucket is as wide as three digits leave open.
func highest(lowest int64) int64 {
	const exact = 11 // bits: 2048 is the least power of two that tells 2 x 10^3 values apart
	return lowest + 1<<max(0, bits.Len64(uint64(lowest))-exact) - 1
}
