package experiment_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sweep/pkg/experiment"
)

// FuzzParse checks that no file makes Parse panic or run away, that every
// error is a list of faults with positions, and that what is accepted can be
// recorded and read back without the environment.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, path := range append(files, "testdata/contract.yaml") {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		e, err := experiment.Parse("x.yaml", src, environment)
		if err != nil {
			var faults experiment.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, fault := range faults {
				if fault.File == "" || fault.Line < 1 || fault.Column < 1 || fault.Message == "" {
					t.Errorf("%#v", fault)
				}
			}
			return
		}
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := experiment.Parse("x.yaml", text, recorded)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if e.Digest() != back.Digest() {
			t.Fatalf("the digest is %s, then %s\n%s", e.Digest(), back.Digest(), text)
		}
	})
}

// recorded is the environment for files among results.
func recorded(string) (string, bool) { return "", true }
