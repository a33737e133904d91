package analysis_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// TestOnsets checks that each is told once, when it first shows, and that one
// second of a shortage is none.
func TestOnsets(t *testing.T) {
	limits := experiment.Limits{CPU: 1e9, Memory: 100 * experiment.MiB}
	var windows []measure.Window
	for i := range 12 {
		windows = append(windows, measure.Window{
			Start: time.Duration(i) * time.Second, Length: time.Second,
			Usage: &measure.Usage{CPU: 0.5, Memory: 50 * experiment.MiB, Throttled: new(0.1), Faults: new(0.0)}, Network: &measure.Network{},
		})
	}
	windows[1].Usage.CPU = 1 // for a second only
	windows[4].Usage.CPU, windows[6].Usage.CPU = 0.95, 0.99
	windows[5].Usage.Throttled, windows[6].Usage.Throttled = new(0.3), new(0.9)
	windows[7].Usage, windows[8].Usage = nil, nil // not told
	windows[9].Usage.Memory, windows[10].Usage.Memory = 96*experiment.MiB, 99*experiment.MiB
	windows[10].Network.ListenOverflows = 3
	windows[11].Errors = map[measure.Class]uint64{measure.Own: 5}
	got := analysis.Onsets(measure.Result{Trial: experiment.Trial{Limits: limits}, Series: measure.Series{Windows: windows}})
	want := []analysis.Onset{
		{What: "CPU at its limit", At: 4 * time.Second},
		{What: "often stopped by its CPU limit", At: 5 * time.Second},
		{What: "memory at its limit", At: 9 * time.Second},
		{What: "accept queue full", At: 10 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := analysis.Onsets(measure.Result{}); len(none) > 0 {
		t.Errorf("of no seconds: %v", none)
	}
}
