package locust

import (
	"encoding/hex"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// captured is what a worker of Locust 2.12.1 sends to its master, byte for byte:
// a report of three requests, with some of them left out.
const captured = "93a57374617473" + // ["stats",
	"83" + "aa757365725f636f756e7402" + // {"user_count": 2,
	"a66572726f727380" + // "errors": {},
	"ab73746174735f746f74616c" + "84" + // "stats_total": {
	"ac6e756d5f726571756573747303" + // "num_requests": 3,
	"ae726573706f6e73655f74696d6573" + "82" + "0402" + "cb4062c0000000000001" + // "response_times": {4: 2, 150.0: 1},
	"b06e756d5f726571735f7065725f736563" + "82" + "ce6a1234560" + "1" + "ce6a12345702" + // "num_reqs_per_sec": {…: 1, …: 2},
	"b06e756d5f6661696c5f7065725f736563" + "80" + // "num_fail_per_sec": {}}},
	"a177" // "w"]

func TestAWorkersReportIsRead(t *testing.T) {
	text, err := hex.DecodeString(captured)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(text)
	if err != nil || m.kind != statsKind || m.node != "w" {
		t.Fatalf("%q of %q, %v", m.kind, m.node, err)
	}
	var s statistics
	if err := m.read(&s); err != nil {
		t.Fatal(err)
	}
	want := statistics{
		headcount: headcount{2}, Errors: map[string]failure{},
		Total: entry{Requests: 3, Times: numbers{4: 2, 150: 1}, PerSecond: numbers{0x6a123456: 1, 0x6a123457: 2}, Failed: numbers{}},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(statistics{})); diff != "" {
		t.Error(diff)
	}
}

// told is a worker's report of one request, changed.
func told(change func(total, report map[string]any)) []byte {
	total := map[string]any{"num_requests": 1, "response_times": map[any]any{20: 1}, "num_reqs_per_sec": map[any]any{7: 1}, "num_fail_per_sec": map[any]any{7: 1}}
	report := map[string]any{"user_count": 1, "stats_total": total, "errors": map[string]any{"a": map[string]any{"error": "timeout()", "occurrences": 1}}}
	change(total, report)
	return encode(statsKind, report, "w")
}

// hostile are reports that no worker has to tell, and that it would take for ever
// to sort.
func hostile() map[string][]byte {
	long := map[any]any{}
	for second := range 100_000 {
		long[second] = 1
	}
	texts := map[string][]byte{
		"a failure that occurred less than never": told(func(_, report map[string]any) {
			report["errors"] = map[string]any{"a": map[string]any{"error": "timeout()", "occurrences": -1}}
		}),
		"fewer users than none": told(func(_, report map[string]any) { report["user_count"] = -1 }),
		"all of a day's seconds": told(func(total, _ map[string]any) {
			total["num_reqs_per_sec"], total["response_times"] = long, map[any]any{20: len(long) / 2, 30: len(long) / 2}
		}),
	}
	for name, counts := range map[string]map[any]any{
		"less than none": {7: -1}, "more than all": {7: uint64(math.MaxUint64)}, "too many": {7: uint64(1) << 60},
		"before time": {-7.0: 1}, "no number": {math.NaN(): 1}, "never": {math.Inf(1): 1}, "long before time": {math.Inf(-1): 1}, "in ages": {1e300: 1},
	} {
		for _, of := range []string{"response_times", "num_reqs_per_sec", "num_fail_per_sec"} {
			texts[of+": "+name] = told(func(total, _ map[string]any) { total[of] = counts })
		}
	}
	return texts
}

func TestAReportThatCantBeIsRefused(t *testing.T) {
	read := func(text []byte) error {
		m, err := decode(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.report()
		return err
	}
	if err := read(told(func(_, _ map[string]any) {})); err != nil {
		t.Fatal(err)
	}
	for name, text := range hostile() {
		if read(text) == nil {
			t.Errorf("%s is believed", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, _ := hex.DecodeString(captured)
	f.Add(text)
	f.Add(encode(clientReady, "2.12.1", "w"))
	f.Add(encode(heartbeatKind, map[string]any{"current_cpu_usage": 99.5, "current_memory_usage": 1}, "w"))
	for _, text := range hostile() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decode(text)
		if err != nil {
			return
		}
		began := time.Now()
		if s, err := m.report(); err == nil {
			newTally(0).add(s) // must not panic
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the master stood still for %s", took)
		}
		var h heartbeat
		_ = m.read(&h)
		var version any
		_ = m.read(&version)
	})
}
