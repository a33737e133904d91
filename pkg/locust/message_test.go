package locust

import (
	"encoding/hex"
	"testing"

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

func FuzzDecode(f *testing.F) {
	text, _ := hex.DecodeString(captured)
	f.Add(text)
	f.Add(encode(clientReady, "2.12.1", "w"))
	f.Add(encode(heartbeatKind, map[string]any{"current_cpu_usage": 99.5, "current_memory_usage": 1}, "w"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		m, err := decode(text)
		if err != nil {
			return
		}
		var s statistics
		if m.read(&s) == nil {
			newTally(0).add(s) // must not panic
		}
		var h heartbeat
		_ = m.read(&h)
		var version any
		_ = m.read(&version)
	})
}
