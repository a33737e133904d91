package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
	"sweep/pkg/capacity"
	"sweep/pkg/experiment"
)

// CheckSchema names the format that [CheckJSON] writes.
const CheckSchema = "sweep.check/v1"

// Check is a night of `sweep check`, as it is written.
type Check struct {
	Experiment string
	File       string // of the experiment
	Run        string // its name, empty where nothing was measured
	Target     int
	Unit       string
	Host       capacity.Host
	ImageID    string // tonight's
	Baseline   string // the day on which it was measured, empty where there is none
	Took       time.Duration
	Verdict    capacity.Verdict
	Warnings   []string
}

// headline is the verdict in one sentence, with what is better.
func (k Check) headline() string {
	text := clean(k.Verdict.Sentence, lineLength)
	if k.Verdict.Improvement != "" {
		text += " Better: " + clean(k.Verdict.Improvement, lineLength) + "."
	}
	return text
}

// rows returns the table of metrics: heads, then a row for each.
func (k Check) rows() (heads []string, rows [][]string) {
	heads = []string{"Metric", "Baseline", "Tonight", "Change", "95 % interval", "p", "Would have seen", ""}
	for _, c := range k.Verdict.Metrics {
		if c.Unknown {
			rows = append(rows, []string{c.Metric.Word, none, none, none, none, none, none, c.Word()})
			continue
		}
		shift, p := c.Shift, c.P
		if c.Paired != nil {
			shift, p = c.Paired.Shift, c.Paired.P
		}
		ends := []float64{c.Metric.Share(shift.Low), c.Metric.Share(shift.High)}
		slices.Sort(ends)
		rows = append(rows, []string{
			c.Metric.Word, metricText(c.Before, c.Metric), metricText(c.Now, c.Metric), capacity.Signed(c.Metric.Share(shift.Estimate)),
			capacity.Signed(ends[0]) + " to " + capacity.Signed(ends[1]), chance(p), k.seen(c.Metric), c.Word(),
		})
	}
	return heads, rows
}

// seen says what change of a metric this night would have suspected.
func (k Check) seen(m capacity.Metric) string {
	for _, s := range k.Verdict.Power {
		if s.Metric.Name == m.Name && !math.IsInf(s.Loss, 1) {
			return capacity.Signed(m.Share(s.Loss))
		}
	}
	return "nothing"
}

// sight says which changes nine of ten nights would suspect, where there is no
// table that does.
func (k Check) sight() string {
	var parts []string
	for _, s := range k.Verdict.Power {
		if !math.IsInf(s.Loss, 1) {
			parts = append(parts, fmt.Sprintf("%s %s", s.Metric.Word, k.seen(s.Metric)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "a night would suspect, nine times of ten: " + strings.Join(parts, ", ")
}

// metricText writes a metric in its unit.
func metricText(v float64, m capacity.Metric) string {
	unit := map[string]string{"throughput": "/s", "p99_ms": " ms", "cpu_ms_per_request": " ms", "peak_memory_mib": " MiB"}[m.Name]
	if math.IsInf(v, 0) {
		return "failed"
	}
	const thousand = 1000 // from there on three digits would need an exponent
	if v >= thousand {
		return number(v) + unit
	}
	return fmt.Sprintf("%.3g", v) + unit
}

// chance writes a p-value.
func chance(p float64) string {
	const least = 0.001
	if p < least {
		return "< 0.001"
	}
	return fmt.Sprintf("%.2g", p)
}

// counted says how many trials there were, and how they came out.
func (k Check) counted() string {
	v := k.Verdict
	text := fmt.Sprintf("%d trials in %s: of tonight's service %d carried %s %s, %d failed", len(v.Starts), k.Took.Round(time.Second),
		v.Carried, analysis.Thousands(k.Target), k.Unit, v.Failed)
	if v.Void > 0 {
		text += fmt.Sprintf("; %d told nothing", v.Void)
	}
	return text
}

// because returns the lines that explain the verdict.
func (k Check) because() []string {
	var lines []string
	v := k.Verdict
	if v.Cause != nil && v.Cause.Label != analysis.CauseUnknown {
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("cause: %s: %s", plain(string(v.Cause.Label)), clean(strings.Join(v.Cause.Evidence, "; "), lineLength)), ": "))
	}
	if len(v.Starts) > 0 {
		lines = append(lines, k.counted())
	}
	if slices.ContainsFunc(v.Power, func(s capacity.Seen) bool { return !s.Tells }) {
		lines = append(lines, "the baseline has too few starts to compare with: only whether the target is carried was checked; sweep check --update with --starts 4 or more, better 12")
	}
	if text := k.sight(); text != "" && len(v.Metrics) == 0 {
		lines = append(lines, text)
	}
	for _, w := range k.Warnings {
		lines = append(lines, clean(w, lineLength))
	}
	if v.Next != "" {
		lines = append(lines, "To do: "+clean(v.Next, lineLength)+".")
	}
	return lines
}

// CheckText writes a night for a terminal: the sentence first.
func CheckText(w io.Writer, k Check) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s\n", k.headline())
	if len(k.Verdict.Metrics) > 0 {
		heads, rows := k.rows()
		right := tw.AlignRight
		table := tablewriter.NewTable(out, tablewriter.WithRenderer(rules()),
			tablewriter.WithConfig(layout([]tw.Align{tw.AlignLeft, right, right, right, right, right, right, tw.AlignLeft}, "  ")))
		table.Header(heads)
		for _, row := range rows {
			if err := table.Append(row); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
		}
		if err := table.Render(); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	for _, line := range k.because() {
		fmt.Fprintln(out, line)
	}
	_, err := io.WriteString(w, trimRight(out.String()))
	return err
}

// CheckMarkdown writes a night as a section in GitHub's Markdown.
func CheckMarkdown(w io.Writer, k Check) error {
	b := &strings.Builder{}
	sign := map[capacity.Outcome]string{capacity.Holds: "✅", capacity.Regressed: "❌", capacity.Inconclusive: "⚠️"}[k.Verdict.Outcome]
	fmt.Fprintf(b, "## %s %s: %s\n\n**%s**\n", sign, escape(clean(k.Experiment, nameLength)), k.Verdict.Outcome, escape(k.headline()))
	if len(k.Verdict.Metrics) > 0 {
		heads, rows := k.rows()
		fmt.Fprintf(b, "\n| %s |\n|---|---:|---:|---:|---:|---:|---:|---|\n", strings.Join(heads, " | "))
		for _, row := range rows {
			fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	b.WriteString("\n")
	for _, line := range k.because() {
		fmt.Fprintf(b, "- %s\n", escape(line))
	}
	fmt.Fprintf(b, "\nHost: %s. Baseline: %s. Run: %s.\n\n", escape(k.Host.String()), dash(k.Baseline), dash(k.Run))
	_, err := io.WriteString(w, b.String())
	return err
}

// The verdict's fields are a contract: what scripts read.
type (
	checkJSON struct {
		Schema      string           `json:"schema"`
		Experiment  string           `json:"experiment"`
		Run         string           `json:"run"`
		Verdict     capacity.Outcome `json:"verdict"`
		Reason      capacity.Reason  `json:"reason"`
		Sentence    string           `json:"sentence"`
		Next        string           `json:"next,omitempty"`
		Improvement string           `json:"improvement,omitempty"`
		Target      int              `json:"target"`
		Unit        string           `json:"unit"`
		Minimal     *summaryLimits   `json:"minimal"`
		Starts      checkStarts      `json:"starts"`
		Metrics     []checkMetric    `json:"metrics"`
		Cause       *summaryCheckWhy `json:"cause"`
		Host        string           `json:"host"`
		ImageID     string           `json:"image_id"`
		Baseline    string           `json:"baseline,omitempty"`
		Trials      int              `json:"trials"`
		Seconds     float64          `json:"seconds"`
		Warnings    []string         `json:"warnings"`
	}
	checkStarts struct {
		Carried int `json:"carried"`
		Failed  int `json:"failed"`
		Void    int `json:"void"` // of all cells
	}
	checkMetric struct {
		Name     string   `json:"name"`
		Baseline *float64 `json:"baseline"` // median; null where it isn't known
		Tonight  *float64 `json:"tonight"`
		Shift    *float64 `json:"shift"` // a share: 0.2 is 20 % more
		Low      *float64 `json:"low"`
		High     *float64 `json:"high"`
		P        *float64 `json:"p"`
		Floor    *float64 `json:"floor"`           // the least that counts as worse
		Seen     *float64 `json:"would_have_seen"` // the smallest change that would have been suspected; null: none
		Pairs    int      `json:"pairs,omitempty"` // beside the baseline's image, where shift and p are of those
		Word     string   `json:"word"`
	}
	summaryCheckWhy struct {
		Label    analysis.Label `json:"label"`
		Evidence []string       `json:"evidence"`
	}
)

// finite returns v, nil where JSON has no number for it.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	const digits = 1e5
	v = math.Round(v*digits) / digits
	return &v
}

func (k Check) json() checkJSON {
	v := k.Verdict
	out := checkJSON{
		Schema: CheckSchema, Experiment: k.Experiment, Run: k.Run, Verdict: v.Outcome, Reason: v.Reason, Sentence: v.Sentence,
		Next: v.Next, Improvement: v.Improvement, Target: k.Target, Unit: k.Unit, Starts: checkStarts{v.Carried, v.Failed, v.Void},
		Metrics: []checkMetric{}, Host: k.Host.String(), ImageID: k.ImageID, Baseline: k.Baseline, Trials: len(v.Starts),
		Seconds: math.Round(k.Took.Seconds()), Warnings: append([]string{}, k.Warnings...),
	}
	if v.Minimal != (experiment.Limits{}) {
		minimal := limits(v.Minimal)
		out.Minimal = &minimal
	}
	if v.Cause != nil {
		out.Cause = &summaryCheckWhy{v.Cause.Label, append([]string{}, v.Cause.Evidence...)}
	}
	for _, c := range v.Metrics {
		m := checkMetric{Name: c.Metric.Name, Word: c.Word()}
		if !c.Unknown {
			shift, p := c.Shift, c.P
			if c.Paired != nil {
				shift, p, m.Pairs = c.Paired.Shift, c.Paired.P, c.Paired.N
			}
			ends := []float64{c.Metric.Share(shift.Low), c.Metric.Share(shift.High)}
			slices.Sort(ends)
			m.Baseline, m.Tonight, m.Shift = finite(c.Before), finite(c.Now), finite(c.Metric.Share(shift.Estimate))
			m.Low, m.High, m.P, m.Floor = finite(ends[0]), finite(ends[1]), &p, finite(c.Metric.Share(c.Floor))
		}
		for _, s := range v.Power {
			if s.Metric.Name == c.Metric.Name {
				m.Seen = finite(c.Metric.Share(s.Loss))
				if math.IsInf(s.Loss, 1) {
					m.Seen = nil
				}
			}
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out
}

// CheckJSON writes a night as one line of JSON.
func CheckJSON(w io.Writer, k Check) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(k.json()); err != nil {
		return fmt.Errorf("write the verdict: %w", err)
	}
	return nil
}

// What a JUnit file has in it, as CI systems read it.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		Time    string      `xml:"time,attr"`
		Failure *junitFault `xml:"failure"`
		Error   *junitFault `xml:"error"`
		Out     string      `xml:"system-out,omitempty"`
	}
	junitFault struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// CheckJUnit writes a night as a JUnit file: a test case for each cell that was
// run, and one for the verdict. A regression is a failure, what can't be told an
// error.
func CheckJUnit(w io.Writer, k Check) error {
	class := "sweep.check." + clean(k.Experiment, nameLength)
	suite := junitSuite{Name: "sweep check " + clean(k.Experiment, nameLength), Time: junitSeconds(k.Took)}
	for _, cell := range cellsOf(k.Verdict.Starts) {
		suite.Cases = append(suite.Cases, k.junitCell(class, cell))
	}
	verdict := junitCase{Class: class, Name: "verdict", Time: junitSeconds(k.Took), Out: k.headline()}
	fault := &junitFault{string(k.Verdict.Reason), k.headline(), strings.Join(k.because(), "\n")}
	switch k.Verdict.Outcome {
	case capacity.Regressed:
		verdict.Failure = fault
	case capacity.Inconclusive:
		verdict.Error = fault
	case capacity.Holds:
	}
	suite.Cases = append(suite.Cases, verdict)
	for _, c := range suite.Cases {
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Error != nil {
			suite.Errors++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write the JUnit file: %w", err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return fmt.Errorf("write the JUnit file: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitSeconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// cellsOf returns the cells of trials, in the order in which they come.
func cellsOf(starts []analysis.Verdict) []experiment.Limits {
	var out []experiment.Limits
	for _, s := range starts {
		if !slices.Contains(out, s.Trial.Limits) {
			out = append(out, s.Trial.Limits)
		}
	}
	return out
}

// junitCell is the test case of one cell: a failure where most of its starts
// that tell anything failed, an error where none tells.
func (k Check) junitCell(class string, cell experiment.Limits) junitCase {
	c := junitCase{Class: class, Name: clean(cell.String(), lineLength), Time: "0.0"}
	passed, failed, other := 0, 0, 0
	var lines []string
	for _, s := range k.Verdict.Starts {
		if s.Trial.Limits != cell {
			continue
		}
		switch {
		case s.Outcome == analysis.Passed:
			passed++
		case s.Outcome.Failed():
			failed++
		default:
			other++
		}
		line := fmt.Sprintf("start %d: %s", s.Trial.Replicate, plain(string(s.Outcome)))
		if s.Breach != nil {
			line += fmt.Sprintf(" (%s %s)", s.Breach.Objective, clean(s.Breach.Observed, lineLength))
		}
		lines = append(lines, line)
	}
	c.Out = strings.Join(lines, "\n")
	message := fmt.Sprintf("%d of %d starts carried %s %s", passed, passed+failed+other, analysis.Thousands(k.Target), k.Unit)
	switch {
	case failed > passed:
		c.Failure = &junitFault{"not_carried", message, c.Out}
	case passed == 0:
		c.Error = &junitFault{"not_measured", message, c.Out}
	}
	return c
}

// Annotation returns a night as a GitHub workflow command: an error, a warning,
// or a notice where something is better; nothing where there is nothing to say.
func Annotation(k Check) string {
	var kind string
	switch {
	case k.Verdict.Outcome == capacity.Regressed:
		kind = "error"
	case k.Verdict.Outcome == capacity.Inconclusive:
		kind = "warning"
	case k.Verdict.Improvement != "":
		kind = "notice"
	default:
		return ""
	}
	value := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	text := strings.Join(append([]string{k.headline()}, k.because()...), "\n")
	return fmt.Sprintf("::%s file=%s,title=%s::%s", kind, property.Replace(k.File), property.Replace("sweep check "+k.Experiment), value.Replace(text))
}
