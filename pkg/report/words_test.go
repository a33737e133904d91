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
