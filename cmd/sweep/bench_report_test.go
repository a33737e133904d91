package main

import (
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

// BenchmarkReport tells what it takes to judge a run and remake its report: 100
// trials of 180 seconds, whose answers take sixty different times.
func BenchmarkReport(b *testing.B) {
	dir := b.TempDir()
	recordMany(b, dir, 10, 10, 180)
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := command(b.Context(), path, dir, "report", ".", "--format", "json")
		began := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "report-s")
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MiB")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// recordMany records a run of so many cells, each started so often, for so many
// seconds in which answers take as many different times as they do in truth.
func recordMany(b *testing.B, root string, cells, starts, seconds int) {
	b.Helper()
	e, err := experiment.Parse("q.yaml", []byte(reported), os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	run, err := store.Create(root, e, measure.Manifest{Schema: store.ManifestSchema, Run: "20261123T101500Z", Host: measure.Host{CPUs: 128}})
	if err != nil {
		b.Fatal(err)
	}
	defer run.Close()
	series := manySeconds(seconds)
	for i := range cells {
		for n := range starts {
			err := run.Put(measure.Result{
				Schema: measure.Schema, Ready: true, Loaded: time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC),
				Trial:  experiment.Trial{Limits: experiment.Limits{CPU: experiment.CPUs(i+1) * 1e9, Memory: 200 * experiment.MiB}, Replicate: n + 1},
				Series: series,
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func manySeconds(seconds int) measure.Series {
	s := measure.Series{At: time.Duration(seconds) * time.Second}
	for i := range seconds {
		n := min(1000, 10*(i+1))
		var buckets []measure.Bucket
		done := uint64(0)
		for k := range 60 {
			x := float64(k)/6 - 5
			count := uint64(float64(n) / 15 * math.Exp(-x*x/2))
			buckets = append(buckets, measure.Bucket{Value: time.Duration(float64(10*time.Millisecond) * math.Pow(10, x/4)), Count: count})
			done += count
		}
		h := measure.NewHistogram(buckets...)
		s.Windows = append(s.Windows, measure.Window{
			Start: time.Duration(i) * time.Second, Length: time.Second, Users: n, Sent: done, Done: done, Answered: done,
			Service: h, Response: h, First: h, Lag: h,
			Usage: &measure.Usage{CPU: 0.5, Memory: 100 * experiment.MiB},
		})
	}
	return s
}
