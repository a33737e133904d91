package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sweep/pkg/measure"
)

// BenchmarkOrchestration tells what a trial costs besides its load: its whole
// time less the ramp and the hold. The service's own boot is still in it, but
// that of the predictor is some ten milliseconds.
func BenchmarkOrchestration(b *testing.B) {
	const load = 4 * time.Second
	for b.Loop() {
		dir := b.TempDir()
		runSmall(b, dir)
		trials, err := filepath.Glob(filepath.Join(dir, "results/small/*/trials/*.json"))
		if err != nil || len(trials) != 5 {
			b.Fatalf("%d trials, %v", len(trials), err)
		}
		var start, boot, stop, overhead []time.Duration
		for _, path := range trials {
			var r measure.Result
			text, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(text, &r)
			}
			if err != nil {
				b.Fatal(err)
			}
			start, boot, stop = append(start, r.Took.Start), append(boot, r.Took.Boot), append(stop, r.Took.Stop)
			overhead = append(overhead, r.Took.Total-load)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(start), "start-s")
		b.ReportMetric(median(boot), "boot+agent-s")
		b.ReportMetric(median(stop), "stop-s")
		b.ReportMetric(median(overhead), "overhead-s/trial")
	}
}

func runSmall(b *testing.B, dir string) {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	text := experimentWith("MEMORY=100M, 110M, 120M, 130M, 140M")
	if err := os.WriteFile(filepath.Join(dir, "small.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := command(b.Context(), path, dir, "run", "small.yaml", "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)/2].Seconds()
}
