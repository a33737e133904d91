// Package store keeps results on disk. It is the only writer of the results
// folder, and writes every file at once or not at all: what is there after a
// crash is whole.
//
//	results/<experiment>/<run>/
//	    experiment.yaml                 as resolved
//	    manifest.json                   what the run was made with
//	    trials/<cell>-<replicate>.json  one measurement each; of a hold <cell>-hold<users>-<replicate>
//	    logs/<cell>-<replicate>.log     the service's last output, where it failed
//	    check.json                      of a night of sweep check: what it said
//	    report/                         derived, remade at will
//
// It judges nothing and knows nothing of how results came about.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

const (
	experimentFile = "experiment.yaml"
	manifestFile   = "manifest.json"
	trialsFolder   = "trials"
	logsFolder     = "logs"
	reportFolder   = "report"
	checkFile      = "check.json"
	lockFile       = ".lock"
)

// ManifestSchema names the format of a stored manifest.
const ManifestSchema = "sweep.manifest/v1"

// Run is one run's folder.
type Run struct {
	dir        string
	Manifest   measure.Manifest
	Experiment *experiment.Experiment
	lock       *os.File
}

// Dir returns the run's folder.
func (r *Run) Dir() string { return r.dir }

// NewID returns a run's name, from the time at which it begins.
func NewID(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

// Create makes the folder of a new run below root and locks it.
func Create(root string, e *experiment.Experiment, m measure.Manifest) (*Run, error) {
	r := &Run{dir: filepath.Join(root, e.Name, m.Run), Manifest: m}
	for _, sub := range []string{trialsFolder, logsFolder} {
		if err := os.MkdirAll(filepath.Join(r.dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("making the results folder: %w; choose another with --results", err)
		}
	}
	if err := r.Lock(); err != nil {
		return nil, err
	}
	if err := r.Ask(e); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.writeManifest(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Run) writeManifest() error {
	text, err := json.MarshalIndent(r.Manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the manifest: %w", err)
	}
	return r.write(manifestFile, append(text, '\n'))
}

// Use records images from which cells are started, besides those that are.
func (r *Run) Use(images map[string]measure.Image) error {
	fresh := maps.Clone(images)
	maps.DeleteFunc(fresh, func(name string, _ measure.Image) bool {
		_, known := r.Manifest.Images[name]
		return known
	})
	if len(fresh) == 0 {
		return nil
	}
	maps.Copy(fresh, r.Manifest.Images)
	r.Manifest.Images = fresh
	return r.writeManifest()
}

// Examined records what was seen of engine and machine before the run was
// begun or continued, and on which cores its trials run.
func (r *Run) Examined(x measure.Examination, p measure.Placement) error {
	r.Manifest.Examined, r.Manifest.Placement = append(r.Manifest.Examined, x), p
	return r.writeManifest()
}

// Ask records the experiment that the run answers. A run that is continued
// may be asked for other cells or judged by another objective.
func (r *Run) Ask(e *experiment.Experiment) error {
	text, err := e.YAML()
	if err != nil {
		return fmt.Errorf("encoding the experiment: %w", err)
	}
	r.Experiment = e
	return r.write(experimentFile, text)
}

// Open reads the run in dir. It isn't locked.
func Open(dir string) (*Run, error) {
	r := &Run{dir: dir}
	if err := readJSON(filepath.Join(dir, manifestFile), &r.Manifest); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, experimentFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	}
	// What the environment held isn't recorded, and isn't needed to judge.
	r.Experiment, err = experiment.Parse(path, text, func(string) (string, bool) { return "", true })
	if err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	}
	return r, nil
}

// ErrLocked says that another sweep is writing to the run.
var ErrLocked = errors.New("another sweep is at work on this run")

// Lock makes the caller the run's only writer, until Close or the end of the
// process, however it ends. It fails with [ErrLocked] where there is one already.
func (r *Run) Lock() error {
	f, err := os.OpenFile(filepath.Join(r.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("locking the results: %w; choose another folder with --results", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for tries := 0; errors.Is(err, syscall.EWOULDBLOCK) && tries < lockTries; tries++ {
		time.Sleep(lockEvery)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w; wait for it to end", r.dir, ErrLocked)
		}
		return fmt.Errorf("locking %s: %w", r.dir, err)
	}
	r.lock = f
	if err := f.Truncate(0); err != nil { // whoever had it before is gone
		return errors.Join(fmt.Errorf("locking %s: %w", r.dir, err), r.Close())
	}
	return nil
}

// To see whether a run is at work, others lock it for an instant.
const (
	lockTries = 5
	lockEvery = 40 * time.Millisecond
)

// guarding is what the lock of a guard says.
const guarding = "guard"

// LockAsGuard is Lock for one that only puts back what a killed process left;
// see [Guarded].
func (r *Run) LockAsGuard() error {
	if err := r.Lock(); err != nil {
		return err
	}
	if _, err := r.lock.WriteString(guarding); err != nil {
		return errors.Join(fmt.Errorf("locking %s: %w", r.dir, err), r.Close())
	}
	return nil
}

// Guarded reports whether what a killed process left of the run in dir is being
// put back, so that it is worth waiting for.
func Guarded(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	return err == nil && string(text) == guarding && !Abandoned(dir)
}

// Close gives up the lock.
func (r *Run) Close() error {
	if r.lock == nil {
		return nil
	}
	_ = r.lock.Truncate(0) // of interest only while it is held
	err := r.lock.Close()
	r.lock = nil
	if err != nil {
		return fmt.Errorf("unlocking %s: %w", r.dir, err)
	}
	return nil
}

// Claim locks a folder that holds no run, so that nobody takes what is made in
// its name for abandoned, until it is closed or the process ends.
func Claim(dir string) (io.Closer, error) {
	r := &Run{dir: dir}
	if err := r.Lock(); err != nil {
		return nil, err
	}
	return r, nil
}

// Abandoned reports whether no process is at work on the run in dir any more.
func Abandoned(dir string) bool {
	r := &Run{dir: dir}
	switch err := r.Lock(); {
	case err == nil:
		_ = r.Close() // it was ours for an instant
		return true
	case errors.Is(err, fs.ErrNotExist):
		return true
	default:
		return false
	}
}

// Has reports whether the trial is recorded.
func (r *Run) Has(t experiment.Trial) bool {
	_, err := os.Stat(r.trialPath(t))
	return err == nil
}

func (r *Run) trialPath(t experiment.Trial) string {
	return filepath.Join(r.dir, trialsFolder, t.Slug()+".json")
}

// Put records a result, with the service's last output beside it where there
// is any.
func (r *Run) Put(result measure.Result) error {
	if result.Exit.Log != "" {
		if err := r.write(filepath.Join(logsFolder, result.Trial.Slug()+".log"), []byte(result.Exit.Log)); err != nil {
			return err
		}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encoding a result: %w", err)
	}
	return r.write(filepath.Join(trialsFolder, result.Trial.Slug()+".json"), append(text, '\n'))
}

// Results reads every recorded result, by cell and replicate. Of a large run
// that is more than fits into memory; see [Each].
func (r *Run) Results() ([]measure.Result, error) {
	return Each(r, func(result measure.Result) measure.Result { return result })
}

// Each reads every recorded result and returns what of makes of them, by cell
// and replicate. It calls of from several goroutines at once, and holds no more
// results than it has goroutines.
func Each[T any](r *Run, of func(measure.Result) T) ([]T, error) {
	paths, err := filepath.Glob(filepath.Join(r.dir, trialsFolder, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	type made struct {
		trial experiment.Trial
		of    T
	}
	all := make([]made, len(paths))
	var readers errgroup.Group
	readers.SetLimit(runtime.GOMAXPROCS(0))
	for i, path := range paths {
		readers.Go(func() error {
			result, err := readResult(path)
			if err == nil {
				all[i] = made{result.Trial, of(result)}
			}
			return err
		})
	}
	if err := readers.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // says which file and what to do
	}
	slices.SortStableFunc(all, func(a, b made) int { return a.trial.Compare(b.trial) })
	var out []T
	for _, m := range all {
		out = append(out, m.of)
	}
	return out, nil
}

// Result reads the recorded result of a trial.
func (r *Run) Result(t experiment.Trial) (measure.Result, error) {
	return readResult(r.trialPath(t))
}

func readResult(path string) (result measure.Result, err error) {
	err = readFile(path, func(text []byte) (err error) {
		result, err = measure.Decode(text)
		return err
	})
	if err != nil {
		return result, err
	}
	if result.Schema != measure.Schema {
		return result, fmt.Errorf("%s has the format %q; this sweep reads %q", path, result.Schema, measure.Schema)
	}
	return result, nil
}

// PutCheck records what a night of sweep check said.
func (r *Run) PutCheck(text []byte) error { return r.write(checkFile, text) }

// Check returns what [Run.PutCheck] recorded, nil where nothing is.
func (r *Run) Check() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, checkFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	return text, nil
}

// ReportDir returns where the run's report stands.
func (r *Run) ReportDir() string { return filepath.Join(r.dir, reportFolder) }

// Latest returns the newest run of an experiment below root, or nil where
// there is none. Runs are named by the time at which they began.
func Latest(root, name string) (*Run, error) {
	dirs, err := runDirs(filepath.Join(root, name))
	if err != nil || len(dirs) == 0 {
		return nil, err
	}
	return Open(dirs[len(dirs)-1])
}

// ErrNone says that there are no results in a folder.
var ErrNone = errors.New("holds no results; sweep run FILE makes some")

// All returns every run of an experiment below root, the oldest first.
func All(root, name string) ([]*Run, error) {
	dirs, err := runDirs(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	var runs []*Run
	for _, dir := range dirs {
		r, err := Open(dir)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// WriteFile writes a measurement, or a file of the user's such as a baseline, at
// once or not at all. It is on the disk when WriteFile returns.
func WriteFile(path string, text []byte) error {
	f, err := CreateFile(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Abandon())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Abandon())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Find returns the run at path, or the newest run of each experiment below it.
func Find(path string) ([]*Run, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("looking for results: %w", err)
	}
	if isRun(path) {
		r, err := Open(path)
		return []*Run{r}, err
	}
	var runs []*Run
	for _, pattern := range []string{"", "*"} { // an experiment's folder, or the folder of all
		parents, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return nil, fmt.Errorf("looking for results: %w", err)
		}
		for _, parent := range parents {
			dirs, err := runDirs(parent)
			if err != nil {
				return nil, err
			}
			if len(dirs) == 0 {
				continue
			}
			r, err := Open(dirs[len(dirs)-1])
			if err != nil {
				return nil, err
			}
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("%s %w", path, ErrNone)
	}
	return runs, nil
}

// runDirs returns the folders of runs in parent, the oldest first.
func runDirs(parent string) ([]string, error) {
	manifests, err := filepath.Glob(filepath.Join(parent, "*", manifestFile))
	if err != nil {
		return nil, fmt.Errorf("looking for results: %w", err)
	}
	for i, m := range manifests {
		manifests[i] = filepath.Dir(m)
	}
	slices.Sort(manifests)
	return manifests, nil
}

func isRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, manifestFile))
	return err == nil
}

func readJSON(path string, v any) error {
	return readFile(path, func(text []byte) error { return json.Unmarshal(text, v) })
}

// readFile reads a file of ours. One that is cut off or changed by hand is
// named, with the way out.
func readFile(path string, decode func([]byte) error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading results: %w", err)
	}
	if err := decode(text); err != nil {
		return fmt.Errorf("%s can't be read (%d bytes: %w); it was cut off or changed: delete it and run sweep again to measure it anew",
			path, len(text), err)
	}
	return nil
}

func (r *Run) write(name string, text []byte) error {
	return WriteFile(filepath.Join(r.dir, name), text)
}

// File is a file that appears under its name, whole, when it is closed.
type File struct {
	*os.File
	path string
}

var _ io.WriteCloser = (*File)(nil)

// CreateFile begins a file of a report at path. Folders on the way are made. It
// can be remade, so that nothing waits until it is on the disk; see [WriteFile].
func CreateFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("writing results: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+"-*")
	if err != nil {
		return nil, fmt.Errorf("writing results: %w", err)
	}
	return &File{File: f, path: path}, nil
}

// Close gives the file its name.
func (f *File) Close() error {
	err := errors.Join(f.Chmod(0o644), f.File.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), Remove(f.Name()))
	}
	return nil
}

// Abandon gives the file up.
func (f *File) Abandon() error {
	return errors.Join(f.File.Close(), Remove(f.Name()))
}

// Remove removes a file, if it is there.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", path, err)
	}
	return nil
}

// syncDir makes a renaming in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by those who ask for it
	}
	return errors.Join(d.Sync(), d.Close())
}
