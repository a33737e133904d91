package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Trend is the history of one experiment, of at least one night, and what
// reading it warned of.
type Trend struct {
	analysis.Trend

	Warnings []string
}

// TrendSchema names the format that [TrendJSON] writes.
const TrendSchema = "sweep.trend/v1"

// The names of the files that [WriteTrend] makes.
const (
	trendName     = "trend" // .svg and .png
	trendMarkdown = "trend.md"
	trendJSON     = "trend.json"
)

// WriteTrend writes picture, Markdown and JSON of a trend. It asks create for
// each file by its name, and closes what it gets.
func WriteTrend(t Trend, create func(name string) (io.WriteCloser, error)) error {
	p := TrendPicture(t)
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{trendName + ".svg", p.WriteSVG},
		{trendName + ".png", p.WritePNG},
		{trendMarkdown, func(w io.Writer) error { return TrendMarkdown(w, t) }},
		{trendJSON, func(w io.Writer) error { return TrendJSON(w, t) }},
	} {
		if err := writeFile(f.name, create, f.write); err != nil {
			return fmt.Errorf("write the trend's %s: %w", f.name, err)
		}
	}
	return nil
}

// newestNights is how many nights the tables show.
const newestNights = 14

// A trendColumn is one column of the table of nights.
type trendColumn struct {
	head string
	side tw.Align
	text func(analysis.Night) string
}

func (t Trend) columns() []trendColumn {
	left, right := tw.AlignLeft, tw.AlignRight
	value := func(m analysis.Metric) func(analysis.Night) string {
		return func(n analysis.Night) string {
			v, known := m.Of(n)
			if !known {
				return none
			}
			return plainNumber(inUnit(m, v))
		}
	}
	return []trendColumn{
		{"Night", left, func(n analysis.Night) string { return n.Time.UTC().Format("2006-01-02 15:04") }},
		{"Verdict", left, func(n analysis.Night) string { return string(n.Verdict) }},
		{"Cell", left, cellOfNight},
		{"Carries,\n" + t.unit(), right, carries},
		{"Req/s", right, value(analysis.MetricThroughput)},
		{"p99,\nms", right, value(analysis.MetricP99)},
		{"CPU ms/\nrequest", right, value(analysis.MetricCPU)},
		{"Peak\nMiB", right, value(analysis.MetricMemory)},
		{"Trials", right, func(n analysis.Night) string { return analysis.Thousands(n.Trials) }},
		{"Machine", left, func(n analysis.Night) string { return dash(clean(n.Host.Fingerprint, nameLength/3)) }},
	}
}

// cellOfNight names the cell that was checked, if there was one.
func cellOfNight(n analysis.Night) string {
	if n.Minimal == (experiment.Limits{}) {
		return none
	}
	return clean(n.Minimal.String(), nameLength)
}

// carries writes the bracket of the cell that was checked.
func carries(n analysis.Night) string {
	c := n.Capacity()
	switch {
	case c == nil || c.LastPass == nil && c.FirstFail == nil:
		return none
	case c.FirstFail == nil:
		return "≥ " + analysis.Thousands(*c.LastPass)
	case c.LastPass == nil:
		return "< " + analysis.Thousands(*c.FirstFail)
	default:
		return analysis.Thousands(*c.LastPass) + " – " + analysis.Thousands(*c.FirstFail)
	}
}

// newestOf returns the newest nights, the newest last.
func (t Trend) newestOf() []analysis.Night {
	return t.Nights[max(0, len(t.Nights)-newestNights):]
}

// TrendTable writes the newest nights as a table for a terminal, what kept them
// from holding, all changes, and in one sentence where it stands.
func TrendTable(w io.Writer, t Trend) error {
	out := &strings.Builder{}
	columns := t.columns()
	var heads []string
	var sides []tw.Align
	for _, c := range columns {
		heads, sides = append(heads, c.head), append(sides, c.side)
	}
	config := layout(sides, "  ")
	config.Header.Padding.PerColumn, config.Row.Padding.PerColumn = nil, nil
	table := tablewriter.NewTable(out, tablewriter.WithRenderer(rules()), tablewriter.WithConfig(config))
	table.Header(heads)
	for _, n := range t.newestOf() {
		var row []string
		for _, c := range columns {
			row = append(row, c.text(n))
		}
		if err := table.Append(row); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	if err := table.Render(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	lines := slices.Concat(t.reasons(), t.changes(), t.warned())
	for _, line := range append(lines, "", clean(t.story(), lineLength)) {
		out.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, trimRight(out.String()))
	return err
}

// TrendMarkdown writes a trend as a page in GitHub's Markdown, with the picture
// that [WriteTrend] puts beside it.
func TrendMarkdown(w io.Writer, t Trend) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s: its nights\n\n**%s**\n\n![capacity and metrics, night by night](%s.svg)\n\n", escape(clean(t.Experiment, nameLength)), escape(t.story()), trendName)
	columns := t.columns()
	b.WriteString("|")
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", escape(strings.ReplaceAll(c.head, "\n", " ")))
	}
	b.WriteString("\n|")
	for _, c := range columns {
		b.WriteString(map[bool]string{true: "---:|", false: "---|"}[c.side == tw.AlignRight])
	}
	b.WriteString("\n")
	for _, n := range t.newestOf() {
		b.WriteString("|")
		for _, c := range columns {
			fmt.Fprintf(b, " %s |", escape(c.text(n)))
		}
		b.WriteString("\n")
	}
	section(b, "Nights that didn't hold", t.reasons())
	section(b, "Changes", t.changes())
	section(b, "To know besides", t.warned())
	fmt.Fprintf(b, "\n---\n\n%s\n", escape(t.caption()))
	_, err := io.WriteString(w, b.String())
	return err
}

// TrendJSON writes all nights and changes of a trend as [TrendSchema] says.
func TrendJSON(w io.Writer, t Trend) error {
	type change struct {
		Metric analysis.Metric `json:"metric"`
		Time   time.Time       `json:"time"` // of the first night after it
		Run    string          `json:"run"`
		Host   string          `json:"host"` // the machine's fingerprint
		Before float64         `json:"before"`
		After  float64         `json:"after"`
		Share  float64         `json:"share"` // 0.2: 20 % more
		Worse  bool            `json:"worse"`
		PValue float64         `json:"p_value"`
	}
	all := struct {
		Schema     string           `json:"schema"`
		Experiment string           `json:"experiment"`
		Nights     []analysis.Night `json:"nights"`
		Changes    []change         `json:"changes"`
		Warnings   []string         `json:"warnings"`
	}{TrendSchema, t.Experiment, t.Nights, []change{}, list(t.Warnings)}
	for _, s := range t.Shifts {
		n := t.Nights[s.Night]
		all.Changes = append(all.Changes, change{s.Metric, n.Time, n.Run, n.Host.Fingerprint, s.Before, s.After, s.Share(), s.Worse(), s.PValue})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write the trend: %w", err)
	}
	return nil
}

// story says in a sentence or two where an experiment stands.
func (t Trend) story() string {
	last := t.Nights[len(t.Nights)-1]
	count := map[analysis.NightVerdict]int{}
	for _, n := range t.Nights {
		count[n.Verdict]++
	}
	text := fmt.Sprintf("%s: %s. Of %d nights %d held, %d regressed and %d said nothing.",
		day(last.Time), t.state(last), len(t.Nights), count[analysis.Holds], count[analysis.Regressed], count[analysis.NightInconclusive])
	if n := len(t.Shifts); n > 0 {
		text += fmt.Sprintf(" The newest of %d changes: %s.", n, t.change(t.Shifts[n-1]))
		if n == 1 {
			text = strings.Replace(text, "The newest of 1 changes", "One change", 1)
		}
	} else {
		text += " No metric changed."
	}
	return clean(text, lineLength)
}

func (t Trend) state(n analysis.Night) string {
	switch n.Verdict {
	case analysis.Holds:
		return fmt.Sprintf("%s still carries %s %s", n.Minimal, analysis.Thousands(n.Target), t.unit())
	case analysis.Regressed:
		return fmt.Sprintf("%s regressed", n.Minimal)
	case analysis.NightInconclusive:
	}
	return "the check was inconclusive"
}

func day(at time.Time) string { return at.UTC().Format("2 January 2006") }

// reasons says what kept the newest nights from holding.
func (t Trend) reasons() []string {
	var out []string
	for _, n := range t.newestOf() {
		if n.Verdict != analysis.Holds {
			out = append(out, clean(fmt.Sprintf("%s: %s: %s", n.Time.UTC().Format("2006-01-02 15:04"), n.Verdict, dash(n.Reason)), lineLength))
		}
	}
	return out
}

// changes names all changes, the newest last.
func (t Trend) changes() []string {
	var out []string
	for _, s := range t.Shifts {
		out = append(out, "change: "+t.change(s))
	}
	return out
}

// change names a change: "p99 of the response time, ms, 20.1 to 25.3 (+26 %,
// worse) from 14 November 2026 on".
func (t Trend) change(s analysis.Shift) string {
	n := t.Nights[s.Night]
	text := fmt.Sprintf("%s, %s to %s (%s, %s) from %s on", metricHeading(s.Metric, t.unit()),
		plainNumber(inUnit(s.Metric, s.Before)), plainNumber(inUnit(s.Metric, s.After)), signed(s.Share()), worse(s), day(n.Time))
	if len(t.machines()) > 1 {
		text += ", machine " + clean(n.Host.Fingerprint, nameLength/3)
	}
	return text
}

// dated names a change where its metric is plain: "+26 % worse, 14 Nov", and
// where there are several machines, which one it is.
func (t Trend) dated(s analysis.Shift) string {
	n := t.Nights[s.Night]
	text := fmt.Sprintf("%s %s, %s", signed(s.Share()), worse(s), n.Time.UTC().Format("2 Jan"))
	if len(t.machines()) > 1 {
		const fingerprint = 8 // characters
		text += ", " + clean(n.Host.Fingerprint, fingerprint)
	}
	return text
}

func worse(s analysis.Shift) string {
	if s.Worse() {
		return "worse"
	}
	return "better"
}

// signed writes a share with its sign: "+26 %".
func signed(share float64) string {
	return strings.Replace(fmt.Sprintf("%+.0f %%", 100*share), "-", "−", 1)
}

func (t Trend) warned() []string {
	var out []string
	for _, w := range t.Warnings {
		out = append(out, "warning: "+clean(w, lineLength))
	}
	return out
}

// caption says what is noise, and which machines were measured on.
func (t Trend) caption() string {
	parts := []string{fmt.Sprintf("changes are found by E-divisive (p at most %g, %s at least); they notify, and gate nothing",
		analysis.ChangePValue, percent(analysis.ChangeMagnitude))}
	for i, m := range t.machines() {
		if i < len(markers()) {
			parts = append(parts, clean(m.Fingerprint+": "+m.Words, lineLength))
		}
	}
	return strings.Join(parts, "  ·  ")
}

// unit returns what the load is counted in.
func (t Trend) unit() string {
	if last := t.Nights[len(t.Nights)-1]; last.Unit != "" {
		return clean(last.Unit, nameLength/3)
	}
	return "users"
}

// target returns what the newest night asked for.
func (t Trend) target() int { return t.Nights[len(t.Nights)-1].Target }

// newest returns the spell of a metric to which the newest night belongs that
// says something, or nil.
func (t Trend) newest(m analysis.Metric) *analysis.Spell {
	var out *analysis.Spell
	for i, s := range t.Spells {
		if s.Metric == m && (out == nil || s.Nights[len(s.Nights)-1] > out.Nights[len(out.Nights)-1]) {
			out = &t.Spells[i]
		}
	}
	return out
}
