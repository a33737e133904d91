package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Probe is what runs in the container that [Engine.Examine] starts. It takes
// all the CPU that it gets for a second, writes what it saw to out as a line of
// JSON, and then takes three times its memory limit: it is expected not to
// live through that. Where it does, it returns.
func Probe(out io.Writer) error {
	saw := surroundings()
	before := look()
	for time.Since(before.at) < burnFor { // an empty loop: that is the work
	}
	after := look()
	saw.Wall, saw.CPU = after.at.Sub(before.at), after.cpu-before.cpu
	if before.periods != nil && after.periods != nil {
		saw.Periods, saw.Throttled = new(*after.periods-*before.periods), new(*after.throttled-*before.throttled)
	}
	if total := after.host.total - before.host.total; total > 0 {
		busy := (total - (after.host.idle - before.host.idle)) / total * after.host.cores
		saw.Others = new(max(0, busy-saw.CPU.Seconds()/saw.Wall.Seconds()))
		saw.Steal = new((after.host.steal - before.host.steal) / total)
	}
	if err := json.NewEncoder(out).Encode(saw); err != nil {
		return fmt.Errorf("telling what the probe saw: %w", err)
	}
	eat(probeEats)
	return nil
}

// eat takes n bytes of memory that no file backs, and touches every page, for
// until then the kernel has only promised it.
func eat(n int) {
	const page = 4096
	hog := make([]byte, n)
	for i := 0; i < n; i += page {
		hog[i] = 1
	}
	runtime.KeepAlive(hog)
}

// A glance is what is counted on, at one instant.
type glance struct {
	at                 time.Time
	cpu                time.Duration // of this process
	periods, throttled *uint64
	host               ticks
}

func look() glance {
	g := glance{at: time.Now(), host: hostTicks(text("/proc/stat"))}
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		g.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	stat := text("/sys/fs/cgroup/cpu.stat") // version 2: a container sees its own group
	if _, ok := named(stat, "nr_periods"); !ok {
		stat = text("/sys/fs/cgroup/cpu/cpu.stat")
	}
	periods, ok := named(stat, "nr_periods")
	throttled, ok2 := named(stat, "nr_throttled")
	if ok && ok2 {
		g.periods, g.throttled = &periods, &throttled
	}
	return g
}

// surroundings returns what doesn't change while the probe runs.
func surroundings() measure.Probe {
	p := measure.Probe{
		ClockSource: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Scheduler:   text("/sys/kernel/sched_ext/state"),
		Swap:        swap(text("/proc/swaps")),
		Ports:       ports(text("/proc/sys/net/ipv4/ip_local_port_range")),
	}
	p.Files, p.MostFiles = allowedFiles()
	p.Cores = cores("/sys/devices/system/cpu")
	if text("/proc/stat") != "" { // else nothing of the kernel is visible
		p.Pressure = new(text("/proc/pressure/cpu") != "")
	}
	var root unix.Statfs_t
	if unix.Statfs("/", &root) == nil && root.Blocks > 0 {
		p.Disk = new(experiment.Bytes(int64(root.Bavail) * root.Bsize))
	}
	return p
}

// text returns what a file of the kernel's says, nothing where it isn't there.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// ticks are the host's clock ticks since it booted, all its cores together.
type ticks struct{ total, idle, steal, cores float64 }

// hostTicks reads /proc/stat: "cpu user nice system idle iowait irq softirq
// steal ...", then a line for every core. Guest time is part of user time.
func hostTicks(stat string) ticks {
	const idle, iowait, steal = 4, 5, 8
	var t ticks
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		switch {
		case len(fields) <= steal || !strings.HasPrefix(fields[0], "cpu"):
			continue
		case fields[0] != "cpu":
			t.cores++
			continue
		}
		for i, f := range fields[1 : steal+1] {
			n, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return ticks{}
			}
			t.total += n
			switch i + 1 {
			case idle, iowait:
				t.idle += n
			case steal:
				t.steal = n
			}
		}
	}
	return t
}

// named returns the number behind a name at the beginning of a line.
func named(lines, name string) (uint64, bool) {
	for line := range strings.Lines(lines) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// swap adds up the sizes in /proc/swaps, which are in KiB: a line of names, and
// one for each file or partition. Without the line of names nothing is known.
func swap(swaps string) *experiment.Bytes {
	const size = 2
	if swaps == "" {
		return nil
	}
	var all experiment.Bytes
	for i, line := range strings.Split(swaps, "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) <= size {
			continue
		}
		n, err := strconv.ParseInt(fields[size], 10, 64)
		if err != nil {
			return nil
		}
		all += experiment.Bytes(n) * experiment.KiB
	}
	return &all
}

// cores returns the host's cores, those together that share a physical one.
// Those that are offline have no siblings.
func cores(root string) [][]int {
	files, err := filepath.Glob(filepath.Join(root, "cpu[0-9]*", "topology", "thread_siblings_list"))
	if err != nil {
		return nil
	}
	var all [][]int
	for _, file := range files {
		siblings := span(text(file))
		if len(siblings) > 0 && !slices.ContainsFunc(all, func(c []int) bool { return c[0] == siblings[0] }) { // each tells of all
			all = append(all, siblings)
		}
	}
	slices.SortFunc(all, slices.Compare[[]int])
	return all
}

// span reads a list of numbers as the kernel writes it: "0-2,5".
func span(list string) []int {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		from, to, wide := strings.Cut(part, "-")
		if !wide {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil {
			return nil
		}
		for n := first; n <= last; n++ {
			all = append(all, n)
		}
	}
	return all
}

// ports returns how many there are from the first to the last.
func ports(span string) *int {
	fields := strings.Fields(span)
	if len(fields) != 2 {
		return nil
	}
	first, err := strconv.Atoi(fields[0])
	last, err2 := strconv.Atoi(fields[1])
	if err != nil || err2 != nil {
		return nil
	}
	return new(last - first + 1)
}

// allowedFiles returns how many files a program may have open that is started
// here, and how many if it asks for more; nil where that can't be seen. Go raises the limit of its own process
// at its start and gives what it starts the limit that it found; so another is
// started, held by the tracer before its first instruction, and looked at.
func allowedFiles() (soft, hard *uint64) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	child, err := os.StartProcess("/proc/self/exe", []string{"held"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return nil, nil
	}
	limits := text(fmt.Sprintf("/proc/%d/limits", child.Pid))
	if child.Kill() == nil {
		_, _ = child.Wait() // it has told what it was for
	}
	return openFiles(limits)
}

// openFiles returns the limits of open files as /proc/PID/limits has them:
//
//	Max open files            1024                 524288               files
func openFiles(limits string) (soft, hard *uint64) {
	for line := range strings.Lines(limits) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 {
			continue
		}
		s, err := strconv.ParseUint(fields[0], 10, 64)
		h, err2 := strconv.ParseUint(fields[1], 10, 64)
		if err == nil && err2 == nil {
			return &s, &h
		}
	}
	return nil, nil
}
