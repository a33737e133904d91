package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sweep/pkg/report/reporttest"
)

// pageOf writes a run's page to a file of its own, and returns its URL.
func pageOf(t *testing.T, r Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), PageFile)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return (&url.URL{Scheme: "file", Path: file}).String()
}

func TestThePageInABrowser(t *testing.T) {
	b := reporttest.NewBrowser(t)
	file := pageOf(t, reference())
	for _, width := range reporttest.Widths() {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("%d-%s", width, scheme)
			b.Look(t, file, width, scheme)
			b.Check(t, name, width)
			b.Shoot(t, name)
		}
	}
	others := runs()
	others["hostile"], others["held"] = hostilePage(), heldRun()
	for name, r := range others {
		phone := reporttest.Widths()[0] // where room is least
		b.Look(t, pageOf(t, r), phone, "dark")
		b.Check(t, name, phone)
		if n := reporttest.Ask[int](t, b, "document.querySelectorAll('script, iframe, object, img, link, base').length"); n != 1 {
			t.Errorf("%s: %d elements that load or run something", name, n)
		}
		sameAsSummary(t, b, r)
	}
	if said := b.Said(t); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// TestThePageTellsWhatIsPointedAt checks what the script adds: one story at a
// time, and numbers from the table.
func TestThePageTellsWhatIsPointedAt(t *testing.T) {
	b := reporttest.NewBrowser(t)
	b.Look(t, pageOf(t, reference()), 1280, "light")
	const shown = "[...document.querySelectorAll('.story')].filter((s) => s.checkVisibility()).map((s) => s.id).join()"
	if got := reporttest.Ask[string](t, b, shown); got != "cell-1" {
		t.Errorf("shown at first: %s", got)
	}
	b.Do(t, chromedp.Click(".tabs button:nth-child(2)"))
	if got := reporttest.Ask[string](t, b, shown); got != "cell-2" {
		t.Errorf("shown then: %s", got)
	}
	b.Do(t, chromedp.Click(`a[href="#cell-3"]`))
	if got, err := chromedp.Run(b, chromedp.Evaluate[string]("new Promise((told) => setTimeout(() => told("+shown+")))", chromedp.EvalAwaitPromise)); err != nil || got != "cell-3" {
		t.Errorf("shown by its link: %s", got)
	}
	const point = `(() => {
		const plot = document.querySelector("#cell-3 figure[data-end] .plot"), d = plot.closest("figure").dataset, box = plot.getBoundingClientRect();
		const x = box.left + box.width * (Number(d.from) + (Number(d.to) - Number(d.from)) * 60 / Number(d.end));
		plot.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: box.top + 50, bubbles: true }));
		return plot.closest("figure").querySelector(".readout").textContent;
	})()`
	if got := reporttest.Ask[string](t, b, point); !strings.HasPrefix(got, "s 60") || !strings.Contains(got, "users 5,000") {
		t.Errorf("at 60 s it reads %q", got)
	}
	if said := b.Said(t); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// TestThePageSwitchesStarts checks that a story shows the start that speaks for its
// cell, and another where it is asked for.
func TestThePageSwitchesStarts(t *testing.T) {
	b := reporttest.NewBrowser(t)
	b.Look(t, pageOf(t, heldRun()), 1280, "light")
	const shown = "[...document.querySelectorAll('.start')].filter((s) => s.checkVisibility()).map((s) => s.dataset.name).join()"
	if got := reporttest.Ask[string](t, b, shown); got != "✗ start 1 holding 6,302 users" {
		t.Errorf("shown at first: %s", got)
	}
	b.Do(t, chromedp.Click("#cell-1 .tabs button:nth-child(3)"))
	if got := reporttest.Ask[string](t, b, shown); got != "✓ start 1 holding 5,987 users" {
		t.Errorf("shown then: %s", got)
	}
	b.Shoot(t, "starts")
}

// TestTheAnswerIsOnTheFirstScreen checks what a reader sees without scrolling: the
// answer, the matrix, and why each cell failed; on a phone at least the first two.
func TestTheAnswerIsOnTheFirstScreen(t *testing.T) {
	b := reporttest.NewBrowser(t)
	file := pageOf(t, reference())
	for width, parts := range map[int64][]string{1280: {"h1", "#matrix svg", ".why li:last-child"}, 390: {"h1", "#matrix svg"}} {
		b.Look(t, file, width, "light") // 900 pixels high
		for _, part := range parts {
			if bottom := reporttest.Ask[float64](t, b, fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().bottom", part)); bottom > 900 {
				t.Errorf("%d: %s ends at %g", width, part, bottom)
			}
		}
	}
}

func TestThePageReadsWithoutScript(t *testing.T) {
	b := reporttest.NewBrowser(t)
	reporttest.Set(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	r := reference()
	b.Look(t, pageOf(t, r), 1280, "light")
	b.Check(t, "without script", 1280)
	if n := reporttest.Ask[int](t, b, "[...document.querySelectorAll('.story')].filter((s) => s.checkVisibility()).length"); n != len(r.Surface.Cells) {
		t.Errorf("%d stories of %d cells", n, len(r.Surface.Cells))
	}
	if reporttest.Ask[bool](t, b, "document.querySelector('.tabs').checkVisibility() || [...document.querySelectorAll('.readout')].some((e) => e.checkVisibility())") {
		t.Error("what only a script fills is shown")
	}
	sameAsSummary(t, b, r)
	b.Shoot(t, "without-script")
	b.Look(t, pageOf(t, heldRun()), 1280, "light")
	if n := reporttest.Ask[int](t, b, "[...document.querySelectorAll('.start')].filter((s) => s.checkVisibility()).length"); n != 3 {
		t.Errorf("%d of 3 starts", n)
	}
}

// sameAsSummary holds the page's table against summary.json, cell by cell, to
// as many digits as the page has.
func sameAsSummary(t *testing.T, b reporttest.Browser, r Run) {
	t.Helper()
	var text bytes.Buffer
	if err := JSON(&text, r); err != nil {
		t.Fatal(err)
	}
	var want summary
	if err := json.Unmarshal(text.Bytes(), &want); err != nil {
		t.Fatal(err)
	}
	rows := reporttest.Ask[[]map[string]string](t, b, `(() => {
		const table = document.querySelector("table.cells"), heads = [...table.tHead.rows[0].cells].map((c) => c.textContent);
		return [...table.tBodies[0].rows].map((row) => Object.fromEntries([...row.cells].map((c, i) => [heads[i], c.textContent])));
	})()`)
	if len(rows) != len(want.Cells) {
		t.Fatalf("%d rows for %d cells", len(rows), len(want.Cells))
	}
	for i, c := range want.Cells {
		row := rows[i]
		number := func(head string, want, within float64) {
			t.Helper()
			shown := strings.NewReplacer(",", "", "~", "", "$", "").Replace(strings.SplitN(row[head], " (", 2)[0])
			if got, err := strconv.ParseFloat(shown, 64); err != nil || math.Abs(got-want) > within {
				t.Errorf("row %d: %s is %q, not %g", i+1, head, row[head], want)
			}
		}
		number("Price per h", c.PriceHour, 0.00005)
		for head, level := range map[string]*summaryLevel{"Last pass, ": c.LastPass, "First fail, ": c.FirstFail} {
			if head += r.unit(); level != nil {
				number(head, float64(level.Users), 0)
			} else if row[head] != none {
				t.Errorf("row %d: %s is %q, but there is none", i+1, head, row[head])
			}
		}
		if l := c.LastPass; l != nil {
			number("Req/s at last pass", l.Throughput, 0.5)
			took, err := time.ParseDuration(row["p99 at last pass"])
			if ms := milliseconds(took); err != nil || math.Abs(ms-l.P99) > 0.01*l.P99 {
				t.Errorf("row %d: p99 is %q, not %g ms", i+1, row["p99 at last pass"], l.P99)
			}
		}
		if c.PeakMemoryBytes != nil {
			number("Peak MiB (of limit)", float64(*c.PeakMemoryBytes)/(1<<20), 0.5)
		}
		words := func(s string) string { return strings.NewReplacer("-", " ", "_", " ").Replace(strings.ToLower(s)) }
		if c.Cause != nil && words(row["Cause"]) != words(string(c.Cause.Label)) {
			t.Errorf("row %d: the cause is %q, not %s", i+1, row["Cause"], c.Cause.Label)
		}
		if strings.Contains(row["Configuration"], "★") != (want.Minimal != nil && reflect.DeepEqual(want.Minimal.summaryLimits, c.summaryLimits)) {
			t.Errorf("row %d: %q, but the minimal one is %v", i+1, row["Configuration"], want.Minimal)
		}
	}
}
