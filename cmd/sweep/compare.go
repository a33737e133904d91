package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"sweep/pkg/report"
	"sweep/pkg/store"
)

// compare prints what the run at b says beside the run at a. It writes nothing.
func compare(c console, a, b string, o reportOptions) error {
	look, _ := lookOf(c.out)
	printer, ok := map[string]func(io.Writer, report.Compared) error{
		"table":    func(w io.Writer, x report.Compared) error { return report.CompareTable(w, x, look) },
		"markdown": report.CompareMarkdown, "json": report.CompareJSON,
	}[o.format]
	switch {
	case !ok:
		return usagef("--format %s: two runs are compared as table, markdown or json", o.format)
	case o.out != "":
		return usagef("--out: comparing two runs writes no files; leave it out")
	case o.extent != report.Drawn:
		return usagef("--trials: comparing two runs writes no files; leave it out")
	case o.charts:
		return usagef("--charts: two runs are compared without charts; report each of them")
	}
	var runs []*store.Run
	for _, path := range []string{a, b} {
		run, err := oneRun(path)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	if same(runs[0].Dir(), runs[1].Dir()) {
		return usagef("%s and %s are the same run, %s; name two to compare", a, b, runs[0].Manifest.Run)
	}
	objectives, err := readObjectives(o.objective, runs)
	if err != nil {
		return err
	}
	var sides []report.Run
	for i, run := range runs {
		var r report.Run
		if o.objective == "" {
			r, err = judge(run)
		} else {
			r, err = judgeAgain(run, objectives[i])
		}
		if err != nil {
			return err
		}
		sides = append(sides, r)
	}
	return printer(c.out, report.Compare(sides[0], sides[1]))
}

// oneRun returns the only run at path, or the newest of its only experiment.
func oneRun(path string) (*store.Run, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, usagef("looking for results: %v", err)
	}
	runs, err := store.Find(path)
	switch {
	case errors.Is(err, store.ErrNone):
		return nil, usagef("%v", err)
	case err != nil:
		return nil, err //nolint:wrapcheck // says which file and what to do
	case len(runs) > 1:
		return nil, usagef("%s holds runs of %d experiments; name one of them, such as %s", path, len(runs), filepath.Dir(runs[0].Dir()))
	}
	return runs[0], nil
}

// same reports whether two paths lead to one folder.
func same(a, b string) bool {
	x, errA := filepath.EvalSymlinks(a)
	y, errB := filepath.EvalSymlinks(b)
	if errA != nil || errB != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	x, errA = filepath.Abs(x)
	y, errB = filepath.Abs(y)
	return errA == nil && errB == nil && x == y
}
