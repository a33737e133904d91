package analysis

import (
	"fmt"
	"slices"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// growth tells of memory that grows though users don't; else, where both grow,
// with what it grows. What is full can't grow, so that the time before tells more.
func growth(limits experiment.Limits, windows []measure.Window) []string {
	free := windows
	full := func(w measure.Window) bool {
		return w.Usage != nil && float64(w.Usage.Memory) >= memoryAtLimit*float64(limits.Memory)
	}
	if i := slices.IndexFunc(windows, full); i >= 0 {
		free = windows[:i]
	}
	for _, ws := range [][]measure.Window{free, windows} { // page cache may fill it too
		if g, ok := leak(limits, ws); ok {
			return []string{g.String()}
		}
	}
	return grows(limits, free)
}

// grows tells whether memory grows with the users, or with the requests that
// they have made so far, which on a ramp grow too, but ever faster. It is told
// only where memory follows the one closely, and the other clearly less so.
func grows(limits experiment.Limits, windows []measure.Window) []string {
	const (
		least   = 6    // windows
		notice  = 0.05 // of the limit
		closely = 0.95
		clearly = 4.0 // times as much left unexplained
	)
	var made uint64
	var users, requests []float64
	for _, w := range windows {
		made += w.Sent
		if w.Usage != nil {
			users, requests = append(users, float64(w.Users)), append(requests, float64(made))
		}
	}
	points := memories(windows, len(windows)+1)
	if len(points) < least || points[len(points)-1].bytes-points[0].bytes < notice*float64(limits.Memory) {
		return nil
	}
	each, byUsers := follows(points, users)
	every, byRequests := follows(points, requests)
	switch {
	case byRequests >= closely && 1-byUsers >= clearly*(1-byRequests):
		return []string{fmt.Sprintf("memory grew by %.0f KiB with each request so far, rather than with users, as a leak does", every/1024)}
	case byUsers >= closely && 1-byRequests >= clearly*(1-byUsers):
		return []string{fmt.Sprintf("memory grew by %.0f KiB with each user", each/1024)}
	}
	return nil
}

// follows returns by how much memory grows with each x, and how much of its
// growth that explains, 0 to 1 (least squares).
func follows(points []point, xs []float64) (slope, explained float64) {
	var mx, my, xx, xy, yy float64
	for i, p := range points {
		mx, my = mx+xs[i]/float64(len(points)), my+p.bytes/float64(len(points))
	}
	for i, p := range points {
		dx, dy := xs[i]-mx, p.bytes-my
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if xx == 0 || yy == 0 {
		return 0, 0
	}
	return xy / xx, xy * xy / (xx * yy)
}

// growing is memory that grows though the users don't.
type growing struct {
	speed float64       // bytes a second
	seen  time.Duration // how long it grew
	left  time.Duration // how much later it fills the limit
}

func (g growing) String() string {
	return fmt.Sprintf("memory grew by %.2f MiB/s over %.0f s though the load didn't: full %s later",
		g.speed/float64(experiment.MiB), g.seen.Seconds(), Short(g.left))
}

// leak finds memory that grows though the users don't, or false.
func leak(limits experiment.Limits, windows []measure.Window) (g growing, ok bool) {
	const (
		least  = 5    // windows
		most   = 300  // points, evenly taken: their pairs are what costs
		rising = 0.8  // share of the pairs of which the later is greater
		notice = 0.01 // of the limit
		ahead  = 60   // times as far as was seen, at most: of what comes later a slope tells nothing
		within = time.Hour
	)
	points := memories(steady(windows), most)
	if len(points) < least {
		return g, false
	}
	slope, rise := theilSen(points)
	first, last := points[0], points[len(points)-1]
	limit := float64(limits.Memory)
	if rise < rising || last.bytes-first.bytes < notice*limit || slope <= 0 {
		return g, false
	}
	g = growing{speed: slope, seen: seconds(last.at - first.at), left: seconds(max(0, limit-last.bytes) / slope)}
	return g, g.left < min(within, ahead*g.seen)
}

// leaks tells of memory that had been growing when the service failed.
func (l lead) leaks() []string {
	if g, ok := leak(l.limits, l.windows[:l.onset]); ok {
		return []string{g.String()}
	}
	return nil
}

// point is how much memory was used at an instant, in seconds.
type point struct{ at, bytes float64 }

// memories returns at most n of the windows' memories, the page cache left out
// where that is known of all.
func memories(windows []measure.Window, n int) []point {
	windows = slices.DeleteFunc(slices.Clone(windows), func(w measure.Window) bool { return w.Usage == nil })
	all := !slices.ContainsFunc(windows, func(w measure.Window) bool { return w.Usage.Anonymous == nil })
	var out []point
	for step := 1 + len(windows)/n; len(windows) > 0; windows = windows[min(step, len(windows)):] {
		w := windows[0]
		bytes := w.Usage.Memory
		if all {
			bytes = *w.Usage.Anonymous
		}
		out = append(out, point{w.End().Seconds(), float64(bytes)})
	}
	return out
}

// theilSen returns the median slope of all pairs, which no few outliers can
// change (Sen, "Estimates of the regression coefficient based on Kendall's
// tau", JASA 63, 1968), and the share of pairs that rise.
func theilSen(points []point) (slope, rising float64) {
	var slopes []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			s := (b.bytes - a.bytes) / (b.at - a.at)
			slopes = append(slopes, s)
			if s > 0 {
				rising++
			}
		}
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2], rising / float64(len(slopes))
}
