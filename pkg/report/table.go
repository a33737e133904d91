package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
)

// A column is one column of the tables, for a terminal and in Markdown.
type column struct {
	head string // its lines apart; the table is narrow, so heads are tall
	side tw.Align
	text func(analysis.Cell) string
}

func (r Run) columns() []column {
	left, right := tw.AlignLeft, tw.AlignRight
	columns := []column{
		{"CPUs", right, func(c analysis.Cell) string { return c.Trial.Limits.CPU.String() }},
		{"Memory", right, func(c analysis.Cell) string { return c.Trial.Limits.Memory.String() }},
		{"Outcome", left, r.ended},
		{"Last\npass,\n" + r.unit(), right, func(c analysis.Cell) string { return end(c, c.LastPass) }},
		{"First\nfail,\n" + r.unit(), right, func(c analysis.Cell) string { return end(c, c.FirstFail) }},
		{"Requests\nso far", right, requests},
		{"Req/s at\nlast\npass", right, throughput},
		{"p99 at\nlast\npass", right, p99},
		{"Peak MiB\n(of limit)", right, peak},
		{"Price\nper h", right, func(c analysis.Cell) string { return dollars(c.PriceHour) }},
		{"Cause", left, func(c analysis.Cell) string { return dash(cause(c)) }},
	}
	const afterOutcome, afterMemory = 3, 2
	if r.repeated() {
		columns = slices.Insert(columns, afterOutcome, column{"Starts", right, starts})
	}
	if r.set() {
		columns = slices.Insert(columns, afterMemory, column{"Setting", left, setting})
	}
	return columns
}

// starts says how many of a cell's starts agree with its outcome: "2/3".
func starts(c analysis.Cell) string {
	if len(c.Deciding) == 0 {
		return none
	}
	return fmt.Sprintf("%d/%d", c.Agree(), len(c.Deciding))
}

func level(l *analysis.Level, text func(analysis.Level) string) string {
	if l == nil {
		return none
	}
	return text(*l)
}

// throughput and p99 tell of a cell's last pass.
func throughput(c analysis.Cell) string {
	return level(c.LastPass, func(l analysis.Level) string { return number(l.Throughput) })
}

func p99(c analysis.Cell) string {
	return level(c.LastPass, func(l analysis.Level) string { return analysis.Short(l.P99) })
}

// ended says how a cell ended, or in brackets what a trusted model says that it
// carries, where neither a start nor an inference tells.
func (r Run) ended(c analysis.Cell) string {
	if r.promised(c) {
		return "(about " + analysis.Thousands(about(c.Predicted.Users)) + ")"
	}
	return r.outcome(c)
}

// end writes one end of a cell's bracket.
func end(c analysis.Cell, l *analysis.Level) string {
	if l == nil {
		return none
	}
	return tilde(c) + users(*l)
}

func users(l analysis.Level) string { return analysis.Thousands(l.Users) }

// requests returns how many requests it took a ramp to fail, or all that were
// made where none did: a hold's would say how long it lasted.
func requests(c analysis.Cell) string {
	at := c.FirstFail
	for _, v := range c.Starts {
		if v.Trial.Hold == 0 && v.FirstFail != nil && c.Proved && at != nil {
			at = v.FirstFail
		}
	}
	if at == nil {
		at = c.LastPass
	}
	return level(at, func(l analysis.Level) string { return analysis.Thousands(int(l.Requests)) })
}

func peak(c analysis.Cell) string {
	if c.PeakMemory == 0 || c.Trial.Limits.Memory == 0 {
		return none
	}
	share := float64(c.PeakMemory) / float64(c.Trial.Limits.Memory)
	return fmt.Sprintf("%s (%.0f%%)", number(c.PeakMemory.MiB()), 100*share)
}

func dash(s string) string {
	if s == "" {
		return none
	}
	return s
}

// Table writes a run as a table for people, one row a cell, with what the
// cells' warnings say and the answer beneath it. It fits 120 columns, but for
// settings with long names, and needs no terminal.
func Table(w io.Writer, r Run) error {
	columns := r.columns()
	heads, sides := []string{""}, []tw.Align{tw.AlignLeft}
	for _, c := range columns {
		heads, sides = append(heads, c.head), append(sides, c.side)
	}
	out := &strings.Builder{}
	gap := "  "
	if r.repeated() || r.set() {
		gap = " " // makes room for one column more
	}
	table := tablewriter.NewTable(out, tablewriter.WithRenderer(rules()), tablewriter.WithConfig(layout(sides, gap)))
	table.Header(heads)
	for _, cell := range r.Surface.Cells {
		row := []string{""}
		if r.minimal(cell) {
			row[0] = "*"
		}
		for _, c := range columns {
			row = append(row, clean(c.text(cell), lineLength))
		}
		if err := table.Append(row); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for _, line := range r.beneath() {
		out.WriteString(clean(line, 2*lineLength) + "\n")
	}
	_, err := io.WriteString(w, trimRight(out.String()))
	return err
}

// beneath returns the lines under the table: the answer comes last, where the
// eye rests when a command has ended.
func (r Run) beneath() []string {
	var lines []string
	if least := r.least(); least != "" {
		lines = append(lines, "* "+least)
	}
	lines = append(lines, r.legend()...)
	for _, c := range r.Surface.Cells {
		for _, note := range notes(c) {
			lines = append(lines, fmt.Sprintf("%s: %s", named(c.Trial.Limits), note))
		}
	}
	for _, warning := range r.warnings() {
		lines = append(lines, "warning: "+clean(warning, lineLength))
	}
	return append(lines, "", clean(r.Surface.Answer, lineLength))
}

// rules is a look with horizontal rules alone: columns of numbers that are
// aligned need no lines between them.
func rules() tw.Renderer {
	return renderer.NewBlueprint(tw.Rendition{
		Borders: tw.Border{Left: tw.Off, Right: tw.Off, Top: tw.On, Bottom: tw.On},
		Symbols: tw.NewSymbolCustom("rules").WithRow("─").WithColumn("").WithCenter("─").
			WithTopLeft("─").WithTopMid("─").WithTopRight("─").WithMidLeft("─").WithMidRight("─").
			WithBottomLeft("─").WithBottomMid("─").WithBottomRight("─").
			WithHeaderLeft("─").WithHeaderMid("─").WithHeaderRight("─"),
		Settings: tw.Settings{
			Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off},
			Lines:      tw.Lines{ShowHeaderLine: tw.On},
		},
	})
}

func layout(sides []tw.Align, gap string) tablewriter.Config {
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: gap, Overwrite: true}},
		Alignment:  tw.CellAlignment{PerColumn: sides},
	}
	cell.Padding.PerColumn = []tw.Padding{{Right: " ", Overwrite: true}}
	return tablewriter.Config{Header: cell, Row: cell}
}

func trimRight(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
