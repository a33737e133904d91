package main

import (
	"fmt"
	"io"
	"path/filepath"

	"sweep/pkg/analysis"
	"sweep/pkg/report"
	"sweep/pkg/store"
)

type historyOptions struct {
	file, format string
	out          string // a folder, or empty
}

// trendFolder is where the trend goes, beside its history, unless told otherwise.
const trendFolder = "trend"

func trendFormats() map[string]func(io.Writer, report.Trend) error {
	return map[string]func(io.Writer, report.Trend) error{
		"table": report.TrendTable, "markdown": report.TrendMarkdown, "json": report.TrendJSON,
	}
}

// reportHistory prints the trend of each experiment in a history, and draws it.
func reportHistory(c console, o historyOptions) error {
	printer, ok := trendFormats()[o.format]
	if !ok {
		return usagef("--format %s: of a history choose table, markdown or json", o.format)
	}
	nights, warnings, err := store.ReadHistory(o.file)
	if err != nil {
		return err //nolint:wrapcheck // says which file and what to do
	}
	trends := analysis.Trends(nights)
	if len(trends) == 0 {
		for _, w := range warnings {
			fmt.Fprintln(c.err, "warning:", w)
		}
		return fmt.Errorf("%s holds no night; sweep check writes one", o.file)
	}
	dir := o.out
	if dir == "" {
		dir = filepath.Join(filepath.Dir(o.file), trendFolder)
	}
	for i, t := range trends {
		into := dir
		if len(trends) > 1 {
			into = filepath.Join(dir, experimentFolder(i, t.Experiment))
		}
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		r := report.Trend{Trend: t, Warnings: warnings}
		if err := printer(c.out, r); err != nil {
			return err //nolint:wrapcheck // says what was written
		}
		err := report.WriteTrend(r, func(name string) (io.WriteCloser, error) {
			return store.CreateFile(filepath.Join(into, name))
		})
		if err != nil {
			return fmt.Errorf("writing the trend: %w", err)
		}
		fmt.Fprintf(c.err, "\nTrend: %s\n", into)
	}
	return nil
}

// experimentFolder returns the folder of one of several experiments. Names in a
// history may be anybody's: what isn't plain in them doesn't get onto the disk.
func experimentFolder(i int, name string) string {
	if !filepath.IsLocal(name) || filepath.Base(name) != name || len(name) > 100 {
		return fmt.Sprintf("experiment-%d", i+1)
	}
	return name
}
