package load

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// allowed returns how many cores this process may use: those that it may run
// on, or what its CPU quota leaves of them.
func allowed() float64 {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return 0
	}
	cores := float64(set.Count())
	limit, period := cgroup("cpu", "cpu.cfs_quota_us"), cgroup("cpu", "cpu.cfs_period_us")
	if both := bytes.Fields(cgroup("", "cpu.max")); len(both) == 2 {
		limit, period = both[0], both[1]
	}
	quota, err := strconv.ParseFloat(string(bytes.TrimSpace(limit)), 64)
	each, err2 := strconv.ParseFloat(string(bytes.TrimSpace(period)), 64)
	if err != nil || err2 != nil || quota <= 0 || each <= 0 {
		return cores
	}
	return min(cores, quota/each)
}

// quota returns how many periods of the CPU quota there were, and in how many
// of them it stopped this process.
func quota() (periods, throttled uint64, ok bool) {
	text := cgroup("", "cpu.stat")
	if text == nil {
		text = cgroup("cpu", "cpu.stat")
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "nr_periods":
			periods, ok = n, true
		case "nr_throttled":
			throttled = n
		}
	}
	return periods, throttled, ok
}

// cgroup reads a file of this process's control group, of a controller of
// version 1 or, where that is empty, of version 2; nil where there is none.
// In a container the group itself is mounted; elsewhere it lies somewhere below.
func cgroup(controller, file string) []byte {
	root := "/sys/fs/cgroup/" + controller
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 || !hasController(parts[1], controller) {
			continue
		}
		for _, path := range []string{root + parts[2] + "/" + file, root + "/" + file} {
			if text, err := os.ReadFile(path); err == nil {
				return text
			}
		}
	}
	return nil
}

func hasController(list, controller string) bool {
	for name := range strings.SplitSeq(list, ",") {
		if name == controller {
			return true
		}
	}
	return false
}
