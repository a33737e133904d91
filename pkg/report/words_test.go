package report

import (
	"strings"
	"testing"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
)

// TestOpenLoadIsCountedInRequests checks that where the load was requests a
// second nothing speaks of users.
func TestOpenLoadIsCountedInRequests(t *testing.T) {
	rate := experiment.Rate(10000)
	r := reference()
	r.Experiment.Users.Rate, r.Experiment.Users.Wait = &rate, experiment.Wait{}
	r.Surface.Answer = ""
	for i := range r.Surface.Cells {
		r.Surface.Cells[i].Warnings = nil // these say it themselves
	}
	var table, markdown, summary strings.Builder
	for b, write := range map[*strings.Builder]func(*strings.Builder) error{
		&table:    func(b *strings.Builder) error { return Table(b, r) },
		&markdown: func(b *strings.Builder) error { return Markdown(b, r) },
		&summary:  func(b *strings.Builder) error { return JSON(b, r) },
	} {
		if err := write(b); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(summary.String(), `"unit": "requests/s",`) {
		t.Error("the summary doesn't say what it counts")
	}
	for name, text := range map[string]string{
		"table": table.String(), "markdown": markdown.String(), "matrix": svg(t, Matrix(r)), "ramp": svg(t, Ramp(r, r.Surface.Cells[0].Trial)),
	} {
		if strings.Contains(text, "users") || strings.Contains(text, "Users") || !strings.Contains(text, "req/s") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	if got, want := bracket(r.Surface.Cells[0], r.unit()), " req/s"; !strings.HasSuffix(got, want) {
		t.Errorf("%q", got)
	}
	if got := bracket(analysis.Cell{}, "users"); got != "unknown" {
		t.Errorf("%q", got)
	}
}

func TestPricesToTwoDigitsAtLeast(t *testing.T) {
	for x, want := range map[float64]string{0: "$0.0000", 1.5: "$1.5000", 0.00238: "$0.0024", 0.00099: "$0.00099", 0.000012345: "$0.000012", 0.0001: "$0.00010"} {
		if got := fine(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
}

func TestOnlyTheDefaultPriceHasASource(t *testing.T) {
	r := reference()
	r.Experiment.Price.CPUHour = 0.03
	var table, markdown strings.Builder
	if err := Table(&table, r); err != nil {
		t.Fatal(err)
	}
	if err := Markdown(&markdown, r); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{table.String(), markdown.String(), svg(t, Matrix(r))} {
		if strings.Contains(text, "AWS") {
			t.Errorf("the file's own price is called AWS's:\n%s", text)
		}
	}
}
