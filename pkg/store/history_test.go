package store

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

func night(run string) analysis.Night {
	cell := experiment.Limits{CPU: 2e9, Memory: 500 * experiment.MiB, Env: experiment.VariablesOf(map[string]string{"WORKERS": "2"})}
	return analysis.Night{
		Schema: analysis.NightSchema, Time: time.Date(2026, 11, 24, 1, 30, 0, 0, time.UTC), Run: run, Version: "v1", Experiment: "api", Question: "q",
		Host: analysis.Machine{Fingerprint: "0badcafe", Words: "2 CPUs"}, ImageID: "sha256:1", Verdict: analysis.Regressed, Reason: "p99 <= 1s was breached",
		Minimal: cell, Target: 1000, Cells: []analysis.NightCell{{Limits: cell, Outcome: analysis.Breached, LastPass: new(900), FirstFail: new(950), Proved: true}},
		Metrics: &analysis.NightMetrics{Throughput: 880.5, P99: 21.5, CPUSecondsPerRequest: 0.00021, PeakMemory: 2e8, Starts: 3}, Trials: 3, Seconds: 181.2,
	}
}

func TestHistoryReadsWhatWasAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept", "history.jsonl")
	refused := night("2") // nothing was measured
	refused.Verdict, refused.Minimal, refused.Cells, refused.Metrics = analysis.NightInconclusive, experiment.Limits{}, []analysis.NightCell{}, nil
	want := []analysis.Night{night("1"), refused}
	for _, n := range want {
		if err := AppendHistory(path, n); err != nil {
			t.Fatal(err)
		}
	}
	got, warnings, err := ReadHistory(path)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A line that was cut off by a crash costs neither those before nor those
// after it.
func TestHistoryOutlivesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if err := AppendHistory(path, night("1")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(whole); cut += 7 {
		torn := append(bytes.Clone(whole), whole[:cut]...)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		nights, warnings, err := ReadHistory(path)
		if err != nil || len(nights) != 1 || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "history.jsonl:2: left out: it was cut off") {
			t.Fatalf("cut after %d bytes: %d nights, %q, %v", cut, len(nights), warnings, err)
		}
		if err := AppendHistory(path, night("2")); err != nil {
			t.Fatal(err)
		}
		nights, warnings, err = ReadHistory(path)
		if err != nil || len(nights) != 2 || len(warnings) != 1 || nights[1].Run != "2" {
			t.Fatalf("cut after %d bytes, then appended: %d nights, %q, %v", cut, len(nights), warnings, err)
		}
	}
}

func TestHistoryTellsWhatItLeavesOut(t *testing.T) {
	good, err := json.Marshal(night("1"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join([]string{
		string(good), "", `{"schema": "sweep.night/v2", "verdict": {"new": true}}`, `{"schema": "sweep.night/v1", "time": "2026-11-24T01:30:00Z", "experiment": "a", "verdict": "fine"}`,
		`no JSON`, strings.Replace(string(good), "{", `{"later": 1, `, 1),
	}, "\n")
	nights, warnings := parseHistory("h", []byte(text))
	if len(nights) != 2 || nights[1].Run != "1" {
		t.Errorf("%+v", nights)
	}
	for i, want := range []string{`h:3: left out: it has the format "sweep.night/v2"; this sweep reads "sweep.night/v1"`, "h:4: left out: it has a cell without limits", "h:5: left out: it isn't JSON"} {
		if i >= len(warnings) || !strings.HasPrefix(warnings[i], want) {
			t.Errorf("%q\nwant %q", warnings, want)
		}
	}
	if _, warnings := parseHistory("h", []byte(strings.Repeat("x\n", 400))); len(warnings) != 6 || warnings[5] != "h: 395 more lines left out" {
		t.Errorf("%q", warnings)
	}
}

func TestHistoryKeepsNothingThatIsNoNight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	bad := night("1")
	bad.Verdict = ""
	if err := AppendHistory(path, bad); err == nil || !strings.Contains(err.Error(), "verdict") {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was made")
	}
	if _, _, err := ReadHistory(path); err == nil || !strings.Contains(err.Error(), "sweep check writes one") {
		t.Error(err)
	}
}

func TestWritersOfAHistoryDoNotMix(t *testing.T) {
	const writers, each = 8, 20
	path := filepath.Join(t.TempDir(), "history.jsonl")
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if err := AppendHistory(path, night("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	nights, warnings, err := ReadHistory(path)
	if err != nil || len(warnings) > 0 || len(nights) != writers*each {
		t.Errorf("%d nights, %q, %v", len(nights), warnings, err)
	}
}

// FuzzHistory checks that no file makes the reader panic, that what it reads it
// reads again after it was written, and that a night which follows is read
// whatever came before.
func FuzzHistory(f *testing.F) {
	good, err := json.Marshal(night("1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(append(bytes.Clone(good), '\n'), good[:100]...))
	f.Add([]byte("\n\n{\"schema\":\"sweep.night/v9\"}\r\n\x00{}[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		nights, warnings := parseHistory("h", text)
		if lines := bytes.Count(text, []byte("\n")) + 1; len(nights)+len(warnings) > lines {
			t.Errorf("%d nights and %d warnings of %d lines", len(nights), len(warnings), lines)
		}
		for _, n := range nights {
			line, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseNight(line)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if diff := cmp.Diff(n, again); diff != "" {
				t.Fatal(diff)
			}
		}
		after, _ := parseHistory("h", append(append(bytes.Clone(text), '\n'), good...))
		if len(after) != len(nights)+1 || after[len(nights)].Run != "1" {
			t.Errorf("the night that follows isn't read: %d, then %d", len(nights), len(after))
		}
	})
}
