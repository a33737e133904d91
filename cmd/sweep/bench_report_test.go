package main

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

// BenchmarkReport tells what it takes to judge a run and remake its report:
// 1,000 trials of 180 seconds with up to 1,000 requests each. The bar is 5 s and
// 300 MiB on two cores.
func BenchmarkReport(b *testing.B) {
	dir := b.TempDir()
	recordMany(b, dir)
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
		b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s") // what tells on a machine that others use
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			b.ReportMetric(float64(usage.Maxrss)/1024, "peak-MiB")
		}
	}
	b.ReportMetric(5, "bar-s")
	b.ReportMetric(300, "bar-MiB")
	b.ReportMetric(0, "ns/op")
}

const many = `version: 1
name: api
service: {image: x, port: 80}
request: {path: /, timeout: 5s}
matrix:
  cpus: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]
  memory: [100M, 200M, 300M, 400M, 500M, 600M, 700M, 800M, 900M, 1000M]
users: {target: 1000, ramp: 170s, hold: 10s}
search: {repeats: 4}
`

// recordMany records four starts of each of 250 cells, of which those with few
// CPUs fail before they have all users.
func recordMany(b *testing.B, root string) {
	b.Helper()
	e, err := experiment.Parse("q.yaml", []byte(many), os.LookupEnv)
	if err != nil {
		b.Fatal(err)
	}
	run, err := store.Create(root, e, measure.Manifest{Schema: store.ManifestSchema, Run: "20261123T101500Z", Host: measure.Host{CPUs: 128}})
	if err != nil {
		b.Fatal(err)
	}
	defer run.Close()
	for i, limits := range e.Matrix.Cells() {
		series := manySeconds(rand.New(rand.NewPCG(1, uint64(i))), limits)
		for n := range e.Search.Repeats {
			err := run.Put(measure.Result{
				Schema: measure.Schema, Ready: true, Loaded: time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC),
				Trial: experiment.Trial{Limits: limits, Replicate: n + 1}, Series: series,
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// manySeconds returns the seconds of a service that queues: it carries 880 users
// with one CPU and 40 more with each further one.
func manySeconds(random *rand.Rand, limits experiment.Limits) measure.Series {
	const seconds = 180
	s := measure.Series{At: seconds * time.Second}
	capacity := 840 + 40*limits.CPU.Float()
	for i := range seconds {
		users := min(1000, 6*(i+1))
		load := min(0.995, float64(users)/capacity)
		took := sample(random, users, 8*time.Millisecond/time.Duration(math.Ceil(200*(1-load)))*200, 0.3)
		first := sample(random, users, 7*time.Millisecond/time.Duration(math.Ceil(200*(1-load)))*200, 0.3)
		n := uint64(users)
		s.Windows = append(s.Windows, measure.Window{
			Start: time.Duration(i) * time.Second, Length: time.Second, Users: users, Sent: n, Done: n, Answered: n,
			Connect: sample(random, min(6, users), 40*time.Microsecond, 0.5), First: first, Service: took, Response: took,
			Lag:     sample(random, users, 30*time.Microsecond, 1),
			Effort:  &measure.Effort{CPU: 0.1 * random.Float64(), Cores: 1, Busy: 0.1 * random.Float64(), Memory: 30 * experiment.MiB, Allocations: 60, HostIdle: 0.3 + 0.1*random.Float64()},
			Usage:   &measure.Usage{CPU: load * limits.CPU.Float(), Throttled: new(load * load / 4), Memory: 80*experiment.MiB + experiment.Bytes(random.IntN(1e6)), PIDs: 41, Anonymous: new(70 * experiment.MiB), Faults: new(random.Float64()), Pressure: &measure.Pressure{CPU: load / 10}},
			Network: &measure.Network{},
		})
	}
	return s
}

// sample returns how long n requests took, as exact as a recorder is that keeps
// seven bits: lognormal about a median.
func sample(random *rand.Rand, n int, median time.Duration, sigma float64) measure.Histogram {
	buckets := make([]measure.Bucket, n)
	for i := range buckets {
		µs := uint64(float64(median.Microseconds()) * math.Exp(sigma*random.NormFloat64()))
		shift := max(0, bits.Len64(µs)-8)
		buckets[i] = measure.Bucket{Value: time.Duration(µs>>shift<<shift|(1<<shift-1)) * time.Microsecond, Count: 1}
	}
	return measure.NewHistogram(buckets...)
}
