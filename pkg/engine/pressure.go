package engine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/measure"
)

// groups is where the kernel shows control groups.
const groups = "/sys/fs/cgroup"

// stallsOf returns how to read the pressure of a container: for how long its
// processes have waited, which the engine's API doesn't tell. It is in files on
// the engine's own machine; an id is unique, so where its folder is, the engine
// is here. Where it isn't, or the kernel keeps no pressure, what is returned
// reads nil.
func stallsOf(root, id string) func() *measure.Stalls {
	for _, mount := range []string{"", "unified"} { // version 2, alone or beside version 1, which has no pressure
		for _, group := range []string{
			filepath.Join("docker", id),                          // the cgroupfs driver
			filepath.Join("system.slice", "docker-"+id+".scope"), // the systemd driver
		} {
			folder := filepath.Join(root, mount, group)
			if readStalls(folder) != nil {
				return func() *measure.Stalls { return readStalls(folder) }
			}
		}
	}
	return func() *measure.Stalls { return nil }
}

// readStalls reads a control group's pressure, nil where it doesn't tell all.
func readStalls(folder string) *measure.Stalls {
	var s measure.Stalls
	for _, f := range []struct {
		to         *time.Duration
		name, kind string
	}{
		{&s.CPU, "cpu.pressure", "some"}, // "full" isn't told of whole CPUs by every kernel
		{&s.Memory, "memory.pressure", "full"},
		{&s.IO, "io.pressure", "full"},
	} {
		text, err := os.ReadFile(filepath.Join(folder, f.name))
		if err != nil {
			return nil
		}
		total, ok := stalled(string(text), f.kind)
		if !ok {
			return nil
		}
		*f.to = total
	}
	return &s
}

// stalled finds a kind's total in the text of a pressure file, which has a
// line for each kind. The averages in it are of longer than a second.
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=12345
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=1234
func stalled(text, kind string) (time.Duration, bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != kind {
			continue
		}
		for _, field := range fields {
			if value, ok := strings.CutPrefix(field, "total="); ok {
				us, err := strconv.ParseInt(value, 10, 64)
				return time.Duration(us) * time.Microsecond, err == nil
			}
		}
	}
	return 0, false
}
