package store_test

import (
	"errors"
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

const question = `version: 1
name: prediction
service: {image: "sweep/predictor:dev", port: 8000, env: {TOKEN: "${TOKEN}"}}
request: {path: /predict}
matrix: {cpus: [1, 2], memory: [200M]}
users: {target: 100, ramp: 10s}
`

func parse(t *testing.T) *experiment.Experiment {
	t.Helper()
	e, err := experiment.Parse("q.yaml", []byte(question), func(string) (string, bool) { return "hunter2", true })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func create(t *testing.T, root, id string) *store.Run {
	t.Helper()
	r, err := store.Create(root, parse(t), measure.Manifest{Schema: store.ManifestSchema, Run: id, Host: measure.Host{CPUs: 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func result(cpus experiment.CPUs) measure.Result {
	h := measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: 3})
	return measure.Result{
		Schema: measure.Schema, Trial: experiment.Trial{Limits: experiment.Limits{CPU: cpus, Memory: 200 * experiment.MiB}, Replicate: 1},
		Ready: true, Series: measure.Series{At: time.Second, Windows: []measure.Window{{Length: time.Second, Sent: 3, Done: 3, Response: h}}},
		Exit: measure.Exit{Log: "last words"},
	}
}

func TestImagesAreRecordedOnceAndForAll(t *testing.T) {
	r := create(t, t.TempDir(), "20261123T101500Z")
	for _, images := range []map[string]measure.Image{nil, {"a": {ID: "1"}}, {"a": {ID: "2"}, "b": {ID: "3", Digests: []string{"x@4"}}}} {
		if err := r.Use(images); err != nil {
			t.Fatal(err)
		}
	}
	back, err := store.Open(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	is := back.Manifest.Images
	if len(is) != 2 || is["a"].ID != "1" || is["b"].ID != "3" || len(is["b"].Digests) != 1 || back.Manifest.Host.CPUs != 2 {
		t.Errorf("the manifest is %+v", back.Manifest)
	}
}

func TestWhatIsPutIsFoundAgain(t *testing.T) {
	root := t.TempDir()
	r := create(t, root, "20261123T101500Z")
	for _, cpus := range []experiment.CPUs{2e9, 1e9} {
		if r.Has(result(cpus).Trial) {
			t.Error("recorded before it was")
		}
		if err := r.Put(result(cpus)); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := store.Find(root)
	if err != nil || len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	back, err := runs[0].Results()
	if err != nil || len(back) != 2 || back[0].Trial.Limits.CPU != 1e9 {
		t.Fatalf("%+v, %v", back, err)
	}
	if w := back[0].Series.Windows[0]; w.Response.Quantile(1) != time.Millisecond || w.Done != 3 {
		t.Errorf("window: %+v", w)
	}
	if text, err := os.ReadFile(filepath.Join(r.Dir(), "logs", "1cpu-200M-1.log")); err != nil || string(text) != "last words" {
		t.Errorf("log %q, %v", text, err)
	}
	if runs[0].Manifest.Host.CPUs != 2 || runs[0].Experiment.Name != "prediction" {
		t.Errorf("manifest %+v", runs[0].Manifest)
	}
}

func TestEachResultIsReadInOrder(t *testing.T) {
	r := create(t, t.TempDir(), "20261123T101500Z")
	for _, cpus := range []experiment.CPUs{10e9, 2e9, 1e9} {
		if err := r.Put(result(cpus)); err != nil {
			t.Fatal(err)
		}
	}
	cpus, err := store.Each(r, func(m measure.Result) experiment.CPUs { return m.Trial.Limits.CPU })
	if want := []experiment.CPUs{1e9, 2e9, 10e9}; err != nil || !slices.Equal(cpus, want) {
		t.Errorf("%v, %v", cpus, err)
	}
	one, err := r.Result(result(2e9).Trial)
	if err != nil || one.Trial.Limits.CPU != 2e9 || len(one.Series.Windows) == 0 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := r.Result(result(3e9).Trial); err == nil {
		t.Error("a trial that wasn't recorded is read")
	}
}

func TestWhatTheEnvironmentHeldIsNotRecorded(t *testing.T) {
	root := t.TempDir()
	create(t, root, "20261123T101500Z")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if text, _ := os.ReadFile(path); strings.Contains(string(text), "hunter2") {
			t.Errorf("%s holds the secret", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheNewestRunOfEachExperimentIsFound(t *testing.T) {
	root := t.TempDir()
	create(t, root, "20261123T101500Z")
	newest := create(t, root, "20261124T101500Z")
	for _, path := range []string{root, filepath.Dir(newest.Dir()), newest.Dir()} {
		runs, err := store.Find(path)
		if err != nil || len(runs) != 1 || runs[0].Dir() != newest.Dir() {
			t.Errorf("%s: %v, %v", path, runs, err)
		}
	}
	last, err := store.Latest(root, "prediction")
	if err != nil || last.Dir() != newest.Dir() {
		t.Errorf("latest %+v, %v", last, err)
	}
	if none, err := store.Latest(root, "another"); none != nil || err != nil {
		t.Errorf("another: %v, %v", none, err)
	}
}

func TestWrongFoldersAreNamed(t *testing.T) {
	empty := t.TempDir()
	for path, want := range map[string]string{
		empty:                                "holds no results; sweep run FILE makes some",
		filepath.Join(empty, "not", "there"): "no such file or directory",
	} {
		if _, err := store.Find(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(file, parse(t), measure.Manifest{Run: "r"}); err == nil || !strings.Contains(err.Error(), "choose another with --results") {
		t.Errorf("a results folder that is a file: %v", err)
	}
}

func TestACutOffFileIsNamedWithTheWayOut(t *testing.T) {
	r := create(t, t.TempDir(), "20261123T101500Z")
	if err := r.Put(result(1e9)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(r.Dir(), "trials", "1cpu-200M-1.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = r.Results()
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete it and run sweep again") {
		t.Errorf("got %v", err)
	}
}

func TestOneWriterAtATime(t *testing.T) {
	r := create(t, t.TempDir(), "20261123T101500Z")
	other, err := store.Open(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(); !errors.Is(err, store.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if store.Abandoned(r.Dir()) {
		t.Error("a run at work counts as abandoned")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !store.Abandoned(r.Dir()) || !store.Abandoned(filepath.Join(r.Dir(), "gone")) {
		t.Error("a run that nobody works on doesn't count as abandoned")
	}
}

func TestAFileAppearsWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "file")
	f, err := store.CreateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there before it was closed")
	}
	if err := f.Abandon(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAGuardIsKnownByItsLock(t *testing.T) {
	r := create(t, t.TempDir(), "20261124T120000Z")
	dir := r.Dir()
	if store.Guarded(dir) || store.Abandoned(dir) {
		t.Error("a run that is at work is neither guarded nor abandoned")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.LockAsGuard(); err != nil || !store.Guarded(dir) || store.Abandoned(dir) {
		t.Errorf("%v; guarded %t, abandoned %t", err, store.Guarded(dir), store.Abandoned(dir))
	}
	if err := r.Close(); err != nil || store.Guarded(dir) || !store.Abandoned(dir) {
		t.Errorf("%v; guarded %t, abandoned %t", err, store.Guarded(dir), store.Abandoned(dir))
	}
}

func TestExaminationsAreKept(t *testing.T) {
	root := t.TempDir()
	r := create(t, root, "20261123T101500Z")
	for _, endpoint := range []string{"one", "two"} {
		if err := r.Examined(measure.Examination{Endpoint: endpoint}, measure.Placement{Service: []int{0}, Generator: []int{1}}); err != nil {
			t.Fatal(err)
		}
	}
	back, err := store.Open(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if x := back.Manifest.Examined; len(x) != 2 || x[0].Endpoint != "one" || x[1].Endpoint != "two" || back.Manifest.Host.CPUs != 2 || back.Manifest.Placement.Generator[0] != 1 {
		t.Errorf("the manifest is %+v", back.Manifest)
	}
}

func TestWhatIsClaimedIsNotAbandoned(t *testing.T) {
	dir := t.TempDir()
	lock, err := store.Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if store.Abandoned(dir) {
		t.Error("abandoned while it is claimed")
	}
	if _, err := store.Claim(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("claimed twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if !store.Abandoned(dir) {
		t.Error("not abandoned once it is given up")
	}
}

// The folder of results needn't be there yet.
func TestFree(t *testing.T) {
	free, err := store.Free(filepath.Join(t.TempDir(), "not", "made", "yet"))
	if err != nil || free == nil || *free <= 0 {
		t.Errorf("got %v, %v", free, err)
	}
}
