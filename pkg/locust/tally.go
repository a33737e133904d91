package locust

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"sweep/pkg/measure"
)

// tally sorts what workers tell into the seconds in which it happened, counted
// from when the load began. It is a pure fold, without a clock.
//
// A worker tells every three seconds. How many requests ended in which second
// is exact. How long they took, and why they failed, is of all three together:
// it is dealt out to the seconds evenly, so that a second's quantiles are a mean
// of up to four seconds'. Response times are of failed requests too.
type tally struct {
	began   int64 // Unix time
	seconds map[int]*measure.Window
}

func newTally(began int64) *tally { return &tally{began: began, seconds: map[int]*measure.Window{}} }

// add takes in what a worker tells. Of seconds before the load began nothing is
// kept.
func (t *tally) add(s statistics) {
	at := slices.Sorted(maps.Keys(s.Total.PerSecond))
	ended, failed := make([]uint64, len(at)), make([]uint64, len(at))
	for i, second := range at {
		ended[i] = s.Total.PerSecond[second]
		failed[i] = min(ended[i], s.Total.Failed[second])
	}
	times, classes := deal(s.Total.Times, ended), dealClasses(s.Errors, failed)
	for i, second := range at {
		w := t.second(int64(second) - t.began)
		if w == nil {
			continue
		}
		w.Merge(measure.Window{
			Sent: ended[i], Done: ended[i] - failed[i], Response: histogram(times[i]),
			Errors: classes[i].errors, Statuses: classes[i].statuses,
		})
	}
}

// second returns the window of a second, nil before the load began.
func (t *tally) second(n int64) *measure.Window {
	if n < 0 || n > math.MaxInt32 {
		return nil
	}
	w := t.seconds[int(n)]
	if w == nil {
		w = &measure.Window{Start: time.Duration(n) * time.Second}
		t.seconds[int(n)] = w
	}
	return w
}

// take returns what is known of a second and hasn't been taken.
func (t *tally) take(n int) measure.Window {
	w := *t.second(int64(n))
	delete(t.seconds, n)
	return w
}

// late returns what was told of seconds before n after they had been taken.
func (t *tally) late(n int) []measure.Window {
	var late []measure.Window
	for _, second := range slices.Sorted(maps.Keys(t.seconds)) {
		if second < n {
			late = append(late, t.take(second))
		}
	}
	return late
}

// deal deals counts out to places that have room for so many each. Each place
// gets its share of every key and of all keys up to it, to within one: a second
// doesn't get all the slow requests for being the longest. What there is no room
// for is dealt to no place.
func deal[K cmp.Ordered](counts map[K]uint64, room []uint64) []map[K]uint64 {
	dealt, total := make([]map[K]uint64, len(room)), uint64(0)
	for i := range dealt {
		dealt[i] = map[K]uint64{}
		total += room[i]
	}
	owed, left := make([]float64, len(room)), slices.Clone(room)
	give := func(i int, key K, n uint64) {
		if n > 0 {
			dealt[i][key] += n
			left[i] -= n
			owed[i] -= float64(n)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		n := min(counts[key], sum(left))
		for i := range room {
			owed[i] += float64(n) * float64(room[i]) / float64(total)
		}
		rest := n
		for i := range room {
			whole := min(uint64(max(0, owed[i])), left[i], rest)
			give(i, key, whole)
			rest -= whole
		}
		for ; rest > 0; rest-- {
			give(neediest(owed, left), key, 1)
		}
	}
	return dealt
}

// neediest returns the place with room that is owed most.
func neediest(owed []float64, left []uint64) int {
	best := -1
	for i := range owed {
		if left[i] > 0 && (best < 0 || owed[i] > owed[best]) {
			best = i
		}
	}
	return best
}

func sum(ns []uint64) uint64 {
	total := uint64(0)
	for _, n := range ns {
		total += n
	}
	return total
}

func histogram(millis map[float64]uint64) measure.Histogram {
	buckets := make([]measure.Bucket, 0, len(millis))
	for ms, n := range millis {
		buckets = append(buckets, measure.Bucket{Value: time.Duration(ms * float64(time.Millisecond)), Count: n})
	}
	return measure.NewHistogram(buckets...)
}

// kinds are failed requests of a second.
type kinds struct {
	errors   map[measure.Class]uint64
	statuses map[int]uint64
}

// dealClasses deals failures out to the seconds in which so many failed. Those
// that no error speaks of are wrong content: the locustfile's own check.
func dealClasses(failures map[string]failure, failed []uint64) []kinds {
	words := map[string]uint64{}
	for _, f := range failures {
		words[f.Error] += uint64(f.Occurrences)
	}
	out := make([]kinds, len(failed))
	for i, dealt := range deal(words, failed) {
		k := kinds{map[measure.Class]uint64{}, map[int]uint64{}}
		told := uint64(0)
		for text, n := range dealt {
			class, status := classify(text)
			k.errors[class] += n
			if status != 0 {
				k.statuses[status] += n
			}
			told += n
		}
		if rest := failed[i] - told; rest > 0 {
			k.errors[measure.BadContent] += rest
		}
		out[i] = k
	}
	return out
}
