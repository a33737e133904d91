package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkLivePages tells what ten open pages cost the sweep's own process, in
// hundredths of a core: sweeps of two trials with and without them take turns, and the
// middle of three differences counts.
func BenchmarkLivePages(b *testing.B) {
	const pages, rounds = 10, 3
	for b.Loop() {
		var extra []float64
		for range rounds {
			without, length := watchedSweep(b, 0)
			with, _ := watchedSweep(b, pages)
			extra = append(extra, 100*(with-without).Seconds()/length.Seconds())
		}
		slices.Sort(extra)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(extra[rounds/2], "%core/10pages")
	}
}

// watchedSweep runs a sweep that so many pages look at, none of them where it
// has no live page, and returns the CPU time it took, and how long it ran.
func watchedSweep(b *testing.B, pages int) (cpu, length time.Duration) {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	text := experimentWith("MEMORY=100M, 110M", "TARGET=100", "RAMP=20s", "HOLD=5s")
	if err := os.WriteFile(filepath.Join(dir, "small.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	args := []string{"run", "small.yaml"}
	if pages > 0 {
		args = append(args, "--ui")
	}
	cmd := command(b.Context(), path, dir, args...)
	said, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var open sync.WaitGroup
	seen := 0
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "Live page: "); ok {
			for range pages {
				seen++
				open.Go(func() { attend(ctx, url) })
			}
		}
	}
	if err := cmd.Wait(); err != nil || seen != pages {
		b.Fatalf("%v; %d pages", err, seen)
	}
	length = time.Since(began)
	cancel()
	open.Wait()
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), length
}

// attend does what a page does: it reads the events, and fetches the page anew for
// each trial that begins. It ends with the sweep.
func attend(ctx context.Context, url string) {
	get := func(url string) io.ReadCloser {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil
		}
		return resp.Body
	}
	events := get(url + "events")
	if events == nil {
		return
	}
	defer events.Close()
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch text := lines.Text(); {
		case strings.HasPrefix(text, `data: {"number":`) && strings.HasSuffix(text, `"scene":null}`):
			if page := get(url + "?view=cell-1"); page != nil {
				_, _ = io.Copy(io.Discard, page)
				page.Close()
			}
		case text == "event: end":
			return
		}
	}
}
