package load

import (
	"sync"
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

// recorder counts what the users did, by the second in which it was due. Its
// counts since the last look are taken out by flush.
type recorder struct {
	mu      sync.Mutex
	windows map[int64]*counts
	free    []*hdrhistogram.Histogram // empty ones, used again: each is large
}

// counts is a window's share of what happened since the last flush.
type counts struct {
	measure.Window
	first, service, response, lag *hdrhistogram.Histogram
}

func newRecorder() *recorder { return &recorder{windows: map[int64]*counts{}} }

func (r *recorder) window(due time.Duration) *counts {
	i := int64(due / time.Second)
	c := r.windows[i]
	if c == nil {
		c = &counts{Window: measure.Window{Start: time.Duration(i) * time.Second}}
		r.windows[i] = c
	}
	return c
}

// begin counts a request that the generator begins.
func (r *recorder) begin(s stamps) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.window(s.due)
	c.Sent++
	r.record(&c.lag, s.start-s.due)
}

// settle counts how a request ended.
func (r *recorder) settle(s stamps, class measure.Class, stale bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.window(s.due)
	if stale {
		c.Stale++
	}
	if class != "" {
		if c.Errors == nil {
			c.Errors = map[measure.Class]uint64{}
		}
		c.Errors[class]++
		return
	}
	c.Done++
	r.record(&c.first, s.first-s.sent)
	r.record(&c.service, s.done-s.send)
	r.record(&c.response, s.done-s.due)
}

func (r *recorder) record(h **hdrhistogram.Histogram, d time.Duration) {
	if *h == nil {
		if n := len(r.free); n > 0 {
			*h, r.free = r.free[n-1], r.free[:n-1]
		} else {
			*h = hdrhistogram.New(1, longest, digits)
		}
	}
	// A value in range is always recorded.
	_ = (*h).RecordValue(min(max(d.Microseconds(), 0), longest))
}

// flush returns what was counted since the last flush, a delta a window.
func (r *recorder) flush() []measure.Window {
	r.mu.Lock()
	windows := r.windows
	r.windows = map[int64]*counts{}
	r.mu.Unlock()
	var out []measure.Window
	for _, c := range windows {
		c.First, c.Service, c.Response, c.Lag = r.take(c.first), r.take(c.service), r.take(c.response), r.take(c.lag)
		out = append(out, c.Window)
	}
	return out
}

// take empties h into a histogram and puts it aside for the next window.
func (r *recorder) take(h *hdrhistogram.Histogram) measure.Histogram {
	if h == nil {
		return measure.Histogram{}
	}
	var buckets []measure.Bucket
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			buckets = append(buckets, measure.Bucket{Value: time.Duration(bar.To) * time.Microsecond, Count: uint64(bar.Count)})
		}
	}
	h.Reset()
	r.mu.Lock()
	r.free = append(r.free, h)
	r.mu.Unlock()
	return measure.NewHistogram(buckets...)
}
