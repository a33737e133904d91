package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// Compared are two runs beside each other.
type Compared struct {
	A, B Run
	analysis.Comparison
}

// Compare puts b beside a.
func Compare(a, b Run) Compared {
	return Compared{a, b, analysis.Compare(a.side(), b.side())}
}

func (r Run) side() analysis.Side {
	return analysis.Side{Experiment: r.Experiment, Manifest: r.Manifest, Surface: r.Surface, Ceiling: analysis.CeilingOf(r.Results)}
}

// CompareTable writes two runs beside each other, for people: first what sets
// them apart, then by which factor each cell carries more or less, then what was
// measured, and the sentence.
func CompareTable(w io.Writer, c Compared, look Look) error {
	out := &strings.Builder{}
	for _, line := range c.unlike() {
		out.WriteString(look.red("! "+line) + "\n")
	}
	if len(c.Apart) > 0 {
		out.WriteString("\n")
	}
	for _, line := range append(c.heads(), "", "B over A, "+c.unit()+" carried:") {
		out.WriteString(line + "\n")
	}
	for _, line := range c.matrix() {
		out.WriteString("  " + line + "\n")
	}
	table, err := c.table()
	if err != nil {
		return err
	}
	out.WriteString("\n" + table)
	for _, line := range c.beneath() {
		out.WriteString(clean(line, 2*lineLength) + "\n")
	}
	_, err = io.WriteString(w, trimRight(out.String()))
	return err //nolint:wrapcheck // the writer's own
}

// unlike says what sets the runs apart besides their results.
func (c Compared) unlike() []string {
	var out []string
	for _, a := range c.Apart {
		out = append(out, clean(fmt.Sprintf("not the same %s: A %s; B %s", a.What, cmp.Or(a.A, "unknown"), cmp.Or(a.B, "unknown")), 2*lineLength))
	}
	return out
}

// unit returns what the load is counted in, where both count it in the same.
func (c Compared) unit() string {
	if c.A.open() != c.B.open() {
		return "load"
	}
	return c.A.unit()
}

// heads say which run is which.
func (c Compared) heads() []string {
	var out []string
	for i, r := range []Run{c.A, c.B} {
		out = append(out, clean(fmt.Sprintf("%s: %s, run %s", runNames[i], r.Surface.Experiment, r.ID), lineLength))
	}
	return out
}

var runNames = [...]string{"A", "B"} //nolint:gochecknoglobals // a table

// matrix lays out by which factor each cell of B carries more.
func (c Compared) matrix() []string {
	pairs := map[experiment.Limits]analysis.Pair{}
	var all []experiment.Limits
	for _, p := range c.Pairs {
		pairs[p.Limits], all = p, append(all, p.Limits)
	}
	return cellGrid(all, func(l experiment.Limits) string { return change(pairs[l]) })
}

// change says what a pair of cells shows: "more: 1.02 to 1.12".
func change(p analysis.Pair) string {
	switch word := p.Relation(); {
	case p.A == nil:
		return "only in B"
	case p.B == nil:
		return "only in A"
	case p.Ratio == nil && word == analysis.NoMore:
		return "both passed"
	case p.Ratio == nil:
		return none
	case word == analysis.NoMore:
		return ramps(p) + factor(p.Ratio)
	default:
		return string(word) + ": " + ramps(p) + factor(p.Ratio)
	}
}

// ramps stands before a factor that rests on a ramp's bracket: another start may
// fail elsewhere.
func ramps(p analysis.Pair) string { return cmp.Or(tilde(*p.A), tilde(*p.B)) }

// factor writes a ratio, rounded to its outside.
func factor(r *analysis.Ratio) string {
	const digits, rounding = 100, 1e-9
	low := strconv.FormatFloat(math.Floor(digits*r.Low+rounding)/digits, 'f', 2, 64)
	if r.High == nil {
		return "over " + low
	}
	high := strconv.FormatFloat(math.Ceil(digits**r.High-rounding)/digits, 'f', 2, 64)
	if r.Low == 0 {
		return "under " + high
	}
	return low + " to " + high
}

// A comparedLine is what one run says of a cell.
type comparedLine struct {
	run  string // A or B
	r    Run
	cell analysis.Cell
	pair analysis.Pair
	head bool // the first line of its pair
}

func (c Compared) lines() []comparedLine {
	var out []comparedLine
	for _, p := range c.Pairs {
		head := true
		for i, cell := range []*analysis.Cell{p.A, p.B} {
			if cell != nil {
				out = append(out, comparedLine{runNames[i], []Run{c.A, c.B}[i], *cell, p, head})
				head = false
			}
		}
	}
	return out
}

// A comparedColumn is a column of the table that compares.
type comparedColumn struct {
	head string
	side tw.Align
	text func(comparedLine) string
}

func (c Compared) columns() []comparedColumn {
	left, right := tw.AlignLeft, tw.AlignRight
	first := func(text func(experiment.Limits) string) func(comparedLine) string {
		return func(l comparedLine) string {
			if !l.head {
				return ""
			}
			return text(l.pair.Limits)
		}
	}
	ofCell := func(text func(analysis.Cell) string) func(comparedLine) string {
		return func(l comparedLine) string { return text(l.cell) }
	}
	columns := []comparedColumn{
		{"CPUs", right, first(func(l experiment.Limits) string { return l.CPU.String() })},
		{"Memory", right, first(func(l experiment.Limits) string { return l.Memory.String() })},
		{"Run", left, func(l comparedLine) string {
			if l.r.minimal(l.cell) {
				return l.run + "*"
			}
			return l.run
		}},
		{"Outcome", left, func(l comparedLine) string { return l.r.ended(l.cell) }},
		{"Last\npass,\n" + c.unit(), right, ofCell(func(c analysis.Cell) string { return end(c, c.LastPass) })},
		{"First\nfail,\n" + c.unit(), right, ofCell(func(c analysis.Cell) string { return end(c, c.FirstFail) })},
		{"B over A", left, func(l comparedLine) string {
			if !l.head {
				return ""
			}
			return change(l.pair)
		}},
		{"Req/s at\nlast pass", right, ofCell(throughput)},
		{"p99 at\nlast pass", right, ofCell(p99)},
		{"CPU ms/\nrequest", right, ofCell(cpuEach)},
		{"Peak\nMiB", right, ofCell(func(c analysis.Cell) string { return unknownOr(c.PeakMemory.MiB(), number) })},
		{"Price\nper h", right, ofCell(func(c analysis.Cell) string { return dollars(c.PriceHour) })},
	}
	if c.A.set() || c.B.set() {
		const afterMemory = 2
		columns = slices.Insert(columns, afterMemory, comparedColumn{"Setting", left, first(func(l experiment.Limits) string { return dash(l.Setting().String()) })})
	}
	return columns
}

func cpuEach(c analysis.Cell) string {
	return unknownOr(1000*c.CPUSecondsPerRequest, func(ms float64) string { return strconv.FormatFloat(ms, 'f', 3, 64) })
}

func unknownOr(x float64, text func(float64) string) string {
	if x == 0 {
		return none
	}
	return text(x)
}

// rows returns the texts of the table, and its head.
func (c Compared) rows() (heads []string, sides []tw.Align, rows [][]string) {
	columns := c.columns()
	for _, col := range columns {
		heads, sides = append(heads, col.head), append(sides, col.side)
	}
	for _, l := range c.lines() {
		var row []string
		for _, col := range columns {
			row = append(row, clean(col.text(l), lineLength))
		}
		rows = append(rows, row)
	}
	return heads, sides, rows
}

func (c Compared) table() (string, error) {
	heads, sides, rows := c.rows()
	out := &strings.Builder{}
	table := tablewriter.NewTable(out, tablewriter.WithRenderer(rules()), tablewriter.WithConfig(layout(sides, " ")))
	table.Header(heads)
	if err := table.Bulk(rows); err != nil {
		return "", fmt.Errorf("write the table: %w", err)
	}
	if err := table.Render(); err != nil {
		return "", fmt.Errorf("write the table: %w", err)
	}
	return out.String(), nil
}

// beneath returns the lines under the table.
func (c Compared) beneath() []string {
	var lines []string
	for i, r := range []Run{c.A, c.B} {
		if least := r.least(); least != "" {
			lines = append(lines, runNames[i]+"* "+least)
		} else {
			lines = append(lines, runNames[i]+": "+r.Surface.Answer)
		}
	}
	if slices.ContainsFunc(c.lines(), func(l comparedLine) bool { return rough(l.cell) }) {
		lines = append(lines, "~: where a ramp failed; no start of its own held that level, and another ramp may fail elsewhere")
	}
	return append(lines,
		"B over A: the failure points may be anywhere in their brackets, so the factor lies between these two",
		"", c.Sentence)
}

// CompareMarkdown writes the same in GitHub's Markdown.
func CompareMarkdown(w io.Writer, c Compared) error {
	b := &strings.Builder{}
	heads := c.heads()
	fmt.Fprintf(b, "# %s\n", escape(strings.Join(heads, "; ")))
	if apart := c.unlike(); len(apart) > 0 {
		b.WriteString("\n> [!CAUTION]\n")
		for _, line := range apart {
			fmt.Fprintf(b, "> - %s\n", escape(line))
		}
	}
	fmt.Fprintf(b, "\n**%s**\n\n", escape(clean(c.Sentence, 2*lineLength)))
	titles, sides, rows := c.rows()
	for i := range titles {
		titles[i] = strings.ReplaceAll(titles[i], "\n", " ")
	}
	rule := make([]string, len(sides))
	for i, side := range sides {
		rule[i] = map[bool]string{true: "---:", false: "---"}[side == tw.AlignRight]
	}
	fmt.Fprintf(b, "| %s |\n|%s|\n", strings.Join(titles, " | "), strings.Join(rule, "|"))
	for _, row := range rows {
		for i := range row {
			row[i] = escape(row[i])
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
	for _, line := range c.beneath() {
		if line != "" && line != c.Sentence {
			fmt.Fprintf(b, "\n%s\n", escape(clean(line, 2*lineLength)))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err //nolint:wrapcheck // the writer's own
}

// CompareSchema names the format that [CompareJSON] writes.
const CompareSchema = "sweep.compare/v1"

// The fields of a comparison are a contract, as the summary's are.
type (
	compareSummary struct {
		Schema    string         `json:"schema"`
		A         compareRun     `json:"a"`
		B         compareRun     `json:"b"`
		Different []compareApart `json:"different"` // besides the results; see before them
		Cells     []compareCell  `json:"cells"`
		Sentence  string         `json:"sentence"`
	}
	compareRun struct {
		Experiment  string          `json:"experiment"`
		Run         string          `json:"run"`
		TargetUsers int             `json:"target_users"`
		Unit        string          `json:"unit,omitempty"` // of target_users and users, where it isn't users
		Minimal     *summaryMinimal `json:"minimal"`
		Answer      string          `json:"answer"`
	}
	compareApart struct {
		What string `json:"what"`
		A    string `json:"a"`
		B    string `json:"b"`
	}
	compareCell struct {
		summaryLimits

		A       *compareSide      `json:"a"` // null: the run hasn't this cell
		B       *compareSide      `json:"b"`
		Ratio   *compareRatio     `json:"ratio"` // load carried, B over A; null where the brackets don't tell
		Change  analysis.Relation `json:"change,omitempty"`
		Outcome bool              `json:"outcome_changed"`
	}
	compareSide struct {
		summaryVerdict

		Measured  bool    `json:"measured"`
		Proved    bool    `json:"proved"`
		PriceHour float64 `json:"price_hour"`
	}
	compareRatio struct {
		Low  float64  `json:"low"`
		High *float64 `json:"high"` // null: no upper bound is known
	}
)

// CompareJSON writes the same as [CompareSchema] says.
func CompareJSON(w io.Writer, c Compared) error {
	s := compareSummary{
		Schema: CompareSchema, A: c.A.compared(), B: c.B.compared(),
		Different: []compareApart{}, Cells: []compareCell{}, Sentence: c.Sentence,
	}
	for _, a := range c.Apart {
		s.Different = append(s.Different, compareApart(a))
	}
	for _, p := range c.Pairs {
		s.Cells = append(s.Cells, compareCell{
			summaryLimits: limits(p.Limits), A: sideOf(p.A), B: sideOf(p.B),
			Ratio: (*compareRatio)(p.Ratio), Change: p.Relation(), Outcome: p.Turned(),
		})
	}
	if err := writeJSON(w, s); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}

func (r Run) compared() compareRun {
	out := compareRun{Experiment: r.Surface.Experiment, Run: r.ID, TargetUsers: r.Surface.Target, Minimal: r.summaryMinimal(), Answer: r.Surface.Answer}
	if r.open() {
		out.Unit = r.Experiment.Users.Unit()
	}
	return out
}

func sideOf(c *analysis.Cell) *compareSide {
	if c == nil {
		return nil
	}
	return &compareSide{verdict(c.Verdict), c.Measured, c.Proved, c.PriceHour}
}
