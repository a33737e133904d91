package analysis

import (
	"time"

	"sweep/pkg/measure"
)

// Onset is the first time that a trial shows something which may tell why it
// failed. It isn't the cause: [Judge] holds them against each other.
type Onset struct {
	What string
	At   time.Duration // since the load began
}

// Onsets returns the onsets of a trial. A shortage shows where
// one of the next two windows has it as well: one second alone tells little.
func Onsets(r measure.Result) []Onset {
	l := lead{limits: r.Trial.Limits}
	used := func(most func(*measure.Usage) bool) func(measure.Window) bool {
		return func(w measure.Window) bool { return w.Usage != nil && most(w.Usage) }
	}
	windows := ended(r.Series.Windows)
	var out []Onset
	for _, s := range []struct {
		what    string
		shows   func(measure.Window) bool
		lasting bool
	}{
		{"CPU at its limit", used(func(u *measure.Usage) bool { return l.limits.CPU > 0 && l.cpu(u) >= cpuAtLimit }), true},
		{"often stopped by its CPU limit", used(func(u *measure.Usage) bool { return u.Throttled != nil && *u.Throttled >= throttledOften }), true},
		{"memory at its limit", used(func(u *measure.Usage) bool { return l.limits.Memory > 0 && l.memory(u) >= memoryAtLimit }), true},
		{"page faults", used(func(u *measure.Usage) bool { return u.Faults != nil && *u.Faults >= faultsOften }), true},
		{"accept queue full", func(w measure.Window) bool { return w.Network != nil && w.Network.ListenOverflows > 0 }, false},
		{"requests fail", func(w measure.Window) bool { return w.Failed() > 0 }, false},
	} {
		shows := func(i int) bool { return i < len(windows) && s.shows(windows[i]) }
		for i := range windows {
			if shows(i) && (!s.lasting || shows(i+1) || shows(i+2)) {
				out = append(out, Onset{s.what, windows[i].Start})
				break
			}
		}
	}
	return out
}
