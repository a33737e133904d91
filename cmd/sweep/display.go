package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/report"
	"sweep/pkg/search"
	"sweep/pkg/sweep"
)

// wide is the width of terminal that the whole line of progress fits.
const wide = 125

// plainEvery is how often progress is written where there is no terminal.
const plainEvery = 5 * time.Second

// display shows a sweep's progress: one live line on a terminal, a plain line
// every few seconds elsewhere.
type display struct {
	w      io.Writer
	target int
	unit   string // of target
	width  int    // of the terminal; 0 where there is none
	quiet  bool
	live   bool // an unfinished line stands on the terminal
	last   time.Time
}

func newDisplay(w io.Writer, quiet bool, e *experiment.Experiment) *display {
	w = beneath(w) // which may be a terminal
	d := &display{w: w, target: e.Users.Target, unit: e.Users.Unit(), quiet: quiet}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			d.width = width
		}
	}
	return d
}

// observe is told of every change.
func (d *display) observe(p sweep.Progress) {
	if d.quiet {
		return
	}
	switch p.Phase {
	case sweep.Starting:
		d.line(heading(p) + "starting")
	case sweep.Booting:
		d.transient(heading(p) + "waiting until the service is ready")
	case sweep.Loading:
		if d.width > 0 && d.width < wide {
			d.transient(d.short(p))
		} else {
			d.transient(heading(p) + d.loading(p))
		}
		if d.width == 0 && time.Since(d.last) >= plainEvery {
			d.last = time.Now()
			d.line(heading(p) + d.loading(p))
		}
	case sweep.Stopping:
		d.transient(heading(p) + "stopping")
	case sweep.Recorded:
		d.line(heading(p) + conclusion(p.Verdict))
	}
}

// end finishes an unfinished live line.
func (d *display) end() {
	if d.live {
		fmt.Fprint(d.w, "\r\x1b[K")
		d.live = false
	}
}

// line writes a line that stays.
func (d *display) line(text string) {
	d.end()
	fmt.Fprintln(d.w, report.Harmless(text))
}

// transient writes a line that the next one replaces; only on a terminal.
func (d *display) transient(text string) {
	if d.width == 0 {
		return
	}
	fmt.Fprint(d.w, "\r\x1b[K"+report.Line(text, max(1, d.width-1)))
	d.live = true
}

// load describes the last second of a load on a URL.
func (d *display) load(s *measure.Series, t *measure.Tick, length time.Duration) {
	w := s.Last()
	if d.quiet || w == nil {
		return
	}
	now := t.Sum()
	text := fmt.Sprintf("%s/%s %s  %s answers/s  p50 %s  p99 %s  %d errors  lag p99 %s  %s left",
		analysis.Thousands(w.Users), analysis.Thousands(d.target), d.unit, analysis.Thousands(int(now.Done)),
		analysis.Short(now.Response.Quantile(.5)), analysis.Short(now.Response.Quantile(.99)), now.Failed(),
		analysis.Short(now.Lag.Quantile(.99)), max(0, length-s.At).Round(time.Second))
	d.transient(text)
	if d.width == 0 && time.Since(d.last) >= plainEvery {
		d.last = time.Now()
		d.line(text)
	}
}

func heading(p sweep.Progress) string {
	text := fmt.Sprintf("trial %d of %s  %-14s ", p.Number, bounded(p.Bound, strconv.Itoa(p.Of)), p.Trial.Limits)
	if p.Trial.Hold > 0 {
		text += fmt.Sprintf("holds %s: ", analysis.Thousands(p.Trial.Hold))
	}
	return text
}

// loading describes the last second of load.
func (d *display) loading(p sweep.Progress) string {
	words := lastSecond(p, d.goal(p), d.unit)
	if words == nil {
		return "loading"
	}
	return strings.Join(append(words, timeLeft(p)), "  ")
}

// lastSecond returns what the last second of load came to, nil before the first
// has ended.
func lastSecond(p sweep.Progress, goal int, unit string) []string {
	w := p.Series.Last()
	if w == nil {
		return nil
	}
	now := p.Tick.Sum() // what came in the last second, whenever it was due
	words := []string{
		fmt.Sprintf("%s/%s %s", analysis.Thousands(w.Users), analysis.Thousands(goal), unit),
		analysis.Thousands(int(now.Done)) + " req/s",
		"p95 " + analysis.Short(now.Response.Quantile(0.95)),
		fmt.Sprintf("%d errors", now.Failed()),
	}
	if u := w.Usage; u != nil {
		words = append(words, fmt.Sprintf("CPU %.2f", u.CPU), fmt.Sprintf("%.0f MiB", u.Memory.MiB()))
	}
	return words
}

// timeLeft says how long the sweep may still take: "at most 3m20s left".
func timeLeft(p sweep.Progress) string {
	bound := "at most "
	if p.Bound == search.About {
		bound = "about "
	}
	return bound + p.TimeLeft.Round(time.Second).String() + " left"
}

// goal is the load that a trial comes to.
func (d *display) goal(p sweep.Progress) int { return cmp.Or(p.Trial.Hold, d.target) }

// short is loading for a terminal of 80 columns.
func (d *display) short(p sweep.Progress) string {
	w := p.Series.Last()
	if w == nil {
		return heading(p)
	}
	now := p.Tick.Sum()
	text := fmt.Sprintf("%d/%d %s %s/%s %s %s/s p95 %s %d err", p.Number, p.Of, p.Trial.Limits.Slug(),
		analysis.Thousands(w.Users), analysis.Thousands(d.goal(p)), d.unit, analysis.Thousands(int(now.Done)),
		analysis.Short(now.Response.Quantile(0.95)), now.Failed())
	if u := w.Usage; u != nil {
		text += fmt.Sprintf(" %.2f CPU %.0fM", u.CPU, u.Memory.MiB())
	}
	return text + " " + p.TimeLeft.Round(time.Second).String()
}

// conclusion says in a line how a trial ended.
func conclusion(v analysis.Verdict) string {
	text := strings.ReplaceAll(string(v.Outcome), "_", " ")
	if v.LastPass != nil {
		text += fmt.Sprintf(", last pass %s users", analysis.Thousands(v.LastPass.Users))
	}
	if v.FirstFail != nil {
		text += fmt.Sprintf(", first fail %s users", analysis.Thousands(v.FirstFail.Users))
	}
	if b := v.Breach; b != nil && b.Limit != "" {
		text += fmt.Sprintf(" (%s %s, limit %s)", b.Objective, b.Observed, b.Limit)
	} else if b != nil {
		text += fmt.Sprintf(" (%s)", b.Observed)
	}
	return text
}
