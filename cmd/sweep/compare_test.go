package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

// another copies a run beside itself, under another name and made on another
// host.
func another(t *testing.T, run *store.Run) *store.Run {
	t.Helper()
	m := run.Manifest
	m.Run, m.Host.CPUs = "20261201T080000Z", 4
	other, err := store.Create(filepath.Dir(filepath.Dir(run.Dir())), run.Experiment, m)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	results, err := run.Results()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Trial.Limits.CPU == 1e9 { // it fails a second earlier
			r.Series.Windows = append(r.Series.Windows[:5:5], r.Series.Windows[6:]...)
			for i := range r.Series.Windows {
				r.Series.Windows[i].Start = time.Duration(i) * time.Second
				r.Series.Windows[i].Users = 100 * (i + 1)
			}
			r.Series.At -= time.Second
		}
		if err := other.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	return other
}

func TestTwoRunsAreCompared(t *testing.T) {
	root := t.TempDir()
	a := recorded(t, root)
	b := another(t, a)
	before := files(t, root)
	o := sweepReport(t, a.Dir(), b.Dir())
	if o.code != 0 || !strings.HasPrefix(o.out, "! not the same host: A 8 CPUs") || !strings.Contains(o.out, "2 CPU / 200M is the least that carries 1,000 users in both. Of 2 configurations in both, ") {
		t.Errorf("%+v", o)
	}
	o = sweepReport(t, "--format", "json", a.Dir(), b.Dir(), "--objective", objectiveFile(t, "{p95: 300ms}"))
	var got struct {
		Schema string
		Cells  []struct {
			A, B *struct{ Outcome string }
		}
	}
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || got.Schema != "sweep.compare/v1" || len(got.Cells) != 2 || got.Cells[1].A.Outcome != "breached" {
		t.Errorf("%v: %+v", err, o)
	}
	if o := sweepReport(t, a.Dir(), b.Dir(), "--format", "markdown"); o.code != 0 || !strings.Contains(o.out, "> [!CAUTION]") {
		t.Errorf("%+v", o)
	}
	if !maps.Equal(before, files(t, root)) {
		t.Error("comparing wrote something")
	}
}

func TestWhatCanNotBeCompared(t *testing.T) {
	root, empty := t.TempDir(), t.TempDir()
	a := recorded(t, root)
	b := another(t, a)
	two := t.TempDir()
	recorded(t, two)
	e := *a.Experiment
	e.Name = "other"
	if run, err := store.Create(two, &e, measure.Manifest{Schema: store.ManifestSchema, Run: "20261123T101500Z"}); err != nil || run.Close() != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(a.Dir(), link); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"are the same run, 20261123T101500Z; name two to compare": {a.Dir(), a.Dir() + "/."},
		"are the same run": {link, a.Dir()},
		empty + " holds no results; sweep run FILE makes some":           {a.Dir(), empty},
		"looking for results: stat ":                                     {filepath.Join(empty, "none"), a.Dir()},
		"report takes one folder of results, or two to compare":          {a.Dir(), b.Dir(), a.Dir()},
		two + " holds runs of 2 experiments; name one of them":           {two, a.Dir()},
		"--format csv: two runs are compared as table, markdown or json": {a.Dir(), b.Dir(), "--format", "csv"},
		"--out: comparing two runs writes no files":                      {a.Dir(), b.Dir(), "--out", empty},
		"--charts: two runs are compared without charts":                 {a.Dir(), b.Dir(), "--charts"},
		"--charts stand above the table; leave --format json out":        {a.Dir(), "--charts", "--format", "json"},
	} {
		if o := sweepReport(t, args...); o.code != exitUsage || !strings.Contains(o.err, want) || o.out != "" {
			t.Errorf("%v: exit %d: %s%s\nwant %s", args, o.code, o.err, o.out, want)
		}
	}
}

// Where the output is no terminal there are charts only where they are asked
// for, and then nothing but ASCII.
func TestChartsOutsideATerminal(t *testing.T) {
	run := recorded(t, t.TempDir())
	plain, charts := sweepReport(t, run.Dir()), sweepReport(t, run.Dir(), "--charts")
	drawn, ok := strings.CutSuffix(charts.out, plain.out)
	if !ok || !strings.Contains(drawn, "F first fail 700 users at 7s") || strings.ContainsFunc(drawn, func(c rune) bool { return c > '~' }) {
		t.Errorf("%+v", charts)
	}
}

// What put an older answer into force goes where there is none any more.
func TestWhatIsToBeAppliedFollowsTheAnswer(t *testing.T) {
	run, out := recorded(t, t.TempDir()), t.TempDir()
	apply := filepath.Join(out, "apply")
	if o := sweepReport(t, run.Dir(), "--out", out); o.code != 0 || !strings.Contains(files(t, apply)[filepath.Join(apply, "docker-update.sh")], "--cpus 2 --memory 200M --memory-swap 200M") {
		t.Fatalf("%+v: %v", o, files(t, out))
	}
	if o := sweepReport(t, run.Dir(), "--out", out, "--objective", objectiveFile(t, "{p95: 300ms}")); o.code != 0 || len(files(t, apply)) > 0 {
		t.Errorf("%+v: %v", o, files(t, apply))
	}
}

// What an engine or a service says reaches the terminal without what would move
// its cursor.
func TestErrorsAreHarmless(t *testing.T) {
	o := sweepReport(t, "no\x1b[2Jsuch\u202e\r", "other")
	if o.code != exitUsage || strings.ContainsAny(o.err, "\x1b\r\u202e") || !strings.Contains(o.err, "no[2Jsuch") {
		t.Errorf("%q", o.err)
	}
	var out, errs strings.Builder
	c := console{out: &out, err: &errs}.harmless()
	fmt.Fprintf(c.out, "%s\x1b]0;title\a%s\n", "left", "right")
	fmt.Fprintf(c.err, "50%%\r100%%\u202e\u009b2J\n")
	if out.String() != "left]0;titleright\n" || errs.String() != "50% 100%2J\n" {
		t.Errorf("%q, %q", out.String(), errs.String())
	}
}

// The engine takes the command that docker-update.sh has, and it does what it
// says. The container never runs.
func TestTheEngineTakesTheUpdate(t *testing.T) {
	run, out := recorded(t, t.TempDir()), t.TempDir()
	if o := sweepReport(t, run.Dir(), "--out", out); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	id := docker(t, "create", "--label", "sweep.test=update", "--memory", "1g", "--memory-swap", "2g", "sweep/predictor:dev")
	t.Cleanup(func() { docker(t, "rm", "--force", id) })
	text, err := command(t.Context(), "sh", filepath.Join(out, "apply"), "docker-update.sh", id).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	const mib = int64(experiment.MiB)
	var got struct{ NanoCPUs, Memory, MemorySwap int64 }
	if err := json.Unmarshal([]byte(docker(t, "inspect", "--format", `{"NanoCPUs": {{.HostConfig.NanoCpus}}, "Memory": {{.HostConfig.Memory}}, "MemorySwap": {{.HostConfig.MemorySwap}}}`, id)), &got); err != nil {
		t.Fatal(err)
	}
	if got.NanoCPUs != 2e9 || got.Memory != 200*mib || got.MemorySwap != 200*mib {
		t.Errorf("%+v", got)
	}
}
