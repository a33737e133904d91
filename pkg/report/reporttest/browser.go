// Package reporttest looks at pages of this project in a real browser, for
// tests.
package reporttest

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Widths are those at which pages are looked at, in pixels: a phone, a laptop, a
// large screen.
func Widths() []int64 { return []int64{390, 1280, 1920} }

// A Browser is a tab of Debian's chromium (.ci/load-tools test installs it).
type Browser struct {
	context.Context //nolint:containedctx // chromedp keeps the tab in it

	console iter.Seq2[chromedp.ConsoleMessage, error]
}

// NewBrowser opens a tab, which is closed at the end of the test.
func NewBrowser(t *testing.T) Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("force-color-profile", "srgb"))
	process, endProcess := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(endProcess)
	ctx, end := chromedp.NewContext(process)
	t.Cleanup(end)
	return Browser{ctx, chromedp.Console(ctx)}
}

// Do takes steps in the tab, all within a minute.
func (b Browser) Do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("chromium (`.ci/load-tools test` installs it): %v", err)
	}
}

// Set changes what the browser makes of pages that are opened after.
func Set[P any](t *testing.T, b Browser, command cdp.Command[P, cdp.Empty], params P) {
	t.Helper()
	if _, err := chromedp.Call(b, command, params); err != nil {
		t.Fatal(err)
	}
}

// Look opens a page as a reader with such a screen does, who prefers a colour
// scheme, light or dark.
func (b Browser) Look(t *testing.T, url string, width int64, scheme string) {
	t.Helper()
	Set(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.Do(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(url))
}

// Ask evaluates an expression in the page.
func Ask[T any](t *testing.T, b Browser, expression string) T {
	t.Helper()
	out, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Until waits until an expression is true in the page, half a minute at most.
func (b Browser) Until(t *testing.T, expression string) {
	t.Helper()
	const wait = `new Promise((told) => { const end = Date.now() + 30000, look = () => (%s) ? told(true) : Date.now() > end ? told(false) : setTimeout(look, 20); look(); })`
	got, err := chromedp.Run(b, chromedp.Evaluate[bool](fmt.Sprintf(wait, expression), chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if !got {
		t.Fatalf("it never became true that %s; the page says\n%s", expression, Ask[string](t, b, "document.body.innerText"))
	}
}

// Said returns what stands on the console so far: complaints, for the page says
// nothing itself.
func (b Browser) Said(t *testing.T) []string {
	t.Helper()
	const end = "that is all"
	Ask[any](t, b, fmt.Sprintf("void console.log(%q)", end))
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

// Shoot keeps a picture of the whole page, in a temporary folder unless
// SWEEP_SCREENSHOTS names another.
func (b Browser) Shoot(t *testing.T, name string) {
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

// Check holds what must be true of every page, whatever is on it.
func (b Browser) Check(t *testing.T, name string, width int64) {
	t.Helper()
	if most := Ask[int64](t, b, "document.documentElement.scrollWidth"); most > width {
		t.Errorf("%s: %d pixels wide", name, most)
	}
	if sizes := Ask[map[string]int](t, b, flat); sizes["seen"] == 0 || sizes["flat"] > 0 {
		t.Errorf("%s: of %d pictures %d are flat", name, sizes["seen"], sizes["flat"])
	}
	if pale := Ask[[]string](t, b, faint); len(pale) > 0 {
		t.Errorf("%s: %d texts are hard to read: %q", name, len(pale), pale)
	}
}
