package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/store"
)

// keptNights writes a history of an experiment, whose p99 rises by half after
// two thirds of its nights.
func keptNights(t *testing.T, path, name string, count int) {
	t.Helper()
	cell := experiment.Limits{CPU: 2e9, Memory: 500 * experiment.MiB}
	for i := range count {
		p99 := 20 + float64(i%7)/10
		if i >= 2*count/3 {
			p99 *= 1.5
		}
		err := store.AppendHistory(path, analysis.Night{
			Time: time.Date(2026, 9, 1+i, 1, 30, 0, 0, time.UTC), Run: strconv.Itoa(i), Experiment: name, Host: analysis.Machine{Fingerprint: "0badcafe"},
			Verdict: analysis.Holds, Minimal: cell, Target: 1000, Trials: 3, Metrics: &analysis.NightMetrics{Throughput: 950, P99: p99, Starts: 3},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestReportOfAHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	keptNights(t, path, "api", 45)
	got := sweepReport(t, "--history", path)
	if got.code != exitDone || !strings.Contains(got.out, "One change: p99 of the response time, ms, 20.3 to 30.5 (+50 %, worse) from 1 October 2026 on") {
		t.Fatalf("%+v", got)
	}
	for _, name := range []string{"trend.svg", "trend.png", "trend.md", "trend.json"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(path), "trend", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	out := t.TempDir()
	got = sweepReport(t, "--history", path, "--format", "json", "--out", out)
	var trend struct{ Changes []struct{ Metric string } }
	if err := json.Unmarshal([]byte(got.out), &trend); err != nil || len(trend.Changes) != 1 || trend.Changes[0].Metric != "p99_ms" {
		t.Errorf("%v: %+v", err, got)
	}
	if _, err := os.Stat(filepath.Join(out, "trend.svg")); err != nil {
		t.Error(err)
	}
}

func TestReportOfAHistoryOfSeveralExperiments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	keptNights(t, path, "api", 3)
	keptNights(t, path, "../../etc", 2)
	if err := os.WriteFile(path, append(read(t, path), "{\"schema\": \"sw"...), 0o600); err != nil {
		t.Fatal(err)
	}
	got := sweepReport(t, "--history", path, "--format", "markdown")
	if got.code != exitDone || strings.Count(got.out, ": its nights\n") != 2 || !strings.Contains(got.out, "history.jsonl:6: left out: it was cut off") {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"api", "experiment-1"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "trend", name, "trend.svg")); err != nil {
			t.Error(err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestReportOfNoHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	if got := sweepReport(t, "--history", path); got.code != exitInstrument || !strings.Contains(got.err, "sweep check writes one") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(path, []byte("{\"schema\": \"sweep.night/v9\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := sweepReport(t, "--history", path); got.code != exitInstrument || !strings.Contains(got.err, `"sweep.night/v9"`) || !strings.Contains(got.err, "holds no night") {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"--history", path, "results"}, {"--history", path, "--format", "csv"}, {"--history", path, "--objective", "x"}} {
		if got := sweepReport(t, args...); got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}
