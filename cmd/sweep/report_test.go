package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

const reported = `version: 1
name: api
service: {image: x, port: 80}
request: {path: /, timeout: 5s}
matrix: {cpus: [1, 2], memory: [200M]}
users: {target: 1000, ramp: 10s, hold: 5s}
`

// recorded records a run of two cells, made for p99 <= 1s: one was stopped at
// 800 users, where answers took two seconds; the other carried all 1,000 within
// 100 ms up to 500 users and 400 ms from there on.
func recorded(t *testing.T, root string) *store.Run {
	t.Helper()
	e, err := experiment.Parse("q.yaml", []byte(reported), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Create(root, e, measure.Manifest{Schema: store.ManifestSchema, Run: "20261123T101500Z", Host: measure.Host{CPUs: 8}})
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	ms := time.Millisecond
	for cpus, took := range map[experiment.CPUs][]time.Duration{
		1e9: slices.Concat(slices.Repeat([]time.Duration{100 * ms}, 6), slices.Repeat([]time.Duration{2000 * ms}, 2)),
		2e9: slices.Concat(slices.Repeat([]time.Duration{100 * ms}, 5), slices.Repeat([]time.Duration{400 * ms}, 10)),
	} {
		r := measure.Result{
			Schema: measure.Schema, Trial: experiment.Trial{Limits: experiment.Limits{CPU: cpus, Memory: 200 * experiment.MiB}, Replicate: 1},
			Ready: true, Loaded: time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC),
		}
		for i, each := range took {
			n := min(1000, 100*(i+1))
			r.Series.Windows = append(r.Series.Windows, measure.Window{
				Start: time.Duration(i) * time.Second, Length: time.Second, Users: n, Sent: uint64(n), Done: uint64(n), Answered: uint64(n),
				Response: measure.NewHistogram(measure.Bucket{Value: each, Count: uint64(n)}),
			})
		}
		r.Series.At = time.Duration(len(took)) * time.Second
		if err := run.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	return run
}

// sweepReport runs the verb in this process.
func sweepReport(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), append([]string{"sweep", "report"}, args...), console{in: strings.NewReader(""), out: &out, err: &errs})
	return outcome{code, out.String(), errs.String()}
}

// files returns what stands in a folder, by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func objectiveFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "objective.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnotherObjectiveLeavesTheRunAsItIs(t *testing.T) {
	root := t.TempDir()
	run := recorded(t, root)
	if o := sweepReport(t, root); o.code != 0 || !strings.Contains(o.out, "2 CPU / 200M is the least of 2 measured configurations that carries 1,000 users with p99 <= 1s and errors <= 1%.") {
		t.Fatalf("%+v", o)
	}
	before := files(t, run.Dir())
	// The flag stands after the argument, where people write it.
	o := sweepReport(t, root, "--objective", objectiveFile(t, "{p99: 3s}"))
	for _, want := range []string{
		"inconclusive", "warning: judged by p99 <= 3s, but measured for p99 <= 1s, errors <= 1%",
		"1 CPU / 200M: stopped at 800 users: p99 <= 1s was breached from 700 on; what lies beyond wasn't run",
		"2 CPU / 200M carries 1,000 users with p99 <= 3s, but whether it is the least isn't known: 1 CPU / 200M (stopped at 800 users: p99 <= 1s was breached from 700 on).",
	} {
		if o.code != 0 || !strings.Contains(o.out, want) {
			t.Errorf("exit %d, no %q:\n%s%s", o.code, want, o.out, o.err)
		}
	}
	dir := filepath.Dir(strings.TrimPrefix(strings.TrimSpace(o.err), "Report: "))
	if !strings.HasPrefix(dir, run.ReportDir()+"-") {
		t.Fatalf("it says %q", o.err)
	}
	after := files(t, run.Dir())
	made := files(t, dir)
	maps.DeleteFunc(after, func(path, _ string) bool { return made[path] != "" })
	if !maps.Equal(before, after) {
		t.Error("the run or its own report was changed")
	}
	if !strings.Contains(made[filepath.Join(dir, "report.md")], "objective p99 <= 3s") {
		t.Errorf("the report is of another objective:\n%s", made[filepath.Join(dir, "report.md")])
	}
}

func TestAStricterObjectiveIsCarriedByTheRamp(t *testing.T) {
	root, out := t.TempDir(), t.TempDir()
	run := recorded(t, root)
	o := sweepReport(t, "--objective", objectiveFile(t, "version: 1\nobjective: {p95: 300ms}\n"), "--out", out, run.Dir(), "--format", "markdown")
	for _, want := range []string{
		"the bracket is the ramp's: 500 users passed on the way up, and weren't held",
		"None of the 2 measured configurations carries 1,000 users with p95 <= 300ms; the most was 600 on 1 CPU / 200M.",
	} {
		if o.code != 0 || !strings.Contains(o.out, want) {
			t.Errorf("exit %d, no %q:\n%s%s", o.code, want, o.out, o.err)
		}
	}
	if files(t, out)[filepath.Join(out, "summary.json")] == "" {
		t.Error("nothing in --out")
	}
	if beside, _ := filepath.Glob(run.ReportDir() + "*"); len(beside) > 0 {
		t.Errorf("also written: %v", beside)
	}
}

func TestObjectivesThatCanNotBeJudged(t *testing.T) {
	root := t.TempDir()
	run := recorded(t, root)
	before := files(t, run.Dir())
	bad := objectiveFile(t, "{p99: 20s, eror: 1%}")
	for file, want := range map[string]string{
		bad:                          bad + ":1:7: p99: 20s can't be judged: the timeout of api was 5s, and no answer that took longer was seen; ask for no more than that, or measure again with a longer request.timeout\n" + bad + ":1:12: eror: is not known here; did you mean errors?",
		filepath.Join(root, "none"):  "sweep: reading the objective: open ",
		objectiveFile(t, "p99: 1s:"): "",
	} {
		if o := sweepReport(t, root, "--objective", file); o.code != exitUsage || !strings.HasPrefix(o.err, want) || o.out != "" {
			t.Errorf("exit %d: %s%s\nwant %s", o.code, o.err, o.out, want)
		}
	}
	if !maps.Equal(before, files(t, run.Dir())) {
		t.Error("something was written")
	}
}

func TestReportHelpShowsHowToJudgeAgain(t *testing.T) {
	if o := sweepReport(t, "--help"); o.code != 0 || !strings.Contains(o.out, "sweep report results/ --objective strict.yaml") {
		t.Errorf("%+v", o)
	}
}

// Files of each trial are made when they are asked for, and don't outlive that
// report.
func TestReportWritesFilesOfTrialsWhenAsked(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(recorded(t, root).Dir(), "report")
	usual := []string{"ramp-1cpu-200M-1.svg", "ramp-2cpu-200M-1.svg"}
	all := append(slices.Clone(usual), "ramp-1cpu-200M-1.png", "ramp-2cpu-200M-1.png", "1cpu-200M-1.hlog", "2cpu-200M-1.hlog",
		"1cpu-200M-1_stats_history.csv", "2cpu-200M-1_stats_history.csv")
	for _, c := range []struct {
		args, want []string
	}{{[]string{"--trials"}, all}, {nil, usual}} {
		if o := sweepReport(t, append(c.args, root)...); o.code != 0 {
			t.Fatalf("%+v", o)
		}
		var got []string
		for path := range files(t, dir) {
			if name := filepath.Base(path); strings.Contains(name, "200M-1") {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", c.args, got, want)
		}
	}
}
