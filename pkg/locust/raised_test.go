package locust

import (
	"testing"
	"time"

	"sweep/pkg/measure"
)

// TestALocustfileThatFailsBeforeItAsksIsNotTheService checks five seconds of fifty
// users whose tasks raise an exception each second: before they ask, after an
// answer, and after a request that failed.
func TestALocustfileThatFailsBeforeItAsksIsNotTheService(t *testing.T) {
	for name, c := range map[string]struct {
		asked measure.Window
		own   uint64
	}{
		"before":         {measure.Window{}, 50},
		"after answers":  {measure.Window{Sent: 50, Done: 50}, 0},
		"after failures": {measure.Window{Sent: 60, Errors: map[measure.Class]uint64{measure.Refused: 60}}, 0},
	} {
		r := &run{master: &master{}, plan: Plan{Wait: time.Second}, tally: newTally(0)}
		for n := range 5 {
			r.next = n
			r.tally.second(int64(n)).Merge(c.asked)
			w := r.complete(second{Window: measure.Window{Start: time.Duration(n) * time.Second, Length: time.Second, Users: 50}, raised: 50})
			if w.Errors[measure.Own] != c.own || w.Failed() != c.asked.Failed() || w.Pending() != 0 {
				t.Errorf("%s: second %d has %v", name, n, w.Errors)
			}
			if w.InFlight != 0 {
				t.Errorf("%s: %d requests are said to be out", name, w.InFlight)
			}
		}
	}
}
