package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
)

// readExperiment reads an experiment file and the files that it names, and checks
// these against it.
func readExperiment(path string) (*experiment.Experiment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("reading the experiment: %v", err)
	}
	e, err := experiment.Parse(path, text, os.LookupEnv)
	if err != nil {
		return nil, err //nolint:wrapcheck // says file, line and column itself
	}
	if err := takeFiles(e, path); err != nil {
		return nil, err
	}
	if e.Generator.Locust == nil {
		if err := fits(e, path); err != nil {
			return nil, err
		}
	}
	return e, recordable(e, path)
}

// takeFiles reads the files that what users ask is in.
func takeFiles(e *experiment.Experiment, path string) error {
	read := func(key, name string, take func([]byte) error) error {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if err == nil {
			err = take(content)
		}
		if err != nil {
			return usagef("%s: %s: %v", path, key, err)
		}
		return nil
	}
	r, l := &e.Request, e.Generator.Locust
	if l != nil && l.File != "" {
		return read("generator.locust.file", l.File, l.Take)
	}
	if r.BodyFile != "" {
		if err := read("request.body_file", r.BodyFile, r.TakeBody); err != nil {
			return err
		}
	}
	if r.Feed != nil {
		return read("request.feed", r.Feed.File, r.Feed.Take)
	}
	return nil
}

// recordable checks that what will be recorded of the experiment can be read
// again. Quotes can make several bytes of one.
func recordable(e *experiment.Experiment, path string) error {
	text, err := e.YAML()
	if err == nil {
		_, err = experiment.Parse("as recorded", text, func(string) (string, bool) { return "", true })
	}
	if err != nil {
		return usagef("%s: couldn't be read again from its results: %v", path, err)
	}
	return nil
}

// fits checks that the rows of the feed fit the request.
func fits(e *experiment.Experiment, path string) error {
	_, err := http1.NewRequest(e.Request, "")
	if faults, ok := errors.AsType[experiment.Faults](err); ok {
		for i := range faults { // they know the feed by its name in the experiment
			faults[i].File = filepath.Join(filepath.Dir(path), faults[i].File)
		}
		return faults
	}
	if err != nil {
		return usagef("%s: %v", path, err)
	}
	return nil
}

// only keeps the cells that selection names: "cpus=1,memory=200M,WORKERS=2", any
// part alone too.
func only(e *experiment.Experiment, selection string) error {
	if selection == "" {
		return nil
	}
	all := e.Matrix.Cells()
	cells := slices.Clone(all)
	for part := range strings.SplitSeq(selection, ",") {
		has, err := selects(all, part)
		if err != nil {
			return usagef("--only %s: %v; write cpus=1,memory=200M, or one of the two", selection, err)
		}
		cells = slices.DeleteFunc(cells, func(l experiment.Limits) bool { return !has(l) })
	}
	if len(cells) == 0 {
		return usagef("--only %s: no cell of the matrix is like that", selection)
	}
	e.Matrix = experiment.Matrix{List: cells}
	return nil
}

// selects returns what one part of a selection asks of a cell: an amount, or a
// value of what some cell sets.
func selects(all []experiment.Limits, part string) (func(experiment.Limits) bool, error) {
	key, value, _ := strings.Cut(part, "=")
	set := func(l experiment.Limits) (string, bool) {
		if key == "image" && l.Image != "" {
			return l.Image, true
		}
		is, ok := l.Env.Map()[key]
		return is, ok
	}
	switch {
	case key == "cpus":
		want, err := experiment.ParseCPUs(value)
		return func(l experiment.Limits) bool { return l.CPU == want }, err //nolint:wrapcheck // the caller names the selection
	case key == "memory":
		want, err := experiment.ParseBytes(value)
		return func(l experiment.Limits) bool { return l.Memory == want }, err //nolint:wrapcheck // likewise
	case slices.ContainsFunc(all, func(l experiment.Limits) bool { _, ok := set(l); return ok }):
		return func(l experiment.Limits) bool { is, ok := set(l); return ok && is == value }, nil
	default:
		return nil, fmt.Errorf("%q is neither cpus nor memory, nor is it set by the matrix", key)
	}
}
