package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// nights is a made-up history: two machines that take turns now and then, a
// night in nine that says nothing, more CPU from two thirds of the nights on,
// less memory from a third on, and one night that regressed.
func nights(count int) []analysis.Night {
	r := rand.New(rand.NewPCG(7, uint64(count)))
	noisy := func(centre, spread float64) float64 { return centre * math.Exp(spread*r.NormFloat64()) }
	cell := cellLimits(2, 500)
	machines := []analysis.Machine{
		{Fingerprint: "5d1c0a42", Words: "2 CPUs, 8 GiB, x86_64, Linux 6.18, cgroup 2, engine 28.1"},
		{Fingerprint: "e07b913f", Words: "4 CPUs, 16 GiB, x86_64, Linux 6.12, cgroup 2, engine 28.1"},
	}
	var out []analysis.Night
	for i := range count {
		n := analysis.Night{
			Schema: analysis.NightSchema, Time: began().AddDate(0, 0, i-count), Run: began().AddDate(0, 0, i-count).Format("20060102T150405Z"),
			Version: "v1.2.3", Experiment: "prediction-api", Question: "6f2d", Host: machines[0], ImageID: "sha256:0af1", Verdict: analysis.Holds,
			Minimal: cell, Target: 10000, Trials: 3, Seconds: math.Round(noisy(200, 0.05)),
			Metrics: &analysis.NightMetrics{
				Throughput: noisy(9250, 0.004), P99: noisy(82, 0.04), CPUSecondsPerRequest: noisy(0.00021, 0.01), PeakMemory: noisy(362*(1<<20), 0.015), Starts: 3,
			},
		}
		if i%11 == 5 {
			n.Host = machines[1]
			n.Metrics.P99 *= 0.7
		}
		if i >= count/3 {
			n.Metrics.PeakMemory *= 0.85
		}
		if i >= 2*count/3 {
			n.Metrics.CPUSecondsPerRequest *= 1.22
		}
		carried := int(noisy(11000, 0.02))
		last, first := carried, carried+carried/20
		n.Cells = []analysis.NightCell{{Limits: cell, Outcome: analysis.Breached, LastPass: &last, FirstFail: &first, Proved: true}}
		switch {
		case i%9 == 4:
			n.Verdict, n.Reason, n.Metrics.P99 = analysis.NightInconclusive, "the host was the limit in 14 of 30 seconds", 900
			n.Cells[0].FirstFail = nil
		case i == 3*count/4:
			last, first = 8200, 8600
			n.Verdict, n.Reason = analysis.Regressed, "p99 <= 1s was breached at 8,600 users on 2 of 3 starts: CPU bound"
		}
		out = append(out, n)
	}
	return out
}

// trendsOf are the histories that tests draw.
func trendsOf() map[string]Trend {
	of := func(all []analysis.Night) Trend { return Trend{Trend: analysis.Trends(all)[0]} }
	one := of(nights(1))
	one.Warnings = []string{"history.jsonl:2: left out: it was cut off (17 bytes: unexpected end of JSON input)"}
	bare := nights(4)
	for i := range bare {
		bare[i].Metrics, bare[i].Cells, bare[i].Verdict, bare[i].Reason = nil, nil, analysis.Regressed, "the service never got ready"
	}
	bare[2].Minimal, bare[2].Verdict, bare[2].Reason = experiment.Limits{}, analysis.NightInconclusive, "there is no baseline of this host"
	turned := nights(40)
	for i := 20; i < 40; i++ {
		turned[i].Minimal = cellLimits(1, 500)
		turned[i].Cells[0].Limits = turned[i].Minimal
		if i >= 30 {
			turned[i].Question = "9c77"
		}
	}
	return map[string]Trend{
		"trend_one": one, "trend_bare": of(bare), "trend_10": of(nights(10)), "trend_60": of(nights(60)), "trend_400": of(nights(400)), "trend_turned": of(turned),
	}
}

func TestGoldenTrends(t *testing.T) {
	for name, tr := range trendsOf() {
		formats := map[string]func(io.Writer, Trend) error{"txt": TrendTable, "md": TrendMarkdown}
		if name == "trend_one" {
			formats["json"] = TrendJSON
		}
		for ext, write := range formats {
			t.Run(name+"."+ext, func(t *testing.T) {
				var b bytes.Buffer
				if err := write(&b, tr); err != nil {
					t.Fatal(err)
				}
				checkGolden(t, filepath.Join("testdata", name+"."+ext), b.Bytes())
			})
		}
	}
}

func TestTrendPicture(t *testing.T) {
	for name, tr := range trendsOf() {
		t.Run(name, func(t *testing.T) {
			p := TrendPicture(tr)
			text := svg(t, p)
			for _, want := range []string{"What each night said", "Users carried", "Right answers per second", "p99 of the response time, ms", "CPU per request, ms", "Peak memory, MiB", "holds", "regressed", "inconclusive"} {
				if !strings.Contains(text, ">"+want+"</text>") {
					t.Errorf("no %q", want)
				}
			}
			img := picture(t, p)
			if v := variance(img, 0.2, 0.9); v < 0.002 {
				t.Errorf("it is blank: variance %g", v)
			}
			if dir := os.Getenv("PICTURES"); dir != "" {
				f, err := os.Create(filepath.Join(dir, name+".png"))
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(p.WritePNG(f), f.Close()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A night that says nothing is hollow, one that regressed ringed, and each
// machine has a shape of its own.
func TestNightsLookApart(t *testing.T) {
	all := nights(60)
	grey := func(ns []analysis.Night) int {
		return strings.Count(svg(t, TrendPicture(Trend{Trend: analysis.Trends(ns)[0]})), "stroke:#767676")
	}
	before := grey(all)
	for i := range all {
		if !all[i].Valid() {
			all[i].Verdict = analysis.Holds
		}
	}
	if after := grey(all); after >= before {
		t.Errorf("%d grey lines with invalid nights, %d without", before, after)
	}
}

// Names of changes mustn't cover each other or the heading, however many there are.
func TestNamesOnAShelfStandApart(t *testing.T) {
	all := nights(400)
	for i := range all {
		all[i].Host, all[i].Verdict = all[0].Host, analysis.Holds
		all[i].Metrics.P99 = 50 * (1 + float64(i/16%2)) * (1 + float64(i%5)/200)
	}
	tr := Trend{Trend: analysis.Trends(all)[0]}
	if len(tr.Shifts) < 20 {
		t.Fatalf("only %d changes", len(tr.Shifts))
	}
	text := svg(t, TrendPicture(tr))
	if n := strings.Count(text, "% worse, ") + strings.Count(text, "% better, "); n < 5 || n > 20 {
		t.Errorf("%d of %d changes are named", n, len(tr.Shifts))
	}
	var b bytes.Buffer
	if err := TrendMarkdown(&b, tr); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "- change: "); n != len(tr.Shifts) {
		t.Errorf("Markdown names %d of %d changes", n, len(tr.Shifts))
	}
}

func TestTrendOfHostileNames(t *testing.T) {
	evil := "<script>alert(1)</script>\x1b[31m\r\n| `x` \u202e\x00" + strings.Repeat("long name ", 1000)
	all := nights(60)
	for i := range all {
		n := &all[i]
		n.Experiment, n.Reason, n.Unit, n.Host.Fingerprint, n.Host.Words, n.Question = evil, evil, evil, evil, evil, evil
		n.Minimal.Env = experiment.VariablesOf(map[string]string{"A": evil})
		n.Verdict = analysis.Regressed
	}
	tr := Trend{analysis.Trends(all)[0], []string{evil}}
	text := svg(t, TrendPicture(tr))
	var table, page bytes.Buffer
	if err := errors.Join(TrendTable(&table, tr), TrendMarkdown(&page, tr)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"picture": text, "table": table.String(), "Markdown": page.String()} {
		for _, bad := range []string{"\x1b", "\u202e", "\r", "\x00"} {
			if strings.Contains(s, bad) {
				t.Errorf("%s has %q in it", name, bad)
			}
		}
		if name != "table" && strings.Contains(s, "<script") {
			t.Errorf("%s has a tag in it", name)
		}
	}
}

func TestTrendJSONHasTheChanges(t *testing.T) {
	var b bytes.Buffer
	if err := TrendJSON(&b, trendsOf()["trend_60"]); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	fields(t, got, "schema", "experiment", "nights", "changes", "warnings")
	changes, _ := got["changes"].([]any)
	if len(changes) != 2 {
		t.Fatalf("%d changes", len(changes))
	}
	for _, c := range changes {
		fields(t, c.(map[string]any), "metric", "time", "run", "host", "before", "after", "share", "worse", "p_value")
	}
}

func TestWriteTrend(t *testing.T) {
	got := map[string]int{}
	err := WriteTrend(trendsOf()["trend_10"], func(name string) (io.WriteCloser, error) {
		return counter{func(n int) { got[name] += n }}, nil
	})
	if names := slices.Sorted(maps.Keys(got)); err != nil || !slices.Equal(names, []string{"trend.json", "trend.md", "trend.png", "trend.svg"}) {
		t.Error(names, err)
	}
	full := errors.New("disk full")
	if err := WriteTrend(trendsOf()["trend_10"], func(string) (io.WriteCloser, error) { return nil, full }); !errors.Is(err, full) || !strings.Contains(err.Error(), "trend.svg") {
		t.Error(err)
	}
}

type counter struct{ add func(int) }

func (c counter) Write(p []byte) (int, error) { c.add(len(p)); return len(p), nil }
func (c counter) Close() error                { return nil }

func TestDateTicks(t *testing.T) {
	for _, days := range []float64{1, 2, 9, 10, 31, 60, 92, 365, 400, 3000, 40000} {
		ticks := dateTicks(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), days)
		if len(ticks) < 2 && days > 1 || len(ticks) > 9 {
			t.Errorf("%g days: %v", days, ticks)
		}
	}
}
