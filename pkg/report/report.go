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
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Run is one run of an experiment, with the answer that analysis gave.
type Run struct {
	ID         string // as in the results' folder: 20261123T101500Z
	Experiment *experiment.Experiment
	Manifest   measure.Manifest
	Results    []measure.Result // in any order; where there is Read, without their windows
	Surface    analysis.Surface
	Running    *experiment.Limits // the cell in which a trial is under way; nil: none
	Extent     Extent             // of the report

	// Read reads a trial with its windows: those of a large run don't fit into
	// memory. It is called by several goroutines at once. nil: Results holds them.
	Read func(experiment.Trial) (measure.Result, error)
}

// whole returns the run with the windows of some trials in its results.
func (r Run) whole(trials ...experiment.Trial) (Run, error) {
	if r.Read == nil {
		return r, nil
	}
	var read []measure.Result
	for _, t := range trials {
		result, err := r.Read(t)
		if err != nil {
			return r, err //nolint:wrapcheck // says which file and what to do
		}
		read = append(read, result)
	}
	r.Results = append(read, r.Results...) // the first that is found
	return r, nil
}

// warnings returns what to know of the whole run.
func (r Run) warnings() []string {
	return slices.Concat(r.Surface.Warnings, analysis.Shortcomings(r.Manifest.Examined))
}

// The names of the files that [Write] makes, besides those of trials.
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

// Extent is of which trials a report has files.
type Extent uint8

// The extents of a report.
const (
	Drawn Extent = iota // those whose pictures the page has, and of them the picture
	Every               // all that were run: picture as SVG and PNG, seconds as HdrHistogram log and Locust's history
)

// A file of a report is made when it is written.
type file struct {
	name  string
	write func(io.Writer) error
}

// Write writes the whole report. It asks create for each file by its name,
// which may be in a folder of the report ("apply/kubernetes.yaml"), and closes
// what it gets; several goroutines do so at once.
func Write(r Run, create func(name string) (io.WriteCloser, error)) error {
	var writers errgroup.Group
	writers.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range r.files() {
		writers.Go(func() error {
			if err := writeFile(f.name, create, f.write); err != nil {
				return fmt.Errorf("write the report's %s: %w", f.name, err)
			}
			return nil
		})
	}
	return writers.Wait() //nolint:wrapcheck // says which file
}

// Outdated returns the names of files that an older report of the run may have
// left, and that this one doesn't have.
func Outdated(r Run) []string {
	names := applyNames()
	for _, t := range r.trials() {
		names = append(names, rampName(t)+".svg", rampName(t)+".png", histogramName(t), locustName(t))
	}
	current := map[string]bool{}
	for _, f := range r.files() {
		current[f.name] = true
	}
	return slices.DeleteFunc(names, func(name string) bool { return current[name] })
}

func (r Run) files() []file {
	files := []file{
		{PageFile, func(w io.Writer) error { return HTML(w, r) }},
		{MarkdownFile, func(w io.Writer) error { return Markdown(w, r) }},
		{SummaryFile, func(w io.Writer) error { return JSON(w, r) }},
		{CellsFile, func(w io.Writer) error { return CSV(w, r) }},
		{matrixName + ".svg", func(w io.Writer) error { return Matrix(r).WriteSVG(w) }},
		{matrixName + ".png", func(w io.Writer) error { return Matrix(r).WritePNG(w) }},
	}
	if p := r.provision(); p != nil {
		for _, f := range applyFiles() {
			files = append(files, file{f.name, func(w io.Writer) error { return f.write(w, *p) }})
		}
	}
	for _, t := range r.told() {
		files = append(files, r.filesOf(t)...)
	}
	return files
}

// filesOf returns the files of one trial.
func (r Run) filesOf(t experiment.Trial) []file {
	picture := func(write func(*Picture, io.Writer) error) func(io.Writer) error {
		return func(w io.Writer) error {
			with, err := r.whole(t)
			if err != nil {
				return err
			}
			return write(Ramp(with, t), w)
		}
	}
	seconds := func(write func(io.Writer, measure.Series, time.Time) error) func(io.Writer) error {
		return func(w io.Writer) error {
			with, err := r.whole(t)
			if err != nil {
				return err
			}
			res := with.result(t)
			return write(w, res.Series, res.Loaded)
		}
	}
	files := []file{{rampName(t) + ".svg", picture((*Picture).WriteSVG)}}
	if r.Extent == Every {
		files = append(files, file{rampName(t) + ".png", picture((*Picture).WritePNG)},
			file{histogramName(t), seconds(HistogramLog)}, file{locustName(t), seconds(LocustHistory)})
	}
	return files
}

// told returns the trials of which there are files, in order.
func (r Run) told() []experiment.Trial {
	if r.Extent == Every {
		return r.trials()
	}
	var ts []experiment.Trial
	for _, c := range r.Surface.Cells[:min(drawn, len(r.Surface.Cells))] {
		if all := r.speaking(c); len(all) > 0 {
			ts = append(ts, all[0].Trial)
		}
	}
	return ts
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
