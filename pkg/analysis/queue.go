package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"sweep/pkg/measure"
)

// backlog tells of connections that found the accept queue full, in at least
// two of three windows.
func (l lead) backlog() []string {
	if _, ok := l.crossing(turnedAway, present); !ok {
		return nil
	}
	all := measure.Window{}
	for _, w := range l.windows[l.from:] {
		all.Merge(w)
	}
	var out []string
	if n := all.Network; n != nil && n.ListenOverflows+n.ListenDrops > 0 {
		out = append(out, fmt.Sprintf("its accept queue was full for %d connections, and %d were dropped", n.ListenOverflows, n.ListenDrops))
	}
	if again, slow := retried(all.Connect); again {
		out = append(out, fmt.Sprintf("%d of %d connections took whole seconds to open: they were dropped and tried again", slow, all.Connect.Count()))
	}
	return out
}

func turnedAway(w measure.Window) told {
	dropped := w.Network != nil && w.Network.ListenOverflows+w.Network.ListenDrops > 0
	if again, _ := retried(w.Connect); again || dropped {
		return present
	}
	return absent
}

// retried reports whether connections were dropped and tried again: the kernel
// does so after whole seconds (1, 3, 7; since Linux 6.5 also between), so that
// those that take long take little more than those. slow is how many take long.
func retried(h measure.Histogram) (again bool, slow uint64) {
	const (
		jitter = 200 * time.Millisecond
		most   = 0.8
		some   = 0.01
	)
	var whole uint64
	for _, b := range h.Buckets() {
		if b.Value < time.Second {
			continue
		}
		slow += b.Count
		if b.Value%time.Second < jitter {
			whole += b.Count
		}
	}
	return whole > 0 && float64(whole) >= most*float64(slow) && float64(slow) >= some*float64(h.Count()), slow
}

// What a cap on concurrency looks like.
const (
	queuedTimes = 2.0 // what an answer takes at low load: from there on requests wait for one another
	queuedLeast = 3   // windows in which they do
	plateau     = 0.2 // of the slope at low load: answers don't grow
	collapse    = 0.8 // of the answers: with fewer it isn't capped, but breaks down
)

// capped tells of answers that don't grow with the load, though requests wait
// and nothing that the limits give is used up. By Little's law as many are
// worked on at a time as are answered while one takes at low load.
func (l lead) capped() []string {
	low, full := l.queued()
	if len(full) < queuedLeast || !l.relaxed() {
		return nil
	}
	before, early, late := flow(low), flow(full[:len(full)/2]), flow(full[len(full)/2:])
	if before.load == 0 || late.load <= early.load || late.answers < collapse*early.answers || late.answers == 0 {
		return nil
	}
	if (late.answers-early.answers)/(late.load-early.load) >= plateau*before.answers/before.load {
		return nil
	}
	says := []string{
		fmt.Sprintf("%s answers/s though the load grew from %s to %s %s, while CPU and memory were idle", whole(late.answers), whole(early.load), whole(late.load), l.unit),
		fmt.Sprintf("an answer takes %s at low load, so about %s at a time: workers, a lock, or what it waits for", Short(l.service), whole(max(1, late.answers*l.service.Seconds()))),
	}
	all := l.failing()
	if len(all.Statuses) > 0 {
		says = append(says, statuses(all, slices.Sorted(maps.Keys(all.Statuses))...))
	}
	if all.Network == nil {
		says = append(says, "whether its accept queue was full isn't known")
	}
	return says
}

// queued parts the windows in which requests waited for one another, to the
// end, from those before.
func (l lead) queued() (low, full []measure.Window) {
	from := len(l.windows)
	if l.service == 0 { // what an answer takes isn't known
		return l.windows, nil
	}
	for ; from > 0; from-- {
		h := l.windows[from-1].Response
		if !h.IsZero() && float64(h.Mean()) < queuedTimes*float64(l.service) {
			break
		}
	}
	return l.windows[:from], l.windows[from:]
}

// whole writes x without a fraction.
func whole(x float64) string { return Thousands(int(math.Round(x))) }

// flowing is what windows had on average.
type flowing struct{ load, answers float64 } // users, or arrivals a second; answers a second

func flow(windows []measure.Window) (f flowing) {
	var length float64
	for _, w := range windows {
		length += w.Length.Seconds()
		f.load += float64(w.Users) * w.Length.Seconds()
		f.answers += float64(w.Answered)
	}
	if length > 0 {
		f.load, f.answers = f.load/length, f.answers/length
	}
	return f
}
