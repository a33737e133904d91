package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sweep/pkg/experiment"
)

// readExperiment reads an experiment file and the body file that it names.
func readExperiment(path string) (*experiment.Experiment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("reading the experiment: %v", err)
	}
	e, err := experiment.Parse(path, text, os.LookupEnv)
	if err != nil {
		return nil, err //nolint:wrapcheck // says file, line and column itself
	}
	if file := e.Request.BodyFile; file != "" {
		body, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		if err != nil {
			return nil, usagef("%s: request.body_file: %v", path, err)
		}
		// From here on the body is part of the question, wherever it came from.
		e.Request.BodyFile = ""
		e.Request.Body = experiment.Literal(string(body))
	}
	return e, nil
}

// only keeps the cells that selection names: "cpus=1,memory=200M", either part
// alone too.
func only(e *experiment.Experiment, selection string) error {
	if selection == "" {
		return nil
	}
	var want experiment.Limits
	for part := range strings.SplitSeq(selection, ",") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "cpus":
			want.CPU, err = experiment.ParseCPUs(value)
		case "memory":
			want.Memory, err = experiment.ParseBytes(value)
		default:
			err = fmt.Errorf("%q is neither cpus nor memory", key)
		}
		if err != nil {
			return usagef("--only %s: %v; write cpus=1,memory=200M, or one of the two", selection, err)
		}
	}
	var cells []experiment.Limits
	for _, l := range e.Matrix.Cells() {
		if (want.CPU == 0 || l.CPU == want.CPU) && (want.Memory == 0 || l.Memory == want.Memory) {
			cells = append(cells, l)
		}
	}
	if len(cells) == 0 {
		return usagef("--only %s: no cell of the matrix is like that", selection)
	}
	e.Matrix = experiment.Matrix{List: cells}
	return nil
}
