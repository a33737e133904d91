package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"sweep/pkg/report"
	"sweep/pkg/store"
)

func reportVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "judge stored measurements again, print the answer and remake the plots",
		UsageText: "sweep report PATH [--format table|markdown|json|csv] [--out DIR]",
		Description: "PATH is a run, or a folder of runs: then the newest of each experiment. Starts nothing.\n" +
			"Example:\n   sweep report results/",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "print as table, markdown, json or csv"},
			&cli.StringFlag{Name: "out", Usage: "write the report's files to `DIR` instead of the run's own report folder"},
		},
		Action: func(x *cli.Context) error {
			path, err := oneArgument(x, "one folder of results")
			if err != nil {
				return err
			}
			return reportAll(c.out, path, x.String("format"), x.String("out"))
		},
	}
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

func reportAll(w io.Writer, path, format, out string) error {
	if _, ok := formats()[format]; !ok {
		return usagef("--format %s: choose table, markdown, json or csv", format)
	}
	runs, err := store.Find(path)
	if err != nil {
		return err //nolint:wrapcheck // says which file and what to do
	}
	for i, run := range runs {
		r, err := judge(run)
		if err != nil {
			return err
		}
		dir := run.ReportDir()
		if out != "" {
			if dir = out; len(runs) > 1 {
				dir = filepath.Join(out, run.Experiment.Name)
			}
		}
		if err := writeReport(r, dir); err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printReport(w, r, format); err != nil {
			return err
		}
	}
	return nil
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
