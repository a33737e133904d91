package report

import (
	"slices"
	"strings"

	"github.com/clipperhouse/displaywidth"

	"sweep/pkg/experiment"
)

// Look is what a terminal can show.
type Look struct {
	Width   int  // in columns
	Unicode bool // more than ASCII
	Colour  bool
}

// red makes words red where there is colour.
func (l Look) red(s string) string { return l.painted("1;31", s) }

// painted writes s in a colour of a terminal, where there is colour.
func (l Look) painted(colour, s string) string {
	if !l.Colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// cellGrid lays out a text for each cell, by CPUs from above down and by memory from
// left to right, for each setting its own.
func cellGrid(cells []experiment.Limits, text func(experiment.Limits) string) []string {
	var out []string
	var settings []experiment.Setting
	for _, l := range cells {
		if s := l.Setting(); !slices.Contains(settings, s) {
			settings = append(settings, s)
		}
	}
	slices.SortFunc(settings, experiment.Setting.Compare)
	for _, s := range settings {
		alike := slices.DeleteFunc(slices.Clone(cells), func(l experiment.Limits) bool { return l.Setting() != s })
		if s != (experiment.Setting{}) {
			out = append(out, clean("with "+s.String()+":", lineLength))
		}
		out = append(out, layOut(alike, text)...)
	}
	return out
}

// layOut lays out the cells of one setting.
func layOut(cells []experiment.Limits, text func(experiment.Limits) string) []string {
	at := map[experiment.Limits]string{}
	var cpus []experiment.CPUs
	var memory []experiment.Bytes
	for _, l := range cells {
		at[l.Bare()] = clean(text(l), nameLength)
		cpus, memory = append(cpus, l.CPU), append(memory, l.Memory)
	}
	slices.Sort(cpus)
	slices.Sort(memory)
	cpus, memory = slices.Compact(cpus), slices.Compact(memory)
	rows := [][]string{{""}}
	for _, m := range memory {
		rows[0] = append(rows[0], m.String())
	}
	for _, c := range cpus {
		row := []string{c.String() + " CPU"}
		for _, m := range memory {
			row = append(row, at[experiment.Limits{CPU: c, Memory: m}])
		}
		rows = append(rows, row)
	}
	return aligned(rows)
}

// aligned returns rows with their columns below each other.
func aligned(rows [][]string) []string {
	out := make([]string, len(rows))
	for col := range rows[0] {
		width := 0
		for _, row := range rows {
			width = max(width, displaywidth.String(row[col]))
		}
		for i, row := range rows {
			out[i] += fit(row[col], width) + "   "
		}
	}
	for i := range out {
		out[i] = strings.TrimRight(out[i], " ")
	}
	return out
}
