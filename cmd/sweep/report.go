package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"sweep/pkg/experiment"
	"sweep/pkg/report"
	"sweep/pkg/store"
)

func reportVerb(c console) *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "judge stored measurements again, print the answer and remake the plots; or compare two runs",
		UsageText: "sweep report PATH [--format table|markdown|json|csv] [--charts] [--trials] [--objective FILE] [--out DIR]\n" +
			"   sweep report A B [--format table|markdown|json] [--objective FILE]\n" +
			"   sweep report --history FILE [--format table|markdown|json] [--out DIR]",
		Description: "PATH is a run, or a folder of runs: then the newest of each experiment. Starts nothing.\n" +
			"Another objective leaves the run and its report as they are: what it finds goes to\n" +
			"report-<digest of the objective> beside that, and says what the data can't carry.\n" +
			"Two paths, each of one run, are compared: what B carries more or less than A. Writes nothing.\n" +
			"With --history it shows what nightly checks found, and where a metric changed.\n" +
			"Example:\n   sweep report results/\n" +
			"   sweep report results/api/20261123T101500Z results/api/20261201T080000Z\n" +
			"   echo '{errors: 0.5%, p95: 300ms}' > strict.yaml && sweep report results/ --objective strict.yaml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Value: "table", Usage: "print as table, markdown, json or csv"},
			&cli.BoolFlag{Name: "charts", Usage: "above the table, draw each ramp as text, also where the output is no terminal"},
			&cli.StringFlag{Name: "objective", Usage: "judge by the objective in `FILE`: {errors: 0.5%, p95: 300ms}, or YAML that has it under objective, such as an experiment"},
			&cli.StringFlag{Name: "history", Usage: "show the nights in `FILE`, which sweep check writes, instead of a run"},
			&cli.BoolFlag{Name: "trials", Usage: "write files of each trial too: its picture as SVG and PNG, its seconds as HdrHistogram log and as Locust's history"},
			&cli.StringFlag{Name: "out", Usage: "write the report's files to `DIR` instead of a folder of the run's own"},
		},
		Action: func(x *cli.Context) error {
			o := reportOptions{format: x.String("format"), charts: x.Bool("charts"), objective: x.String("objective"), out: x.String("out")}
			if x.Bool("trials") {
				o.extent = report.Every
			}
			if file := x.String("history"); file != "" {
				if x.Args().Len() > 0 || x.IsSet("objective") || x.IsSet("trials") {
					return usagef("--history goes with --format and --out alone; see sweep report --help")
				}
				return reportHistory(c, historyOptions{file: file, format: o.format, out: o.out})
			}
			if x.Args().Len() == 2 {
				return compare(c, x.Args().Get(0), x.Args().Get(1), o)
			}
			path, err := oneArgument(x, "one folder of results, or two to compare")
			if err != nil {
				return err
			}
			o.path = path
			return reportAll(c, o)
		},
	}
}

type reportOptions struct {
	path, format   string
	objective, out string // files and folders, or empty
	charts         bool   // also where there is no terminal
	extent         report.Extent
}

// formats are the ways to print a run.
func formats() map[string]func(io.Writer, report.Run) error {
	return map[string]func(io.Writer, report.Run) error{
		"table": report.Table, "markdown": report.Markdown, "json": report.JSON, "csv": report.CSV,
	}
}

func reportAll(c console, o reportOptions) error {
	printer, ok := formats()[o.format]
	if !ok {
		return usagef("--format %s: choose table, markdown, json or csv", o.format)
	}
	if o.charts && o.format != "table" {
		return usagef("--charts stand above the table; leave --format %s out", o.format)
	}
	// Nearly all that is read of a large run is garbage at once, and what stays is
	// small: twice as much of it between collections saves a tenth of the time.
	debug.SetGCPercent(200)
	runs, err := store.Find(o.path)
	if err != nil {
		return err //nolint:wrapcheck // says which file and what to do
	}
	objectives, err := readObjectives(o.objective, runs)
	if err != nil {
		return err
	}
	for i, run := range runs {
		dir := run.ReportDir()
		var r report.Run
		if o.objective == "" {
			r, err = judge(run)
		} else {
			r, err = judgeAgain(run, objectives[i])
			dir += "-" + objectives[i].Digest()
		}
		if err != nil {
			return err
		}
		r.Extent = o.extent
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
		if err := o.print(c, r, printer); err != nil {
			return err
		}
		fmt.Fprintf(c.err, "\nReport: %s\n", filepath.Join(dir, report.PageFile))
	}
	return nil
}

// print prints one run.
func (o reportOptions) print(c console, r report.Run, printer func(io.Writer, report.Run) error) error {
	if err := o.chart(c, r); err != nil {
		return err
	}
	return printer(c.out, r)
}

// chart draws the ramps of a run above its table, where there is a terminal to
// look at them or they are asked for.
func (o reportOptions) chart(c console, r report.Run) error {
	look, terminal := lookOf(c.out)
	if o.format != "table" || !terminal && !o.charts {
		return nil
	}
	return report.Charts(c.out, r, look) //nolint:wrapcheck // the console's own
}

// lookOf returns what the terminal behind w can show, and whether there is one.
// Elsewhere, and where NO_COLOR is set, it is plain ASCII.
func lookOf(w io.Writer) (look report.Look, terminal bool) {
	const usual = 80
	look.Width = usual
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return look, false
	}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		look.Width = width
	}
	kind, locale := os.Getenv("TERM"), cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG"))
	if os.Getenv("NO_COLOR") == "" && kind != "dumb" {
		look.Colour = true
		// The kernel's own terminal has no Braille in its fonts.
		look.Unicode = kind != "linux" && strings.Contains(strings.ReplaceAll(strings.ToLower(locale), "-", ""), "utf8")
	}
	return look, true
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

// writeReport remakes the files of a report in dir. What an older one had
// besides goes: it is of another answer.
func writeReport(r report.Run, dir string) error {
	for _, name := range report.Outdated(r) {
		if err := store.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	err := report.Write(r, func(name string) (io.WriteCloser, error) {
		return store.CreateFile(filepath.Join(dir, name))
	})
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
