package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// nasty draws a text that does harm where it is shown as it is.
func nasty(t *rapid.T, label string) string {
	pieces := []string{
		"\x1b[31m", "\x1b]0;title\a", "\x9b2J", "\u009b2J", "\r", "\n", "\r\n", "\x00", "\x7f", "\b", "\t", "|", "`", "\\", "\\|", "*", "[x](javascript:1)", "<script>", "<!--",
		"\u202e", "\u2066", "\u200f", "\ufeff", "\u2028", "\u0085", "\xff", "=cmd|' /C calc'!A1", "+1", "-1", "@SUM(A1)", ";=1+1", "＝1", "界", "e\u0301", "plain", " ", "../", "/", strings.Repeat("x", 10_000),
	}
	return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.String()), 0, 12).Draw(t, label), "")
}

// besieged is a run in which every text that comes from outside is nasty.
func besieged(t *rapid.T) Run {
	r := settings()
	e := *r.Experiment
	e.Service = experiment.Service{Image: nasty(t, "service"), Env: map[string]experiment.Value{"N": {Written: nasty(t, "env") + "${cpus}"}}}
	r.Experiment, r.Surface.Experiment, r.ID = &e, nasty(t, "experiment"), nasty(t, "run")
	r.Surface.Answer, r.Surface.Warnings = nasty(t, "answer"), []string{nasty(t, "warning")}
	r.Manifest.Host.Kernel, r.Manifest.Image, r.Manifest.ImageID = nasty(t, "kernel"), nasty(t, "image"), nasty(t, "id")
	for i := range r.Surface.Cells {
		c := &r.Surface.Cells[i]
		l := &c.Trial.Limits
		l.Image, l.Env = nasty(t, "cell's image"), experiment.VariablesOf(map[string]string{"A": nasty(t, "value")})
		c.Why, c.Warnings = nasty(t, "why"), []string{nasty(t, "cell's warning")}
		c.Breach = &analysis.Breach{Objective: nasty(t, "objective"), Observed: nasty(t, "observed"), Limit: nasty(t, "limit")}
		c.Cause = &analysis.Cause{Label: analysis.CauseUnknown, Evidence: []string{nasty(t, "evidence")}, ConfirmedBy: nasty(t, "confirmed")}
	}
	r.Surface.Minimal.Limits, r.Surface.Minimal.Certificate = r.Surface.Cells[4].Trial.Limits, nasty(t, "certificate")
	return r
}

// harmful returns what in a text would do harm to a terminal or to who reads it.
func harmful(text string) string {
	i := strings.IndexFunc(text, func(c rune) bool {
		return c != '\n' && c != '\t' && (!unicode.IsPrint(c) || c == utf8.RuneError)
	})
	if i < 0 {
		return ""
	}
	return text[i:min(len(text), i+20)]
}

func TestNothingFromOutsideDoesHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := besieged(t)
		other := reference()
		other.Manifest.Host.Kernel = nasty(t, "other kernel")
		x := Compare(r, other)
		const most = 60_000 // of nine cells, each of some lines
		for name, write := range map[string]func(io.Writer) error{
			"table": func(w io.Writer) error { return Table(w, r) }, "markdown": func(w io.Writer) error { return Markdown(w, r) },
			"csv": func(w io.Writer) error { return CSV(w, r) }, "charts": func(w io.Writer) error { return Charts(w, r, Look{Width: 80}) },
			"comparison": func(w io.Writer) error { return CompareTable(w, x, Look{}) }, "compared in markdown": func(w io.Writer) error { return CompareMarkdown(w, x) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if bad := harmful(b.String()); bad != "" {
				t.Fatalf("%s: %q", name, bad)
			}
			if b.Len() > most {
				t.Fatalf("%s is %d bytes long", name, b.Len())
			}
		}
		for name, write := range map[string]func(io.Writer) error{
			"json": func(w io.Writer) error { return JSON(w, r) }, "compared in json": func(w io.Writer) error { return CompareJSON(w, x) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if !json.Valid(b.Bytes()) || harmful(strings.ReplaceAll(b.String(), "\ufffd", "")) != "" {
				t.Fatalf("%s isn't JSON, or harmful: %q", name, harmful(b.String()))
			}
		}
		for _, f := range applyFiles() {
			var b bytes.Buffer
			if err := f.write(&b, *r.provision()); err != nil {
				t.Fatal(err)
			}
			if bad := harmful(b.String()); bad != "" {
				t.Fatalf("%s: %q", f.name, bad)
			}
		}
	})
}

// JSON loses nothing to what makes it harmless.
func TestJSONKeepsWhatItEscapes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := strings.ToValidUTF8(rapid.OneOf(rapid.String(), rapid.Custom(func(t *rapid.T) string { return nasty(t, "text") })).Draw(t, "text"), "\ufffd")
		var b bytes.Buffer
		if err := writeJSON(&b, want); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || got != want {
			t.Fatalf("%v: %q, want %q", err, got, want)
		}
	})
}

// A row of a table in Markdown has as many columns as its head, whatever is in
// it; and nothing in it begins a tag.
func TestMarkdownTablesKeepTheirColumns(t *testing.T) {
	bar := regexp.MustCompile(`(^|[^\\])(\\\\)*\|`)
	rapid.Check(t, func(t *rapid.T) {
		r := besieged(t)
		for _, write := range []func(io.Writer) error{
			func(w io.Writer) error { return Markdown(w, r) }, func(w io.Writer) error { return CompareMarkdown(w, Compare(r, reference())) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			rows, columns := 0, 0
			for line := range strings.Lines(b.String()) {
				if strings.HasPrefix(line, "|") {
					if n := len(bar.FindAllString(strings.ReplaceAll(line, "|", "| "), -1)); columns == 0 {
						columns = n
					} else if n != columns {
						t.Fatalf("%d columns of %d: %s", n, columns, line)
					}
					rows++
				}
				if regexp.MustCompile(`<[A-Za-z/!?]`).MatchString(line) {
					t.Fatalf("a tag begins in %s", line)
				}
			}
			if rows < 11 {
				t.Fatalf("%d rows", rows)
			}
		}
	})
}

// No cell of a spreadsheet is a formula: with commas or, as some countries have
// it, with semicolons between cells.
func TestSpreadsheetsRunNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		if err := CSV(&b, besieged(t)); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			for _, field := range line {
				for part := range strings.SplitSeq(field, ";") {
					if strings.HasPrefix(part, "=") || strings.HasPrefix(part, "@") || strings.HasPrefix(part, "+") || strings.HasPrefix(part, "-") || strings.HasPrefix(part, "＝") {
						t.Fatalf("%q is run as a formula", field)
					}
				}
			}
		}
	})
}

// The names of files have no folder besides apply/ in them, nothing odd, and a
// length that every file system takes.
func TestFileNamesAreHarmless(t *testing.T) {
	plain := regexp.MustCompile(`^(apply/)?[A-Za-z0-9][A-Za-z0-9._=-]*$`)
	rapid.Check(t, func(t *rapid.T) {
		l := cellLimits(1, 200)
		l.Image, l.Env = nasty(t, "image"), experiment.VariablesOf(map[string]string{"A" + nasty(t, "name"): nasty(t, "value")})
		trial := experiment.Trial{Limits: l, Hold: rapid.IntRange(0, 1).Draw(t, "hold"), Replicate: 1}
		for _, name := range append(applyNames(), rampName(trial)+".svg", histogramName(trial), locustName(trial)) {
			const most = 200
			if !plain.MatchString(name) || len(name) > most {
				t.Fatalf("%q", name)
			}
		}
	})
}

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\tc":                  "a\nb\tc",
		"\x1b[31mred\x1b[0m":       "[31mred[0m",
		"1%\r2%":                   "1% 2%",
		"\u202eabc\u2066\u200f":    "abc",
		"\u009b2J\x9b\x00\x7f\xff": "2J",
		"日本 e\u0301":               "日本 e\u0301",
	} {
		if got := Harmless(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Line("a\n界界界\x1b", 5); displaywidth.String(got) > 5 || got != "a 界…" {
		t.Errorf("%q", got)
	}
}
