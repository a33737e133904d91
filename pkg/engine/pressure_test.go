package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/measure"
)

func TestStallsOf(t *testing.T) {
	const (
		id      = "4bd0e8c2"
		some    = "some avg10=1.00 avg60=0.50 avg300=0.10 total=3000000\n"
		full    = "full avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n"
		garbage = "some avg10=1.00 total=-\nfull\n"
	)
	all := map[string]string{"cpu.pressure": some, "memory.pressure": some + full, "io.pressure": some + full}
	want := &measure.Stalls{CPU: 3 * time.Second, Memory: 250 * time.Millisecond, IO: 250 * time.Millisecond}
	for _, test := range []struct {
		name, folder string
		files        map[string]string
		want         *measure.Stalls
	}{
		{"version 2, cgroupfs", "docker/" + id, all, want},
		{"version 2, systemd", "system.slice/docker-" + id + ".scope", all, want},
		{"version 2 beside 1, cgroupfs", "unified/docker/" + id, all, want},
		{"version 2 beside 1, systemd", "unified/system.slice/docker-" + id + ".scope", all, want},
		{"version 1 has none", "memory/docker/" + id, map[string]string{"memory.stat": "cache 1\n"}, nil},
		{"an engine elsewhere", "docker/another", all, nil},
		{"a file is missing", "docker/" + id, map[string]string{"cpu.pressure": some, "io.pressure": full}, nil},
		{"a kind is missing", "docker/" + id, map[string]string{"cpu.pressure": some, "memory.pressure": some, "io.pressure": full}, nil},
		{"garbage", "docker/" + id, map[string]string{"cpu.pressure": garbage, "memory.pressure": garbage, "io.pressure": garbage}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			folder := filepath.Join(root, test.folder)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, stallsOf(root, id)()); diff != "" {
				t.Error("stalls (-want +got):\n" + diff)
			}
		})
	}
	root := t.TempDir()
	gone := stallsOf(root, id)
	if gone() != nil {
		t.Error("nothing is there, but something is told")
	}
}
