package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// One machine that is fit and one that isn't, with a check of every state.
func TestDoctorPrints(t *testing.T) {
	x := measure.Examination{
		Endpoint: "tcp://10.0.0.7:2376",
		Host:     measure.Host{Engine: "29.1.0", API: "1.52", OS: "Debian GNU/Linux 13", Kernel: "6.12.48", CgroupVersion: "2", CPUs: 2, Memory: 4 * experiment.GiB},
		Runtime:  "runc", CgroupDriver: "systemd", SwapLimit: true, ClockOffset: 40 * time.Millisecond, ClockWithin: 12 * time.Millisecond,
		Trial: &measure.ProbeTrial{
			Limits: experiment.Limits{CPU: 200_000_000, Memory: 32 * experiment.MiB},
			Saw: &measure.Probe{
				Wall: time.Second, CPU: 201 * time.Millisecond, Periods: new(uint64(10)), Throttled: new(uint64(10)),
				Others: new(0.62), Steal: new(0.004), Files: new(uint64(1024)), MostFiles: new(uint64(524288)), Ports: new(28232), Disk: new(11 * experiment.GiB),
				Swap: new(2 * experiment.GiB), ClockSource: "kvm-clock", Scheduler: "disabled", Pressure: new(true),
			},
			Exit: measure.Exit{Died: true, Code: 137, OOMKilled: true},
		},
	}
	need := analysis.Need{Users: 10000, Free: new(20 * experiment.GiB)}
	unfit := x
	unfit.Trial = &measure.ProbeTrial{Limits: x.Trial.Limits, Saw: new(*x.Trial.Saw), Exit: measure.Exit{Died: true}}
	unfit.Trial.Saw.CPU = time.Second
	for name, x := range map[string]measure.Examination{"fit": x, "unfit": unfit} {
		checks := analysis.Fitness(x, need)
		var out bytes.Buffer
		if err := printDiagnosis(&out, diagnosis{Checks: checks, Fit: len(analysis.Failed(checks)) == 0}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "doctor-"+name+".txt")
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", path, &out, want)
		}
	}
}

// This engine enforces limits, and the doctor sees it. It also leaves nothing.
func TestDoctor(t *testing.T) {
	b := newBench(t)
	got := b.run(nil, "doctor", "small.yaml", "--json")
	if got.code != exitDone {
		t.Fatalf("exit code %d: %s%s", got.code, got.out, got.err)
	}
	var d diagnosis
	if err := json.Unmarshal([]byte(got.out), &d); err != nil {
		t.Fatal(err)
	}
	if d.Schema != "sweep.doctor/v1" || !d.Fit || d.Examination == nil || d.Examination.Trial == nil || d.Examination.Trial.Saw == nil {
		t.Errorf("it found %+v", d)
	}
	for _, c := range d.Checks {
		if c.State == analysis.Unfit || c.Name == "CPU limit" && c.State == analysis.NotVisible || c.Name == "memory limit" && c.State != analysis.OK {
			t.Errorf("%+v", c)
		}
	}
	if got := b.run(nil, "doctor", "a", "b"); got.code != exitUsage {
		t.Errorf("with two files the exit code is %d: %s", got.code, got.err)
	}
}

func TestDoctorWithoutEngine(t *testing.T) {
	b := newBench(t)
	got := b.run([]string{"DOCKER_HOST=unix:///nowhere.sock"}, "doctor")
	if got.code != exitInstrument || !strings.Contains(got.out, "✗ failure      engine ") || !strings.Contains(got.out, "unix:///nowhere.sock") {
		t.Errorf("exit code %d: %s%s", got.code, got.out, got.err)
	}
}

// Service and generator run where the plan says, and the manifest says which
// cores these are.
func TestPlacementIsPlannedAndRecorded(t *testing.T) {
	b := newBench(t)
	b.write("apart.yaml", "placement: separate\n"+experimentWith())
	if got := b.run(nil, "plan", "apart.yaml"); !strings.Contains(got.out, "of its own") && !strings.Contains(got.out, "share all cores") {
		t.Errorf("the plan is %s%s", got.out, got.err)
	}
	if got := b.run(nil, "run", "apart.yaml"); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	run, err := store.Latest(filepath.Join(b.dir, "results"), "small")
	if err != nil {
		t.Fatal(err)
	}
	cells := run.Experiment.Matrix.Cells()
	if got, want := run.Manifest.Placement, analysis.Place(run.Manifest.Examined[0].Trial.Saw.Cores, cells); !reflect.DeepEqual(got, want) {
		t.Errorf("placed on %v, want %v", got, want)
	}
	results, err := run.Results()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range results[0].Series.Windows {
		if n := len(run.Manifest.Placement.Generator); n > 0 && w.Effort != nil && w.Effort.Cores > float64(n) {
			t.Errorf("the generator had %v cores, not %d", w.Effort.Cores, n)
		}
	}
}

func TestPlanOfAPlacement(t *testing.T) {
	for cpus, want := range map[int]string{
		0: "", 1: "Service and generator share all cores: the biggest cell leaves none.",
		2: "The service runs on 1 core, the generator on 1 core of its own.",
		8: "The service runs on 4 cores, the generator on 4 cores of its own.",
	} {
		e, err := experiment.Parse("x.yaml", []byte("placement: separate\n"+experimentWith()), os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		if got := planTrials(e, measure.Host{CPUs: cpus}).Placement.String(); got != want {
			t.Errorf("with %d cores: got %q, want %q", cpus, got, want)
		}
		e.Placement = experiment.Placement{}
		if got := planTrials(e, measure.Host{CPUs: cpus}).Placement; got != nil {
			t.Errorf("nobody asked, and it plans %v", got)
		}
	}
}

// A run examines the machine first, and again where it is continued.
func TestRunRecordsItsExamination(t *testing.T) {
	b := newBench(t)
	if got := b.run(nil, "run", "small.yaml"); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	b.ask("CPUS=0.25, 0.5")
	if got := b.run(nil, "run", "small.yaml"); got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.err)
	}
	run, err := store.Latest(filepath.Join(b.dir, "results"), "small")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(run.Manifest.Examined); n != 2 {
		t.Fatalf("it was examined %d times, want 2", n)
	}
	if x := run.Manifest.Examined[1]; x.Trial == nil || !x.Trial.Exit.OOMKilled {
		t.Errorf("it saw %+v", x)
	}
}
