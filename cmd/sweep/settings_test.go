package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// set puts further axes into the small experiment's matrix, in place of its image.
func set(text, axes string) string {
	return strings.NewReplacer("  image: sweep/predictor:dev\n", "", "memory: [100M]}", "memory: [100M], "+axes+"}").Replace(text)
}

func parsed(t *testing.T, text string) *experiment.Experiment {
	t.Helper()
	e, err := experiment.Parse("small.yaml", []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOnlySomeSettings(t *testing.T) {
	text := set(experimentWith("CPUS=0.25, 0.5"), `env: {A: [1, 2], B: ["", x y]}, image: ["a:1", b]`)
	for selection, want := range map[string]int{"": 16, "A=2": 8, "A=2,cpus=0.5": 4, "B=": 8, "B=x y,A=1,image=a:1": 2, "memory=100M,image=b": 8} {
		e := parsed(t, text)
		if err := only(e, selection); err != nil || len(e.Matrix.Cells()) != want {
			t.Errorf("%q leaves %d cells, want %d (%v)", selection, len(e.Matrix.Cells()), want, err)
		}
		if err := recordable(e, "small.yaml"); err != nil {
			t.Error(err)
		}
	}
	for selection, want := range map[string]string{
		"A=3": "no cell of the matrix is like that", "A=1,A=2": "no cell of the matrix is like that",
		"C=1": `"C" is neither cpus nor memory, nor is it set by the matrix`, "cpus=x,A=3": "is not a number of CPUs",
	} {
		if err := only(parsed(t, text), selection); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", selection, err, want)
		}
	}
}

func TestImagesThatHaveChanged(t *testing.T) {
	images := func(ids ...string) measure.Manifest {
		m := measure.Manifest{Images: map[string]measure.Image{}}
		for i, id := range ids {
			m.Images[string(rune('a'+i))] = measure.Image{ID: id}
		}
		return m
	}
	for _, c := range []struct {
		was, is measure.Manifest
		want    string
	}{
		{measure.Manifest{ImageID: "1"}, measure.Manifest{Image: "x", ImageID: "1"}, ""},
		{measure.Manifest{ImageID: "1"}, measure.Manifest{Image: "x", ImageID: "2"}, "x"},
		{images("1", "2"), images("1", "2"), ""},
		{images("1", "2"), images("1", "3"), "b"},
		{images("1"), images("1", "3"), ""}, // one more
		{images("1", "2"), images("1"), ""}, // only one of them
	} {
		if got := changedImage(c.was, c.is); got != c.want {
			t.Errorf("from %v to %v: %q has changed, want %q", c.was, c.is, got, c.want)
		}
	}
}

// TestSettingsAreSwept runs two values of a variable on two images, which are
// one under two names: first one cell alone, then what is left.
func TestSettingsAreSwept(t *testing.T) {
	images := []string{"sweep-settings-test:one", "sweep-settings-test:two"}
	for _, image := range images {
		docker(t, "tag", "sweep/predictor:dev", image)
		t.Cleanup(func() { docker(t, "rmi", image) })
	}
	b := newBench(t)
	b.write("small.yaml", set(experimentWith("RAMP=1s", "HOLD=2s"), `env: {GOMAXPROCS: [1, 2]}, image: ["`+strings.Join(images, `", "`)+`"]`))
	if o := b.run(nil, "run", "small.yaml", "--only", "GOMAXPROCS=2,image="+images[1]); o.code != 0 || !strings.Contains(o.out, "GOMAXPROCS=2 and image "+images[1]+", the only configuration measured, carries 60 users") {
		t.Fatalf("exit %d: %s%s", o.code, o.out, o.err)
	}
	first := b.runDir()
	o := b.run(nil, "run", "small.yaml", "--json")
	if o.code != 0 || b.runDir() != first || !strings.Contains(o.err, "1 of 4 trials are recorded") {
		t.Fatalf("exit %d in %s: %s", o.code, b.runDir(), o.err)
	}
	var s struct {
		Cells []struct {
			Measured bool
			Settings map[string]string
			Image    string
		}
		Minimal *struct{ Image string }
	}
	if err := json.Unmarshal([]byte(o.out), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Cells) != 4 || s.Minimal == nil || s.Minimal.Image == "" {
		t.Fatalf("got %s", o.out)
	}
	for i, c := range s.Cells { // in order: by variable, then image
		if !c.Measured || c.Settings["GOMAXPROCS"] != []string{"1", "1", "2", "2"}[i] || c.Image != images[i%2] {
			t.Errorf("cell %d is %+v", i, c)
		}
	}
	text, err := os.ReadFile(filepath.Join(first, "manifest.json"))
	var m measure.Manifest
	if err := errors.Join(err, json.Unmarshal(text, &m)); err != nil || len(m.Images) != 2 || m.Images[images[0]].ID == "" || m.ImageID != "" {
		t.Errorf("the manifest has %s, %v", text, err)
	}
	trials, err := filepath.Glob(filepath.Join(first, "trials/0.25cpu-100M-GOMAXPROCS=[12]-sweep-settings-*-1.json"))
	if err != nil || len(trials) != 4 {
		t.Errorf("the trials are %v, %v", trials, err)
	}
	if o := b.run(nil, "report", "results"); !strings.Contains(o.out, "Memory Setting") || strings.Count(o.out, "\n  ") < 4 {
		t.Errorf("the table is\n%s", o.out)
	}
}
