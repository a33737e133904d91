package load

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// meter reads what the load costs this process and its host, between one read
// and the next.
type meter struct {
	at   time.Time
	cpu  time.Duration
	host hostTicks
}

func newMeter() *meter {
	m := &meter{}
	m.read()
	return m
}

// read returns the effort since the last read, or nil where this host doesn't
// tell of itself.
func (m *meter) read() *measure.Effort {
	var usage syscall.Rusage
	host, ok := readHost()
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil || !ok {
		return nil
	}
	before := *m
	*m = meter{at: time.Now(), cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), host: host}
	elapsed, ticks := m.at.Sub(before.at), host.total-before.host.total
	if before.at.IsZero() || elapsed <= 0 || ticks <= 0 {
		return nil
	}
	return &measure.Effort{
		CPU:      (m.cpu - before.cpu).Seconds() / elapsed.Seconds(),
		Memory:   experiment.Bytes(usage.Maxrss) * experiment.KiB, // Linux counts in KiB
		HostIdle: (host.idle - before.host.idle) / ticks,
		Steal:    (host.steal - before.host.steal) / ticks,
	}
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
