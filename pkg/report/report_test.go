package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func runs() map[string]Run {
	return map[string]Run{
		"reference": reference(), "all_failed": allFailed(), "single": single(),
		"unknown": unknown(), "never_ready": neverReady(), "not_measured": notMeasured(),
		"searched": searched(), "repeated": repeated(), "proved": proved(),
		"foreseen": foreseen(), "doubtful": doubtful(), "settings": settings(),
	}
}

func TestGolden(t *testing.T) {
	formats := map[string]func(io.Writer, Run) error{"txt": Table, "md": Markdown, "csv": CSV, "json": JSON}
	for name, r := range runs() {
		for ext, write := range formats {
			t.Run(name+"."+ext, func(t *testing.T) {
				var b bytes.Buffer
				if err := write(&b, r); err != nil {
					t.Fatal(err)
				}
				checkGolden(t, filepath.Join("testdata", name+"."+ext), b.Bytes())
			})
		}
	}
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); -update rewrites it\n%s", path, diff)
	}
}

// The table's widest row: the longest words that an outcome and a cause have.
func TestTableFits120Columns(t *testing.T) {
	v := limited()
	v.Cause.Label, v.PeakMemory = analysis.CauseApplication, 209000000
	v.FirstFail = at(1, 10000, 1234567, 1, 1, 0)
	r := runOf("", nil, cellOf(0.25, 500, v), cellOf(0.5, 500, passed()), cellOf(1, 500, analysis.Verdict{Outcome: analysis.NotMeasured})).withMinimal(1)
	r.Surface.Models, r.Surface.Cells[2].Predicted = modelOf(analysis.Model{Trusted: true}), &analysis.Prediction{Users: 10000}
	r.Surface.Minimal.PricePerMillion = 0.000012
	for _, c := range []struct {
		trials int
		env    map[string]string
	}{{1, nil}, {5, nil}, {1, map[string]string{"WORKERS": "16"}}} {
		r.Surface.Cells[0].Trials, r.Surface.Cells[0].Trial.Limits.Env = c.trials, experiment.VariablesOf(c.env)
		var b strings.Builder
		if err := Table(&b, r); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 120 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestTextFromOutsideIsHarmless(t *testing.T) {
	r := hostile()
	for name, write := range map[string]func(io.Writer, Run) error{"table": Table, "markdown": Markdown, "csv": CSV} {
		var b bytes.Buffer
		if err := write(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"\x1b", "\u202e", "\r", "\x00"} {
			if strings.Contains(b.String(), bad) {
				t.Errorf("%s has %q in it", name, bad)
			}
		}
		if name == "markdown" && strings.Contains(b.String(), "<script") {
			t.Error("Markdown has a tag in it")
		}
		if b.Len() > 12000 {
			t.Errorf("%s is %d bytes long", name, b.Len())
		}
	}
}

// hostile is a run whose texts would do harm if they could.
func hostile() Run {
	evil := "<script>alert(1)</script>\x1b[31m\r\n| `x` \u202e\x00" + strings.Repeat("long name ", 1000)
	r := reference()
	r.ID, r.Surface.Experiment, r.Surface.Answer = evil, evil, evil
	r.Surface.Warnings = []string{evil}
	r.Surface.Cells[0].Cause.Evidence = []string{evil}
	r.Surface.Cells[1].Warnings = []string{"=HYPERLINK(1)" + evil}
	return r
}

func TestJSONHasTheContractsFields(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, notMeasured()); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	fields(t, got, "schema", "experiment", "run", "target_users", "cells", "frontier", "minimal", "apply", "answer", "warnings")
	fields(t, got["apply"], "cpus", "memory_bytes", "headroom", "proved")
	fields(t, got["minimal"], "cpus", "memory_bytes", "price_hour", "price_per_million", "headroom")
	for _, cell := range got["cells"].([]any) {
		want := []string{
			"cpus", "memory_bytes", "measured", "trials", "starts", "outcome", "last_pass", "first_fail", "breach", "cause",
			"peak_memory_bytes", "cpu_seconds_per_request", "price_hour", "warnings", "proved",
		}
		if cell.(map[string]any)["last_pass"] != nil {
			want = append(want, "price_per_million")
		}
		fields(t, cell, want...)
	}
	b.Reset()
	if err := JSON(&b, reference()); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	oom, good := got["cells"].([]any)[0].(map[string]any), got["cells"].([]any)[2].(map[string]any)
	fields(t, oom["last_pass"], "users", "requests", "throughput", "p50_ms", "p95_ms", "p99_ms", "error_rate", "deficit")
	fields(t, oom["breach"], "objective", "observed", "limit")
	fields(t, oom["cause"], "label", "evidence", "confirmed_by")
	if good["cause"] != nil || good["first_fail"] != nil || good["breach"] != nil {
		t.Errorf("a cell that passed has a cause, a failure or a breach: %v", good)
	}
	if strings.Contains(b.String(), `"warnings": null`) || got["schema"] != "sweep.summary/v1" {
		t.Errorf("%s", b.String())
	}
}

func fields(t *testing.T, object any, want ...string) {
	t.Helper()
	var got []string
	for name := range object.(map[string]any) {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
}

func TestWhatIsPredictedIsRoundedDown(t *testing.T) {
	for n, want := range map[int]int{0: 0, 7: 7, 99: 99, 101: 100, 4399: 4300, 9999: 9900, 10049: 10000} {
		if got := about(n); got != want {
			t.Errorf("about %d: got %d, want %d", n, got, want)
		}
	}
}

func TestEmptyRun(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Run) error{
		"table": Table, "markdown": Markdown, "csv": CSV, "json": JSON,
		"matrix": func(w io.Writer, r Run) error { return Matrix(r).WriteSVG(w) },
	} {
		var b bytes.Buffer
		if err := write(&b, Run{}); err != nil || b.Len() == 0 {
			t.Errorf("%s: %v, %d bytes", name, err, b.Len())
		}
	}
}

// A folder keeps what is written, by name.
type folder map[string]*bytes.Buffer

type open struct{ io.Writer }

func (open) Close() error { return nil }

func (f folder) create(name string) (io.WriteCloser, error) {
	f[name] = &bytes.Buffer{}
	return open{f[name]}, nil
}

// files returns what Write makes of a run, by name.
func files(t *testing.T, r Run) map[string]string {
	t.Helper()
	var alone sync.Mutex
	buffers, out := folder{}, map[string]string{}
	err := Write(r, func(name string) (io.WriteCloser, error) {
		alone.Lock()
		defer alone.Unlock()
		return buffers.create(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range buffers {
		out[name] = b.String()
	}
	return out
}

func TestWriteMakesWhatReportLinks(t *testing.T) {
	r := reference()
	want := []string{"report.md", "summary.json", "cells.csv", "index.html", "matrix.svg", "matrix.png", "apply/compose.override.yaml", "apply/kubernetes.yaml", "apply/docker-update.sh"}
	var besides []string
	for _, trial := range []string{"1cpu-200M-1", "2cpu-200M-1", "2cpu-500M-1"} {
		want = append(want, "ramp-"+trial+".svg")
		besides = append(besides, "ramp-"+trial+".png", trial+".hlog", trial+"_stats_history.csv")
	}
	for _, x := range []Extent{Drawn, Every} {
		r.Extent = x
		if x == Every {
			want, besides = append(want, besides...), nil
		}
		made := files(t, r)
		if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%d: made %q", x, got)
		}
		if got := Outdated(r); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(besides))) {
			t.Errorf("%d: outdated are %q", x, got)
		}
		for name := range made {
			if name != "report.md" && !strings.Contains(made["report.md"], "("+name+")") {
				t.Errorf("%d: report.md doesn't link %s", x, name)
			}
		}
	}
}

// A run whose windows are read when they are needed gives the same bytes as one
// that holds them.
func TestWriteGivesTheSameBytes(t *testing.T) {
	r := reference()
	r.Extent = Every
	held := files(t, r)
	whole := r.Results
	r.Results = slices.Clone(whole)
	for i := range r.Results {
		r.Results[i].Series.Windows = nil
	}
	r.Read = func(trial experiment.Trial) (measure.Result, error) {
		return whole[slices.IndexFunc(whole, func(m measure.Result) bool { return m.Trial == trial })], nil
	}
	if diff := cmp.Diff(held, files(t, r)); diff != "" {
		t.Error(diff)
	}
	var a, b strings.Builder
	if err := errors.Join(Charts(&a, reference(), Look{Width: 80}), Charts(&b, r, Look{Width: 80})); err != nil || a.String() != b.String() {
		t.Errorf("%v: the charts differ:\n%s\n%s", err, &a, &b)
	}
	r.Read = func(experiment.Trial) (measure.Result, error) { return measure.Result{}, errFull }
	if err := HTML(io.Discard, r); !errors.Is(err, errFull) {
		t.Errorf("a trial that can't be read: %v", err)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
func (full) Close() error              { return nil }

func TestWriteTellsWhichFileFailed(t *testing.T) {
	for _, failing := range []struct {
		io.WriteCloser
		error
	}{{nil, errFull}, {full{}, nil}} {
		err := Write(single(), func(name string) (io.WriteCloser, error) {
			if name == "report.md" {
				return failing.WriteCloser, failing.error
			}
			return open{io.Discard}, nil
		})
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "report.md") {
			t.Errorf("%v", err)
		}
	}
}
