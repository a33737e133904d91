package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The widths at which the page is looked at, in pixels: a phone, a laptop, a
// large screen.
func widths() []int64 { return []int64{390, 1280, 1920} }

// A browser is a tab of Debian's chromium (.ci/load-tools test installs it).
type browser struct {
	context.Context //nolint:containedctx // chromedp keeps the tab in it

	console iter.Seq2[chromedp.ConsoleMessage, error]
}

func newBrowser(t *testing.T) browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("force-color-profile", "srgb"))
	process, endProcess := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(endProcess)
	ctx, end := chromedp.NewContext(process)
	t.Cleanup(end)
	return browser{ctx, chromedp.Console(ctx)}
}

// do takes steps in the tab, all within a minute.
func (b browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("chromium (`.ci/load-tools test` installs it): %v", err)
	}
}

// set changes what the browser makes of pages that are opened after.
func set[P any](t *testing.T, b browser, command cdp.Command[P, cdp.Empty], params P) {
	t.Helper()
	if _, err := chromedp.Call(b, command, params); err != nil {
		t.Fatal(err)
	}
}

// look opens a page as a reader with such a screen does.
func (b browser) look(t *testing.T, file string, width int64, scheme string) {
	t.Helper()
	set(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate((&url.URL{Scheme: "file", Path: file}).String()))
}

// ask evaluates an expression in the page.
func ask[T any](t *testing.T, b browser, expression string) T {
	t.Helper()
	out, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// said returns what stands on the console so far: complaints, for the page says
// nothing itself.
func (b browser) said(t *testing.T) []string {
	t.Helper()
	const end = "that is all"
	ask[any](t, b, fmt.Sprintf("void console.log(%q)", end))
	var out []string
	for m, err := range b.console {
		if err != nil {
			t.Fatal(err)
		}
		if m.Text == end {
			break
		}
		out = append(out, m.String())
	}
	return out
}

// shoot keeps a picture of the whole page, in a temporary folder unless
// SWEEP_SCREENSHOTS names another.
func (b browser) shoot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("SWEEP_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	png, err := chromedp.Run(b, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pageOf writes a run's page to a file of its own.
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
	return file
}

// faint returns the texts of the page whose contrast is less than 4.5: each
// against the nearest ground that is painted beneath it. In a picture that is
// the last shape before the text that holds its middle.
const faint = `(() => {
	const rgb = (s) => { const m = s.match(/[\d.]+/g); return m && (m.length < 4 || +m[3] > 0) ? m.slice(0, 3).map(Number) : null; };
	const light = (c) => c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
	const beneath = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
	const out = [];
	for (const e of document.querySelectorAll("body *:not(svg *):not(script)")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
		const c = contrast(rgb(getComputedStyle(e).color), beneath(e));
		if (c < 4.5) out.push(c.toFixed(2) + " " + e.tagName + " " + e.textContent.trim().slice(0, 40));
	}
	for (const svg of document.querySelectorAll("svg")) {
		if (!svg.getClientRects().length) continue;
		const shapes = [];
		for (const e of svg.querySelectorAll("path, rect, text")) {
			const box = e.getBoundingClientRect(), ink = rgb(getComputedStyle(e).fill);
			if (e.tagName !== "text") { if (ink) shapes.push({ box, ink }); continue; }
			const x = box.left + box.width / 2, y = box.top + box.height / 2;
			const under = shapes.findLast((s) => s.box.left <= x && x <= s.box.right && s.box.top <= y && y <= s.box.bottom);
			const c = contrast(ink, under ? under.ink : [255, 255, 255]);
			if (c < 4.5) out.push(c.toFixed(2) + " svg " + e.textContent.slice(0, 40));
		}
	}
	return out;
})()`

// flat returns the pictures without a size, and how many are seen.
const flat = `(() => {
	const seen = [...document.querySelectorAll("svg")].filter((s) => s.closest("figure").checkVisibility());
	return { seen: seen.length, flat: seen.filter((s) => { const b = s.getBoundingClientRect(); return b.width < 200 || b.height < 80; }).length };
})()`

// check holds what must be true of every page, whatever is on it.
func (b browser) check(t *testing.T, name string, width int64) {
	t.Helper()
	if most := ask[int64](t, b, "document.documentElement.scrollWidth"); most > width {
		t.Errorf("%s: %d pixels wide", name, most)
	}
	if sizes := ask[map[string]int](t, b, flat); sizes["seen"] == 0 || sizes["flat"] > 0 {
		t.Errorf("%s: of %d pictures %d are flat", name, sizes["seen"], sizes["flat"])
	}
	if pale := ask[[]string](t, b, faint); len(pale) > 0 {
		t.Errorf("%s: %d texts are hard to read: %q", name, len(pale), pale)
	}
}

func TestThePageInABrowser(t *testing.T) {
	b := newBrowser(t)
	file := pageOf(t, reference())
	for _, width := range widths() {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("%d-%s", width, scheme)
			b.look(t, file, width, scheme)
			b.check(t, name, width)
			b.shoot(t, name)
		}
	}
	others := runs()
	others["hostile"], others["held"] = hostilePage(), heldRun()
	for name, r := range others {
		phone := widths()[0] // where room is least
		b.look(t, pageOf(t, r), phone, "dark")
		b.check(t, name, phone)
		if n := ask[int](t, b, "document.querySelectorAll('script, iframe, object, img, link, base').length"); n != 1 {
			t.Errorf("%s: %d elements that load or run something", name, n)
		}
		sameAsSummary(t, b, r)
	}
	if said := b.said(t); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// TestThePageTellsWhatIsPointedAt checks what the script adds: one story at a
// time, and numbers from the table.
func TestThePageTellsWhatIsPointedAt(t *testing.T) {
	b := newBrowser(t)
	b.look(t, pageOf(t, reference()), 1280, "light")
	const shown = "[...document.querySelectorAll('.story')].filter((s) => s.checkVisibility()).map((s) => s.id).join()"
	if got := ask[string](t, b, shown); got != "cell-1" {
		t.Errorf("shown at first: %s", got)
	}
	b.do(t, chromedp.Click(".tabs button:nth-child(2)"))
	if got := ask[string](t, b, shown); got != "cell-2" {
		t.Errorf("shown then: %s", got)
	}
	b.do(t, chromedp.Click(`a[href="#cell-3"]`))
	if got, err := chromedp.Run(b, chromedp.Evaluate[string]("new Promise((told) => setTimeout(() => told("+shown+")))", chromedp.EvalAwaitPromise)); err != nil || got != "cell-3" {
		t.Errorf("shown by its link: %s", got)
	}
	const point = `(() => {
		const plot = document.querySelector("#cell-3 figure[data-end] .plot"), d = plot.closest("figure").dataset, box = plot.getBoundingClientRect();
		const x = box.left + box.width * (Number(d.from) + (Number(d.to) - Number(d.from)) * 60 / Number(d.end));
		plot.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: box.top + 50, bubbles: true }));
		return plot.closest("figure").querySelector(".readout").textContent;
	})()`
	if got := ask[string](t, b, point); !strings.HasPrefix(got, "s 60") || !strings.Contains(got, "users 5,000") {
		t.Errorf("at 60 s it reads %q", got)
	}
	if said := b.said(t); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}

// TestThePageSwitchesStarts checks that a story shows the start that speaks for its
// cell, and another where it is asked for.
func TestThePageSwitchesStarts(t *testing.T) {
	b := newBrowser(t)
	b.look(t, pageOf(t, heldRun()), 1280, "light")
	const shown = "[...document.querySelectorAll('.start')].filter((s) => s.checkVisibility()).map((s) => s.dataset.name).join()"
	if got := ask[string](t, b, shown); got != "✗ start 1 holding 6,302 users" {
		t.Errorf("shown at first: %s", got)
	}
	b.do(t, chromedp.Click("#cell-1 .tabs button:nth-child(3)"))
	if got := ask[string](t, b, shown); got != "✓ start 1 holding 5,987 users" {
		t.Errorf("shown then: %s", got)
	}
	b.shoot(t, "starts")
}

// TestTheAnswerIsOnTheFirstScreen checks what a reader sees without scrolling: the
// answer, the matrix, and why each cell failed; on a phone at least the first two.
func TestTheAnswerIsOnTheFirstScreen(t *testing.T) {
	b := newBrowser(t)
	file := pageOf(t, reference())
	for width, parts := range map[int64][]string{1280: {"h1", "#matrix svg", ".why li:last-child"}, 390: {"h1", "#matrix svg"}} {
		b.look(t, file, width, "light") // 900 pixels high
		for _, part := range parts {
			if bottom := ask[float64](t, b, fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().bottom", part)); bottom > 900 {
				t.Errorf("%d: %s ends at %g", width, part, bottom)
			}
		}
	}
}

func TestThePageReadsWithoutScript(t *testing.T) {
	b := newBrowser(t)
	set(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	r := reference()
	b.look(t, pageOf(t, r), 1280, "light")
	b.check(t, "without script", 1280)
	if n := ask[int](t, b, "[...document.querySelectorAll('.story')].filter((s) => s.checkVisibility()).length"); n != len(r.Surface.Cells) {
		t.Errorf("%d stories of %d cells", n, len(r.Surface.Cells))
	}
	if ask[bool](t, b, "document.querySelector('.tabs').checkVisibility() || [...document.querySelectorAll('.readout')].some((e) => e.checkVisibility())") {
		t.Error("what only a script fills is shown")
	}
	sameAsSummary(t, b, r)
	b.shoot(t, "without-script")
	b.look(t, pageOf(t, heldRun()), 1280, "light")
	if n := ask[int](t, b, "[...document.querySelectorAll('.start')].filter((s) => s.checkVisibility()).length"); n != 3 {
		t.Errorf("%d of 3 starts", n)
	}
}

// sameAsSummary holds the page's table against summary.json, cell by cell, to
// as many digits as the page has.
func sameAsSummary(t *testing.T, b browser, r Run) {
	t.Helper()
	var text bytes.Buffer
	if err := JSON(&text, r); err != nil {
		t.Fatal(err)
	}
	var want summary
	if err := json.Unmarshal(text.Bytes(), &want); err != nil {
		t.Fatal(err)
	}
	rows := ask[[]map[string]string](t, b, `(() => {
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
