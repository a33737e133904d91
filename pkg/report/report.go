// Package report writes what analysis found: as a table for a terminal, as
// Markdown, CSV and JSON, as pictures, and as one page with all of it. It decides nothing; every judgement in
// it comes from package analysis.
//
// Everything goes to an io.Writer, and the same run gives the same bytes,
// pictures too, so that a report made twice can be compared.
package report

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Run is one run of an experiment, with the answer that analysis gave.
type Run struct {
	ID         string // as in the results' folder: 20261123T101500Z
	Experiment *experiment.Experiment
	Manifest   measure.Manifest
	Results    []measure.Result // in any order
	Surface    analysis.Surface
	Running    *experiment.Limits // the cell in which a trial is under way; nil: none
}

// warnings returns what to know of the whole run.
func (r Run) warnings() []string {
	return slices.Concat(r.Surface.Warnings, analysis.Shortcomings(r.Manifest.Examined))
}

// The names of the files that [Write] makes, besides those of the ramps.
const (
	PageFile     = "index.html"
	MarkdownFile = "report.md"
	SummaryFile  = "summary.json"
	CellsFile    = "cells.csv"
	matrixName   = "matrix" // .svg and .png
)

// rampName returns the name of a trial's picture, without its extension.
func rampName(t experiment.Trial) string {
	if t.Hold > 0 {
		return t.Slug() // which says that it is a hold
	}
	return "ramp-" + t.Slug()
}

// histogramName and locustName return the names of a trial's seconds, in the
// formats of others.
func histogramName(t experiment.Trial) string { return t.Slug() + ".hlog" }
func locustName(t experiment.Trial) string    { return t.Slug() + "_stats_history.csv" }

// Write writes the whole report. It asks create for each file by its name,
// which may be in a folder of the report ("apply/kubernetes.yaml"), and closes
// what it gets.
func Write(r Run, create func(name string) (io.WriteCloser, error)) error {
	type file struct {
		name  string
		write func(io.Writer) error
	}
	files := []file{
		{MarkdownFile, func(w io.Writer) error { return Markdown(w, r) }},
		{SummaryFile, func(w io.Writer) error { return JSON(w, r) }},
		{CellsFile, func(w io.Writer) error { return CSV(w, r) }},
		{PageFile, func(w io.Writer) error { return HTML(w, r) }},
	}
	draw := func(name string, p *Picture) {
		files = append(files, file{name + ".svg", p.WriteSVG}, file{name + ".png", p.WritePNG})
	}
	draw(matrixName, Matrix(r))
	for _, t := range r.trials() {
		draw(rampName(t), Ramp(r, t))
	}
	if p := r.provision(); p != nil {
		for _, f := range applyFiles() {
			files = append(files, file{f.name, func(w io.Writer) error { return f.write(w, *p) }})
		}
	}
	for _, result := range r.Results {
		t, s, began := result.Trial, result.Series, result.Loaded
		files = append(files,
			file{histogramName(t), func(w io.Writer) error { return HistogramLog(w, s, began) }},
			file{locustName(t), func(w io.Writer) error { return LocustHistory(w, s, began) }})
	}
	for _, f := range files {
		if err := writeFile(f.name, create, f.write); err != nil {
			return fmt.Errorf("write the report's %s: %w", f.name, err)
		}
	}
	return nil
}

func writeFile(name string, create func(string) (io.WriteCloser, error), write func(io.Writer) error) error {
	w, err := create(name)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		// A file that can be given up mustn't appear half written.
		if half, ok := w.(interface{ Abandon() error }); ok {
			return errors.Join(err, half.Abandon())
		}
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

// trials returns what was run, by cell, load and replicate.
func (r Run) trials() []experiment.Trial {
	var ts []experiment.Trial
	for _, res := range r.Results {
		ts = append(ts, res.Trial)
	}
	slices.SortFunc(ts, experiment.Trial.Compare)
	return slices.Compact(ts)
}

// result returns the measurement of a trial, or nil.
func (r Run) result(t experiment.Trial) *measure.Result {
	for i := range r.Results {
		if r.Results[i].Trial == t {
			return &r.Results[i]
		}
	}
	return nil
}

// minimal reports whether c is the minimal viable configuration.
func (r Run) minimal(c analysis.Cell) bool {
	m := r.Surface.Minimal
	return m != nil && m.Limits == c.Trial.Limits
}

// running reports whether a trial of c is under way.
func (r Run) running(c analysis.Cell) bool { return r.Running != nil && *r.Running == c.Trial.Limits }
