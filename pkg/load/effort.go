package load

import (
	"bytes"
	"math"
	"os"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// NewMeter returns what tells, each time that it is called, of what this process
// and its host did since the last call: for another generator's agent. It
// returns nil where the host doesn't tell of itself.
func NewMeter() func() *measure.Effort {
	m := newMeter(1)
	return func() *measure.Effort { return m.read(measure.Effort{}) }
}

// meter reads what the load costs this process and its host, between one read
// and the next.
type meter struct {
	cores     float64
	quota     func() (periods, throttled uint64, ok bool)
	at        time.Time
	cpu       time.Duration
	host      hostTicks
	stops     [2]uint64 // periods of the CPU quota, and those in which it stopped us
	sample    []metrics.Sample
	allocated uint64 // objects, since the process began
	pauses    *distribution
	delays    *distribution
}

// newMeter returns a meter of this process. threads is how many loops it has.
func newMeter(threads int) *meter {
	m := &meter{
		cores: min(float64(threads), allowed()), quota: quota,
		pauses: &distribution{}, delays: &distribution{},
		sample: []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/latencies:seconds"}, {Name: "/gc/heap/allocs:objects"}},
	}
	m.read(measure.Effort{})
	return m
}

// read completes e, which says what the loops know themselves, with the effort
// since the last read. It returns nil where this host doesn't tell of itself.
func (m *meter) read(e measure.Effort) *measure.Effort {
	var usage syscall.Rusage
	host, ok := readHost()
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil || !ok {
		return nil
	}
	at, cpu, before := m.at, m.cpu, m.host
	m.at, m.cpu, m.host = time.Now(), time.Duration(usage.Utime.Nano()+usage.Stime.Nano()), host
	e.Cores = m.cores
	e.Throttled = m.throttled()
	metrics.Read(m.sample)
	e.Pause = m.pauses.longest(m.sample[0].Value.Float64Histogram())
	e.Scheduler = m.delays.quantile(m.sample[1].Value.Float64Histogram(), 0.99)
	allocated := m.sample[2].Value.Uint64()
	e.Allocations, m.allocated = allocated-m.allocated, allocated
	elapsed, ticks := m.at.Sub(at), host.total-before.total
	if at.IsZero() || elapsed <= 0 || ticks <= 0 {
		return nil
	}
	e.CPU = (m.cpu - cpu).Seconds() / elapsed.Seconds()
	e.Memory = peakMemory()
	e.HostIdle = (host.idle - before.idle) / ticks
	e.Steal = (host.steal - before.steal) / ticks
	return &e
}

// peakMemory returns the most memory that this process has had, 0 where it
// isn't known. getrusage doesn't tell: its figure is inherited from whoever
// started the process.
func peakMemory() experiment.Bytes {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return experiment.Bytes(n) * experiment.KiB
}

// throttled returns the share of the periods since the last read in which our
// CPU quota stopped us, nil where there is no quota.
func (m *meter) throttled() *float64 {
	periods, throttled, ok := m.quota()
	before := m.stops
	m.stops = [2]uint64{periods, throttled}
	if !ok || periods <= before[0] {
		return nil
	}
	share := float64(throttled-before[1]) / float64(periods-before[0])
	return &share
}

// A distribution reads what was added to one of the runtime's histograms,
// which only grow.
type distribution struct {
	before []uint64
}

// longest returns the longest duration since the last read, rounded up to its
// bucket's end.
func (d *distribution) longest(h *metrics.Float64Histogram) time.Duration {
	return d.quantile(h, 1)
}

// quantile returns the q-quantile of the durations since the last read.
func (d *distribution) quantile(h *metrics.Float64Histogram, q float64) time.Duration {
	if len(d.before) != len(h.Counts) {
		d.before = make([]uint64, len(h.Counts))
	}
	total := uint64(0)
	for i, n := range h.Counts {
		d.before[i], total = n-d.before[i], total+n-d.before[i]
	}
	rank, seen, found := uint64(math.Ceil(q*float64(total))), uint64(0), time.Duration(0)
	for i, n := range d.before {
		if seen += n; n > 0 && seen >= rank {
			found = seconds(h.Buckets[i], h.Buckets[i+1])
			break
		}
	}
	copy(d.before, h.Counts)
	return found
}

// seconds returns the end of a bucket, or its beginning where it has no end.
func seconds(from, to float64) time.Duration {
	if math.IsInf(to, 1) {
		to = from
	}
	return time.Duration(to * float64(time.Second))
}

// hostTicks are the host's clock ticks since it booted, all cores together.
type hostTicks struct{ total, idle, steal float64 }

// readHost reads the first line of /proc/stat, which a container sees of its
// whole host: cpu user nice system idle iowait irq softirq steal guest ...
// Guest time is part of user time and not counted again.
func readHost() (hostTicks, bool) {
	const idle, iowait, steal, counted = 3, 4, 7, 8
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return hostTicks{}, false
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) <= counted {
		return hostTicks{}, false
	}
	var h hostTicks
	for i, f := range fields[1 : counted+1] {
		n, err := strconv.ParseFloat(string(f), 64)
		if err != nil {
			return hostTicks{}, false
		}
		h.total += n
		switch i {
		case idle, iowait:
			h.idle += n
		case steal:
			h.steal = n
		}
	}
	return h, true
}

// networkMeter reads what the kernel counts in this process's network
// namespace, between one read and the next. A nil one knows nothing.
type networkMeter struct {
	counts func() (measure.Network, bool)
	before measure.Network
	known  bool // whether before is
}

// newNetworkMeter returns a meter of the service's network namespace, or nil
// where the load comes from elsewhere: there the counters are of everything
// else that runs on the host.
func newNetworkMeter(plan *Plan) *networkMeter {
	if !plan.Inside {
		return nil
	}
	m := &networkMeter{counts: networkCounts}
	m.read()
	return m
}

// read returns what was counted since the last read, nil where that isn't
// known.
func (m *networkMeter) read() *measure.Network {
	if m == nil {
		return nil
	}
	before, known := m.before, m.known
	m.before, m.known = m.counts()
	now := m.before
	if !known || !m.known || now.ListenOverflows < before.ListenOverflows || now.ListenDrops < before.ListenDrops || now.Retransmits < before.Retransmits {
		return nil
	}
	return &measure.Network{
		ListenOverflows: now.ListenOverflows - before.ListenOverflows,
		ListenDrops:     now.ListenDrops - before.ListenDrops,
		Retransmits:     now.Retransmits - before.Retransmits,
	}
}
