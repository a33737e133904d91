package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// stats asks for one record of a container's counters. Of a container that
// isn't running the engine answers with a record whose Read is zero.
func (e *Engine) stats(ctx context.Context, id string) (container.StatsResponse, error) {
	var record container.StatsResponse
	resp, err := e.docker.ContainerStatsOneShot(ctx, id) // without one-shot the engine takes a second or two
	if err != nil {
		return record, fmt.Errorf("ask for the usage of container %s: %w", id, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&record); err != nil {
		return record, fmt.Errorf("read the usage of container %s: %w", id, err)
	}
	return record, nil
}

// A meter keeps the latest of a container's counters, of which the engine
// makes a record a second. To ask for each record apart won't do: some engines
// let a second pass between two answers, so that who asks once a second falls
// further and further behind.
type meter struct {
	cancel context.CancelFunc
	done   chan struct{} // closed once listening has ended
	stalls func() *measure.Stalls

	mu    sync.Mutex
	last  measure.Counters
	heard time.Time // when last was told, by this process's clock
	ended bool      // the engine tells no more
}

// meter begins to listen, with first until the engine tells something newer.
// It goes on, whatever becomes of ctx, until close.
func (e *Engine) meter(ctx context.Context, id string, first measure.Counters) *meter {
	listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &meter{cancel: cancel, done: make(chan struct{}), stalls: stallsOf(groups, id), last: first, heard: time.Now()}
	m.last.Stalls = m.stalls()
	go m.listen(listening, e, id)
	return m
}

func (m *meter) listen(ctx context.Context, e *Engine, id string) {
	defer close(m.done)
	defer m.end()
	resp, err := e.docker.ContainerStats(ctx, id, true)
	if err != nil {
		return // whoever reads the meter finds out why
	}
	defer resp.Body.Close()
	for decoder := json.NewDecoder(resp.Body); ; {
		var record container.StatsResponse
		if decoder.Decode(&record) != nil {
			return
		}
		m.see(record)
	}
}

func (m *meter) see(record container.StatsResponse) {
	// Of a container that has died some engines go on to tell, but nothing.
	if record.Read.IsZero() || record.CPUStats.CPUUsage.TotalUsage == 0 {
		return
	}
	told := counters(record)
	told.Stalls = m.stalls()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.heard = told, time.Now()
}

func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
}

// silentAfter is how long an engine may tell nothing before it counts as hung.
const silentAfter = 30 * time.Second

// read returns the latest counters, and whether there will be no more: the
// engine has ended, or has told nothing for so long that it hangs.
func (m *meter) read() (last measure.Counters, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, m.ended || time.Since(m.heard) > silentAfter
}

// close ends the listening and returns when it has ended.
func (m *meter) close() {
	m.cancel()
	<-m.done
}

// counters returns what a record says, and what it doesn't say as nil.
func counters(s container.StatsResponse) measure.Counters {
	c := measure.Counters{
		Read:   s.Read,
		CPU:    time.Duration(s.CPUStats.CPUUsage.TotalUsage),
		Memory: workingSet(s.MemoryStats),
		PIDs:   s.PidsStats.Current,
	}
	// Podman always says 0 periods. Docker says so only until the first
	// period has passed, so nothing is lost by not believing in 0.
	if t := s.CPUStats.ThrottlingData; t.Periods > 0 {
		c.Periods, c.Throttled = &t.Periods, &t.ThrottledPeriods
	}
	if s.MemoryStats.MaxUsage > 0 { // the API doesn't have it on cgroup v2
		peak := experiment.Bytes(s.MemoryStats.MaxUsage)
		c.Peak = &peak
	}
	if anonymous, ok := either(s.MemoryStats.Stats, "total_rss", "anon"); ok {
		c.Anonymous = new(experiment.Bytes(anonymous))
	}
	if faults, ok := either(s.MemoryStats.Stats, "total_pgmajfault", "pgmajfault"); ok {
		c.Faults = &faults
	}
	return c
}

// either returns what is told under the name of cgroup v1 or, where that isn't
// there, of v2. Podman tells neither.
func either(stats map[string]uint64, v1, v2 string) (n uint64, ok bool) {
	if n, ok = stats[v1]; !ok {
		n, ok = stats[v2]
	}
	return n, ok
}

// workingSet returns the memory in use without page cache that the kernel
// would drop rather than kill a process.
func workingSet(m container.MemoryStats) experiment.Bytes {
	inactive, _ := either(m.Stats, "total_inactive_file", "inactive_file")
	return experiment.Bytes(m.Usage - min(m.Usage, inactive))
}
