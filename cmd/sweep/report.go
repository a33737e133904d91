package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/report"
	"sweep/pkg/store"
)

func reportVerb(c console) *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "judge stored measurements again, print the answer and remake the plots",
		UsageText: "sweep report PATH [--format table|markdown|json|csv] [--objective FILE] [--out DIR]\n" +
			"sweep report --history FILE [--format table|markdown|json] [--out DIR]",
		Description: "PATH is a run, or a folder of runs: then the newest of each experiment. Starts nothing.\n" +
			"Another objective leaves the run and its report as they are: what it finds goes to\n" +
			"report-<digest of the objective> beside that, and says what the data can't carry.\n" +
			"With --history it shows what nightly checks found, and where a metric changed.\n" +
			"Example:\n   sweep report results/\n" +
			"   echo '{errors: 0.5%, p95: 300ms}' > strict.yaml && sweep report results/ --objective strict.yaml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "print as table, markdown, json or csv"},
			&cli.StringFlag{Name: "objective", Usage: "judge by the objective in `FILE`: {errors: 0.5%, p95: 300ms}, or YAML that has it under objective, such as an experiment"},
			&cli.StringFlag{Name: "history", Usage: "show the nights in `FILE`, which sweep check writes, instead of a run"},
			&cli.StringFlag{Name: "out", Usage: "write the report's files to `DIR` instead of a folder of the run's own"},
		},
		Action: func(x *cli.Context) error {
			if file := x.String("history"); file != "" {
				if x.Args().Len() > 0 || x.IsSet("objective") {
					return usagef("--history goes with --format and --out alone; see sweep report --help")
				}
				return reportHistory(c, historyOptions{file: file, format: x.String("format"), out: x.String("out")})
			}
			path, err := oneArgument(x, "one folder of results")
			if err != nil {
				return err
			}
			return reportAll(c, reportOptions{path: path, format: x.String("format"), objective: x.String("objective"), out: x.String("out")})
		},
	}
}

type reportOptions struct {
	path, format   string
	objective, out string // files and folders, or empty
}

// formats are the ways to print a run.
func formats() map[string]func(io.Writer, report.Run) error {
	return map[string]func(io.Writer, report.Run) error{
		"table": report.Table, "markdown": report.Markdown, "json": report.JSON, "csv": report.CSV,
	}
}

func printReport(w io.Writer, r report.Run, format string) error {
	printer, ok := formats()[format]
	if !ok {
		return usagef("--format %s: choose table, markdown, json or csv", format)
	}
	return printer(w, r)
}

func reportAll(c console, o reportOptions) error {
	if _, ok := formats()[o.format]; !ok {
		return usagef("--format %s: choose table, markdown, json or csv", o.format)
	}
	runs, err := store.Find(o.path)
	if err != nil {
		return err //nolint:wrapcheck // says which file and what to do
	}
	objectives, err := readObjectives(o.objective, runs)
	if err != nil {
		return err
	}
	for i, run := range runs {
		r, err := judge(run)
		if err != nil {
			return err
		}
		dir := run.ReportDir()
		if o.objective != "" {
			r, dir = judgeAgain(r, objectives[i]), dir+"-"+objectives[i].Digest()
		}
		switch {
		case o.out != "" && len(runs) > 1:
			dir = filepath.Join(o.out, run.Experiment.Name)
		case o.out != "":
			dir = o.out
		}
		if err := writeReport(r, dir); err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		if err := printReport(c.out, r, o.format); err != nil {
			return err
		}
		o.tell(c, dir)
	}
	return nil
}

// tell says where a report went that isn't where it always is.
func (o reportOptions) tell(c console, dir string) {
	if o.objective != "" {
		fmt.Fprintf(c.err, "\nReport: %s\n", dir)
	}
}

// readObjectives reads the objective by which each run is to be judged again,
// if there is a file of it, and checks it against what the run could see.
func readObjectives(file string, runs []*store.Run) ([]experiment.Objective, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("reading the objective: %v", err)
	}
	var out []experiment.Objective
	for _, run := range runs {
		o, err := experiment.ParseObjective(file, text, os.LookupEnv, run.Experiment)
		if err != nil {
			return nil, err //nolint:wrapcheck // says file, line and column itself
		}
		out = append(out, o)
	}
	return out, nil
}

// judgeAgain judges a run by another objective. What is stored stays as it is.
func judgeAgain(r report.Run, o experiment.Objective) report.Run {
	r.Surface = analysis.Again(r.Experiment, o, r.Manifest.Host, r.Results)
	by := *r.Experiment
	by.Objective = o
	r.Experiment = &by
	return r
}

// writeReport remakes the files of a report in dir.
func writeReport(r report.Run, dir string) error {
	err := report.Write(r, func(name string) (io.WriteCloser, error) {
		return store.CreateFile(filepath.Join(dir, name))
	})
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
