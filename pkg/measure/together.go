package measure

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Together returns what several generators, who play one load between them,
// report of the same second, as if one had played all of it. Counts, users, cores
// and memory are summed; where it matters whether a generator kept up, the worst
// speaks for all. It is as late as the earliest.
func Together(ticks ...Tick) Tick {
	var all Tick
	var end Window
	deltas := map[time.Duration][]Window{}
	for i, t := range ticks {
		if i == 0 || t.At < all.At {
			all.At = t.At
		}
		var lag Histogram
		for _, delta := range t.Windows {
			end = end.beside(delta)
			lag.Merge(delta.Lag)
			delta.Length = 0 // what is known at its end isn't merged, but put side by side
			deltas[delta.Start] = append(deltas[delta.Start], delta)
		}
		if lag.Count() >= fewest {
			end.Late = max(end.Late, lag.Quantile(lateQuantile))
		}
	}
	for _, start := range slices.Sorted(maps.Keys(deltas)) {
		w := merged(deltas[start])
		if end.Length > 0 && start == end.Start {
			w.Merge(end)
		}
		all.Windows = append(all.Windows, w)
	}
	return all
}

// merged returns the sum of deltas of one window, at least one. It merges the
// small with the small, so that no big histogram is made for each.
func merged(deltas []Window) Window {
	if len(deltas) == 1 {
		return deltas[0]
	}
	half := len(deltas) / 2
	w := merged(deltas[:half])
	w.Merge(merged(deltas[half:]))
	return w
}

// The lateness of one of several generators is this quantile, of at least so
// many requests: fewer tell nothing about one in a hundred.
const (
	lateQuantile = 0.99
	fewest       = 100
)

// beside adds to what is known at a window's end, of some generators' share in
// it, what another's delta says of that; nothing if it hasn't ended there.
func (w Window) beside(other Window) Window {
	if other.Length == 0 {
		return w
	}
	return Window{
		Start: other.Start, Length: other.Length,
		Users: w.Users + other.Users, InFlight: w.InFlight + other.InFlight, Oldest: max(w.Oldest, other.Oldest),
		Late: max(w.Late, other.Late), Effort: w.Effort.beside(other.Effort), Network: w.Network.plus(other.Network),
	}
}

// beside returns the effort of both, as far as it is known.
func (e *Effort) beside(other *Effort) *Effort {
	if e == nil || other == nil {
		return cmp.Or(e, other)
	}
	return &Effort{
		CPU: e.CPU + other.CPU, Cores: e.Cores + other.Cores,
		Memory: e.Memory + other.Memory, Allocations: e.Allocations + other.Allocations,
		Busy: max(e.Busy, other.Busy), Turn: max(e.Turn, other.Turn), Pause: max(e.Pause, other.Pause), Scheduler: max(e.Scheduler, other.Scheduler),
		Throttled: worst(e.Throttled, other.Throttled), HostIdle: min(e.HostIdle, other.HostIdle), Steal: max(e.Steal, other.Steal),
		Elsewhere: e.Elsewhere.beside(other.Elsewhere),
	}
}

// worst returns the greater of what is known, nil where nothing is.
func worst(a, b *float64) *float64 {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return new(max(*a, *b))
}
