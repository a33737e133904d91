package engine

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"sweep/pkg/experiment"
)

func TestHostTicks(t *testing.T) {
	stat := "cpu  10 1 20 100 5 2 3 7 4 0\ncpu0 5 0 10 50 2 1 1 3 2 0\ncpu1 5 1 10 50 3 1 2 4 2 0\nintr 12 0 0 0 0 0 0 0 0\n"
	if got, want := hostTicks(stat), (ticks{total: 148, idle: 105, steal: 7, cores: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, unknown := range []string{"", "cpu 1 2 3\n", "cpu a b c d e f g h i j\n"} {
		if got := hostTicks(unknown); got != (ticks{}) {
			t.Errorf("of %q: got %+v", unknown, got)
		}
	}
}

func TestWhatTheKernelWrites(t *testing.T) {
	const names = "Filename Type Size Used Priority\n"
	for text, want := range map[string]experiment.Bytes{
		names: 0,
		names + "/swap file 1048576 0 -2\n/dev/sda2 partition 1024 0 -3": experiment.GiB + experiment.MiB,
	} {
		if got := swap(text); got == nil || *got != want {
			t.Errorf("of %q: swap is %v, want %v", text, got, want)
		}
	}
	if swap("") != nil || swap(names+"/swap file much 0 -2") != nil {
		t.Error("swap that isn't told is known")
	}
	if got := ports("32768\t60999"); got == nil || *got != 28232 {
		t.Errorf("ports are %v", got)
	}
	if ports("") != nil || ports("a b") != nil {
		t.Error("ports that aren't told are known")
	}
	const limits = "Limit                     Soft Limit           Hard Limit           Units\n" +
		"Max processes             93904                93904                processes\n" +
		"Max open files            1024                 524288               files\n"
	if soft, hard := openFiles(limits); soft == nil || *soft != 1024 || *hard != 524288 {
		t.Errorf("files are %v, %v", soft, hard)
	}
	for _, text := range []string{"", "Max open files            unlimited            unlimited            files"} {
		if soft, hard := openFiles(text); soft != nil || hard != nil {
			t.Errorf("files that %q doesn't tell are known", text)
		}
	}
	if n, ok := named("nr_periods 12\nnr_throttled 7\nnr_throttled_x 9\n", "nr_throttled"); n != 7 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	if _, ok := named("nr_periods 12\n", "nr_throttled"); ok {
		t.Error("what isn't there was found")
	}
}

func TestTold(t *testing.T) {
	if got := told("a runtime's warning\n{\"wall\":1000,\"cpu\":200}\n"); got == nil || got.CPU != 200 {
		t.Errorf("got %+v", got)
	}
	if told("") != nil || told("{\"wall\":") != nil {
		t.Error("a probe that was cut off told something")
	}
}

func TestCores(t *testing.T) {
	root := t.TempDir()
	for cpu, siblings := range map[string]string{"cpu0": "0,2", "cpu1": "1,3", "cpu2": "0,2", "cpu3": "1,3", "cpu10": "10", "cpufreq": "0"} {
		dir := filepath.Join(root, cpu, "topology")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "thread_siblings_list"), []byte(siblings+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := cores(root), [][]int{{0, 2}, {1, 3}, {10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := span("0-2,5"), []int{0, 1, 2, 5}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if cores(t.TempDir()) != nil || span("") != nil || span("0-x") != nil {
		t.Error("cores that aren't told are known")
	}
}

func TestCpuset(t *testing.T) {
	if got := cpuset([]int{0, 2, 3}); got != "0,2,3" {
		t.Errorf("got %q", got)
	}
	if got := cpuset(nil); got != "" {
		t.Errorf("got %q", got)
	}
}
