package experiment_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sweep/pkg/experiment"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment is what the files in testdata may name.
func environment(name string) (string, bool) {
	value, ok := map[string]string{"USERS": "5000", "TOKEN": "s3cret", "EMPTY": "", "LINES": "a\nb"}[name]
	return value, ok
}

// golden compares got with a file, or writes the file if -update is set.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (rewrite it with -update):\n%s", path, diff)
	}
}

func parse(t *testing.T, src string) *experiment.Experiment {
	t.Helper()
	e, err := experiment.Parse("x.yaml", []byte(src), environment)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return e
}

// TestFaults reads every testdata/faults/NAME.yaml and compares its faults with
// NAME.faults beside it. The files are grouped by what they are about, because
// all faults of a file are found at once.
func TestFaults(t *testing.T) {
	files, _ := filepath.Glob("testdata/faults/*.yaml")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = experiment.Parse(filepath.Base(path), src, environment)
			if err == nil {
				t.Fatal("no fault was found")
			}
			if faults := experiment.Faults(nil); !errors.As(err, &faults) {
				t.Errorf("the error is %T", err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".faults", err.Error()+"\n")
		})
	}
}

// equal compares two experiments; what is empty may be nil.
func equal(a, b *experiment.Experiment) string {
	return cmp.Diff(a, b, cmpopts.EquateEmpty(), cmp.AllowUnexported(experiment.Placement{}), cmpopts.IgnoreUnexported(experiment.Experiment{}, experiment.Feed{}))
}

// TestContract reads the example of the contract, which says everything that
// a file can say, and writes it back.
func TestContract(t *testing.T) {
	src, err := os.ReadFile("testdata/contract.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e := parse(t, string(src))
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/contract.resolved", string(text))
	if diff := equal(e, parse(t, string(text))); diff != "" {
		t.Error(diff)
	}
}
