package report

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
)

// Markdown writes a run as a page in GitHub's Markdown: the answer, the table,
// why cells failed, and the files that [Write] puts beside it.
func Markdown(w io.Writer, r Run) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s\n\n**%s**\n\n", escape(clean(r.Surface.Experiment, nameLength)), escape(clean(r.Surface.Answer, lineLength)))
	r.markdownTable(b)
	if least := r.least(); least != "" {
		fmt.Fprintf(b, "\n★ %s\n", escape(clean(least, lineLength)))
	}
	for _, line := range r.legend() {
		fmt.Fprintf(b, "\n%s\n", escape(clean(line, 2*lineLength)))
	}
	if links := r.taken(); links != "" {
		fmt.Fprintf(b, "\n%s\n", links)
	}
	section(b, "Why", r.causes())
	section(b, "Levels that were held", r.levels())
	section(b, "Predicted, not measured", r.foretold())
	section(b, "To know besides", r.besides())
	fmt.Fprintf(b, "\n## Pictures\n\n![%s](%s.svg)\n", escape(r.unit()+" carried, by CPUs and memory"), matrixName)
	fmt.Fprintf(b, "\nThe same as [PNG](%s.png). All numbers: [%s](%[2]s), [%s](%[3]s). All on one page: [%s](%[4]s).\n", matrixName, CellsFile, SummaryFile, PageFile)
	for _, t := range r.told() {
		fmt.Fprintf(b, "\n### %s, %s\n\n![the load over time](%s.svg)\n", escape(named(t.Limits)), r.started(t), rampName(t))
		if r.Extent == Every {
			fmt.Fprintf(b, "\nThe same as [PNG](%s.png); each second as [HdrHistogram log](%s) and as [Locust writes it](%s).\n", rampName(t), histogramName(t), locustName(t))
		}
	}
	if r.Extent == Drawn && len(r.trials()) > 0 {
		b.WriteString("\nOf every trial, its picture as PNG too, and its seconds as HdrHistogram log and as Locust writes them: `sweep report PATH --trials`.\n")
	}
	fmt.Fprintf(b, "\n---\n\n%s\n", escape(r.caption()))
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownTable writes the table itself: it needs nothing but bars.
func (r Run) markdownTable(b *strings.Builder) {
	columns := r.columns()
	columns = slices.Insert(columns, len(columns)-1, column{"Price per million answers", tw.AlignRight, perMillion}) // before the cause
	b.WriteString("|  |")
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", strings.ReplaceAll(c.head, "\n", " "))
	}
	b.WriteString("\n|---|")
	for _, c := range columns {
		if c.side == tw.AlignRight {
			b.WriteString("---:|")
		} else {
			b.WriteString("---|")
		}
	}
	b.WriteString("\n")
	for _, cell := range r.Surface.Cells {
		star := " "
		if r.minimal(cell) {
			star = "★"
		}
		fmt.Fprintf(b, "| %s |", star)
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", escape(clean(c.text(cell), lineLength)))
		}
		b.WriteString("\n")
	}
}

// perMillion returns what a million right answers cost while a cell carries the
// most that it did. The table for a terminal has no room for it.
func perMillion(c analysis.Cell) string {
	if c.PricePerMillion() == 0 {
		return none
	}
	return fine(c.PricePerMillion())
}

func section(b *strings.Builder, title string, items []string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, item := range items {
		fmt.Fprintf(b, "- %s\n", escape(clean(item, 2*lineLength)))
	}
}

// causes returns each cell's cause with what speaks for it.
func (r Run) causes() []string {
	var items []string
	for _, c := range r.Surface.Cells {
		if c.Cause != nil {
			items = append(items, strings.TrimSuffix(fmt.Sprintf("%s: %s: %s", named(c.Trial.Limits), cause(c), evidence(c)), ": "))
		}
	}
	return items
}

// evidence returns what speaks for a cell's cause.
func evidence(c analysis.Cell) string {
	items := c.Cause.Evidence
	if c.Cause.ConfirmedBy != "" {
		items = append(slices.Clone(items), "confirmed by "+c.Cause.ConfirmedBy)
	}
	return clean(strings.Join(items, "; "), lineLength)
}

// besides returns all warnings and why cells weren't measured.
func (r Run) besides() []string {
	var items []string
	for _, c := range r.Surface.Cells {
		for _, note := range notes(c) {
			items = append(items, fmt.Sprintf("%s: %s", named(c.Trial.Limits), note))
		}
	}
	for _, warning := range r.warnings() {
		items = append(items, clean(warning, lineLength))
	}
	return items
}

// escape keeps text from being read as Markdown or HTML. A "<" that can't
// begin a tag stays as it is, so that "p99 <= 1s" reads well unrendered too.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "[", `\[`, "]", `\]`, "|", `\|`, "&", "&amp;").Replace(s)
	return regexp.MustCompile(`<([A-Za-z/!?])`).ReplaceAllString(s, "&lt;$1")
}
