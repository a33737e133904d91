package report

import (
	"encoding/csv"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/analysis"
)

// CSV writes a line a cell, with all digits. Times are milliseconds, memory is
// bytes, rates are shares from 0 to 1. What isn't known is empty.
func CSV(w io.Writer, r Run) error {
	out := csv.NewWriter(w)
	lines := [][]string{r.csvHead()}
	for _, c := range r.Surface.Cells {
		lines = append(lines, r.csvLine(c))
	}
	return out.WriteAll(lines)
}

func (r Run) csvHead() []string {
	head := []string{"experiment", "run", "cpus", "memory_bytes", "measured", "trials", "outcome", "minimal"}
	for _, at := range []string{"last_pass_", "first_fail_"} {
		for _, name := range []string{"users", "requests", "throughput", "p50_ms", "p95_ms", "p99_ms", "error_rate", "deficit"} {
			head = append(head, at+name)
		}
	}
	head = append(head, "breach_objective", "breach_observed", "breach_limit", "cause", "cause_evidence", "cause_confirmed_by",
		"peak_memory_bytes", "cpu_seconds_per_request", "price_hour", "warnings", "starts_passed", "starts_failed", "inferred", "inferred_from", "price_per_million",
		"predicted_users", "predicted_low", "predicted_high", "proved")
	if r.set() {
		head = append(head, "setting")
	}
	return head
}

func (r Run) csvLine(c analysis.Cell) []string {
	l := c.Trial.Limits
	line := []string{
		text(r.Surface.Experiment), text(r.ID), l.CPU.String(), strconv.FormatInt(int64(l.Memory), 10),
		strconv.FormatBool(c.Measured), strconv.Itoa(c.Trials), string(c.Outcome), strconv.FormatBool(r.minimal(c)),
	}
	line = append(line, csvLevel(c.LastPass)...)
	line = append(line, csvLevel(c.FirstFail)...)
	var b analysis.Breach
	if c.Breach != nil {
		b = *c.Breach
	}
	var why analysis.Cause
	if c.Cause != nil {
		why = *c.Cause
	}
	from := ""
	if c.Inferred != "" {
		from = c.From.Slug()
	}
	line = append(line,
		text(b.Objective), text(b.Observed), text(b.Limit),
		string(why.Label), text(strings.Join(why.Evidence, "; ")), text(why.ConfirmedBy),
		known(float64(c.PeakMemory)), known(c.CPUSecondsPerRequest), digits(c.PriceHour), text(strings.Join(notes(c), "; ")),
		strconv.Itoa(c.Passes()), strconv.Itoa(c.Fails()), string(c.Inferred), from, known(c.PricePerMillion()))
	line = append(append(line, r.csvPrediction(c)...), strconv.FormatBool(c.Proved))
	if r.set() {
		line = append(line, text(l.Setting().String()))
	}
	return line
}

func (r Run) csvPrediction(c analysis.Cell) []string {
	p := r.predicted(c)
	if p == nil {
		return make([]string, 3)
	}
	return []string{strconv.Itoa(p.Users), strconv.Itoa(p.Low), strconv.Itoa(p.High)}
}

func csvLevel(l *analysis.Level) []string {
	if l == nil {
		return make([]string, 8)
	}
	return []string{
		strconv.Itoa(l.Users), strconv.FormatUint(l.Requests, 10), digits(l.Throughput),
		digits(milliseconds(l.P50)), digits(milliseconds(l.P95)), digits(milliseconds(l.P99)), digits(l.ErrorRate), digits(l.Deficit),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func digits(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// known returns nothing for 0, which says that a value isn't known.
func known(x float64) string {
	if x == 0 {
		return ""
	}
	return digits(x)
}

// text keeps a spreadsheet from running text as a formula: also where it takes
// another character than the comma for the end of a cell.
func text(s string) string {
	return formula.ReplaceAllString(clean(s, lineLength), "$1'$2")
}

var formula = regexp.MustCompile(`(^|[;|,])([=+@＝＋－＠-])`)
