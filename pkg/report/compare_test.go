package report

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// comparisons are pairs of runs: of the same experiment, before and after a
// change; of different ones on different machines; of settings.
func comparisons() map[string]Compared {
	later := reference()
	later.ID = "20261201T080000Z"
	v := breached()
	v.LastPass, v.FirstFail = at(60, 5100, 200000, 5090, 210*1e6, 0), at(61, 5200, 204000, 5080, 1100*1e6, 0)
	later.Surface.Cells[0] = cellOf(1, 200, v)
	later.Surface.Cells[0].Measured, later.Surface.Cells[0].PriceHour = true, 0.0413
	later.Surface.Cells[1].Outcome, later.Surface.Cells[1].Proved = analysis.Passed, true
	later.Surface.Cells[1].LastPass, later.Surface.Cells[1].FirstFail = at(150, 10000, 899213, 9894.2, 400*1e6, 0), nil
	later = later.withMinimal(1)

	other := notMeasured()
	other.ID, other.Surface.Experiment = "20261202T080000Z", "another-api"
	other.Manifest.Host.CPUs, other.Manifest.Question, other.Manifest.ImageID = 4, "0a1b", "sha256:0123456789abcdef"
	other.Experiment.Price = experiment.Price{CPUHour: 1, GiBHour: 1}

	return map[string]Compared{
		"later": Compare(reference(), later), "apart": Compare(reference(), other), "settings": Compare(settings(), settings()),
		"none": Compare(allFailed(), neverReady()),
	}
}

func TestCompareGolden(t *testing.T) {
	for name, c := range comparisons() {
		for ext, write := range map[string]func(io.Writer) error{
			"txt":  func(w io.Writer) error { return CompareTable(w, c, Look{}) },
			"md":   func(w io.Writer) error { return CompareMarkdown(w, c) },
			"json": func(w io.Writer) error { return CompareJSON(w, c) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", "compare", name+"."+ext), b.Bytes())
		}
	}
}

// What sets runs apart is read before any number of theirs.
func TestDifferentHostsAreSaidFirstAndInRed(t *testing.T) {
	c := comparisons()["apart"]
	for look, mark := range map[Look]string{{}: "! not the same ", {Colour: true}: "\x1b[1;31m! not the same "} {
		var b strings.Builder
		if err := CompareTable(&b, c, look); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		for i, a := range c.Apart {
			if !strings.HasPrefix(lines[i], mark+a.What) {
				t.Errorf("%v: line %d is %q", look, i+1, lines[i])
			}
		}
		if len(c.Apart) == 0 || strings.Contains(strings.Join(lines[len(c.Apart):], "\n"), "\x1b") {
			t.Errorf("%v:\n%s", look, b.String())
		}
	}
	var md strings.Builder
	if err := CompareMarkdown(&md, c); err != nil {
		t.Fatal(err)
	}
	if caution, sentence := strings.Index(md.String(), "> [!CAUTION]"), strings.Index(md.String(), "**"); caution < 0 || caution > sentence {
		t.Errorf("%s", md.String())
	}
}

func TestComparisonFits120Columns(t *testing.T) {
	for name, c := range comparisons() {
		var b strings.Builder
		if err := CompareTable(&b, c, Look{}); err != nil {
			t.Fatal(err)
		}
		table := strings.Split(b.String(), "─\n")
		for _, line := range table[:len(table)-1] {
			for l := range strings.Lines(line) {
				if n := len([]rune(l)); n > 121 && name != "settings" && !strings.HasPrefix(l, "!") {
					t.Errorf("%s: %d columns: %s", name, n, l)
				}
			}
		}
	}
}

func TestCompareJSONHasTheContractsFields(t *testing.T) {
	var b bytes.Buffer
	if err := CompareJSON(&b, comparisons()["apart"]); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	fields(t, got, "schema", "a", "b", "different", "cells", "sentence")
	fields(t, got["a"], "experiment", "run", "target_users", "minimal", "answer")
	fields(t, got["different"].([]any)[0], "what", "a", "b")
	if got["schema"] != "sweep.compare/v1" {
		t.Errorf("%v", got["schema"])
	}
	for _, cell := range got["cells"].([]any) {
		c := cell.(map[string]any)
		want := []string{"cpus", "memory_bytes", "a", "b", "ratio", "outcome_changed"}
		if _, ok := c["change"]; ok {
			want = append(want, "change")
		}
		fields(t, c, want...)
	}
}

func TestFactorsAreRoundedToTheirOutside(t *testing.T) {
	for want, r := range map[string]analysis.Ratio{
		"1.02 to 1.12": {Low: 1.0222, High: new(1.1163)}, "over 2.22": {Low: 2.2299}, "under 0.60": {High: new(0.5911)}, "1.10 to 1.20": {Low: 1.1, High: new(1.2)},
	} {
		if got := factor(&r); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
}
