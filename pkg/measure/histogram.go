package measure

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Histogram counts durations in buckets. It holds only the buckets that have
// something in them, sorted by value, so that a second of measurement costs a
// few hundred bytes and merging is exact. A recorder decides how fine the
// buckets are; Histogram takes them as they come. The zero value is empty.
type Histogram struct {
	buckets []Bucket
}

// Bucket is a duration and how often it was seen.
type Bucket struct {
	Value time.Duration // the longest duration that falls into the bucket; at least 0
	Count uint64
}

// NewHistogram returns the histogram of buckets, which may come in any order.
// Durations are kept in whole microseconds.
func NewHistogram(buckets ...Bucket) Histogram {
	return Histogram{buckets: sorted(buckets)}
}

func sorted(buckets []Bucket) []Bucket {
	bs := make([]Bucket, 0, len(buckets))
	for _, b := range buckets {
		if b.Count > 0 {
			bs = append(bs, Bucket{Value: max(0, b.Value).Truncate(time.Microsecond), Count: b.Count})
		}
	}
	slices.SortStableFunc(bs, func(a, b Bucket) int { return int(a.Value - b.Value) })
	out := bs[:0]
	for _, b := range bs {
		if n := len(out); n > 0 && out[n-1].Value == b.Value {
			out[n-1].Count += b.Count
			continue
		}
		out = append(out, b)
	}
	return out
}

// Buckets returns what is in h, from the shortest duration to the longest.
func (h Histogram) Buckets() []Bucket { return slices.Clone(h.buckets) }

// IsZero reports whether h is empty, so that JSON may leave it out.
func (h Histogram) IsZero() bool { return len(h.buckets) == 0 }

// Merge adds what is in other. Buckets are never changed in place, so that
// histograms may share them: a verdict on hours of windows, made anew every
// second, copies next to nothing.
func (h *Histogram) Merge(other Histogram) {
	a, b := h.buckets, other.buckets
	if len(a) == 0 || len(b) == 0 {
		if len(a) == 0 {
			h.buckets = b
		}
		return
	}
	merged := make([]Bucket, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Value < b[0].Value:
			merged, a = append(merged, a[0]), a[1:]
		case a[0].Value > b[0].Value:
			merged, b = append(merged, b[0]), b[1:]
		default:
			merged = append(merged, Bucket{Value: a[0].Value, Count: a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	h.buckets = append(append(merged, a...), b...)
}

// Count returns how many durations h holds.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, b := range h.buckets {
		n += b.Count
	}
	return n
}

// Above returns how many durations are longer than limit.
func (h Histogram) Above(limit time.Duration) uint64 {
	var n uint64
	for _, b := range slices.Backward(h.buckets) {
		if b.Value <= limit {
			break
		}
		n += b.Count
	}
	return n
}

// Quantile returns the q-quantile by the nearest-rank rule: the least value
// that at least a share of q of all durations doesn't exceed. It is 0 where h
// is empty. q is from 0 to 1.
func (h Histogram) Quantile(q float64) time.Duration {
	rank, seen := uint64(math.Ceil(q*float64(h.Count()))), uint64(0)
	for _, b := range h.buckets {
		if seen += b.Count; seen >= rank {
			return b.Value
		}
	}
	return 0
}

// Max returns the longest duration, 0 where h is empty.
func (h Histogram) Max() time.Duration {
	if len(h.buckets) == 0 {
		return 0
	}
	return h.buckets[len(h.buckets)-1].Value
}

// Mean returns the mean duration, 0 where h is empty.
func (h Histogram) Mean() time.Duration {
	sum, n := 0.0, 0.0
	for _, b := range h.buckets {
		sum += float64(b.Value) * float64(b.Count)
		n += float64(b.Count)
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n)
}

// MarshalJSON writes h as one base64 string: for each bucket two unsigned
// varints, the microseconds since the bucket before it and the count.
func (h Histogram) MarshalJSON() ([]byte, error) {
	buf := make([]byte, 0, 4*len(h.buckets))
	last := time.Duration(0)
	for _, b := range h.buckets {
		buf = binary.AppendUvarint(buf, uint64((b.Value-last)/time.Microsecond))
		buf = binary.AppendUvarint(buf, b.Count)
		last = b.Value
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(buf))
}

var errCutOff = errors.New("histogram is cut off")

// UnmarshalJSON reads what [Histogram.MarshalJSON] writes.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	buf, err := base64.StdEncoding.AppendDecode(nil, bytes.Trim(text, `"`))
	if err != nil { // it may be written in another way
		if err := json.Unmarshal(text, &buf); err != nil {
			return fmt.Errorf("reading a histogram: %w", err)
		}
	}
	h.buckets = make([]Bucket, 0, len(buf)/2) // each takes at least two bytes
	last := time.Duration(0)
	for len(buf) > 0 {
		step, n := binary.Uvarint(buf)
		if n <= 0 {
			return errCutOff
		}
		count, m := binary.Uvarint(buf[n:])
		if m <= 0 || step > math.MaxInt64/uint64(time.Microsecond) {
			return errCutOff
		}
		last += time.Duration(step) * time.Microsecond
		h.buckets = append(h.buckets, Bucket{Value: last, Count: count})
		buf = buf[n+m:]
	}
	return nil
}
