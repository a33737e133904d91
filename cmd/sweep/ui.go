package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/dashboard"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/report"
	"sweep/pkg/store"
	"sweep/pkg/sweep"
)

// A livePage shows a sweep in browsers of this machine while it runs. The
// methods of a nil one do nothing. What the events say is told in [report.LivePage].
type livePage struct {
	experiment *experiment.Experiment
	results    *store.Run
	server     *dashboard.Server // nil until it is started

	// Of the sweep's own goroutine.
	trial told
	stage *report.Stage
	at    time.Duration // how far the trial has come

	state atomic.Pointer[state]

	// The page is made when it is asked for, once for all who ask, while the
	// sweep goes on.
	mutex sync.Mutex // of what follows
	made  *state     // of which pages are
	pages map[string][]byte
}

// A state is what the page says. It never changes: another takes its place.
type state struct {
	heads    []measure.Result // without their windows
	verdicts []analysis.Verdict
	running  *experiment.Limits // nil: no trial is under way
}

// told is the trial that pages know of.
type told struct {
	Number int           `json:"number"`
	Of     string        `json:"of"`   // "5", "at most 5"
	Name   string        `json:"name"` // of its cell
	Load   string        `json:"load"` // "ramps to 10,000 users"
	Scene  *report.Scene `json:"scene"`

	goal int
}

func newLivePage(e *experiment.Experiment, results *store.Run) *livePage {
	return &livePage{experiment: e, results: results}
}

// start serves the page and says where. What is recorded by then is judged here,
// once: later the machine has to measure.
func (l *livePage) start(ctx context.Context, w io.Writer) (err error) {
	if l == nil {
		return nil
	}
	first := &state{}
	if first.heads, first.verdicts, err = judgeEach(l.results, l.judge); err != nil {
		return err
	}
	l.state.Store(first)
	if l.server, err = dashboard.Start(ctx, l.page); err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	fmt.Fprintf(w, "Live page: %s\n", l.server.URL())
	return nil
}

// end tells pages how the sweep ended, and stops serving.
func (l *livePage) end(ctx context.Context, how error) error {
	if l == nil || l.server == nil {
		return nil
	}
	text := "Done. This page stays as it is; the report: " + filepath.Join(l.results.ReportDir(), report.PageFile)
	switch {
	case ctx.Err() != nil:
		text = "Interrupted. What is recorded is kept; the terminal says how to go on."
	case how != nil:
		text = "sweep stopped: " + how.Error()
	}
	l.change(func(s *state) { s.running = nil })
	return l.server.Close(ctx, "end", encoded(map[string]string{"text": l.experiment.Redact(text)})) //nolint:wrapcheck // says what failed
}

func (l *livePage) judge(r measure.Result) analysis.Verdict {
	return analysis.Judge(l.results.Experiment, r)
}

// change puts another state in place of the one that is. Only the sweep's own
// goroutine does.
func (l *livePage) change(how func(*state)) {
	next := *l.state.Load()
	how(&next)
	l.state.Store(&next)
}

// page writes the page as it is now.
func (l *livePage) page(w io.Writer, view string) error {
	text, err := l.render(view)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err //nolint:wrapcheck // the browser's, which has gone
}

func (l *livePage) render(view string) ([]byte, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := l.state.Load()
	if now != l.made {
		l.made, l.pages = now, map[string][]byte{}
	}
	if text, ok := l.pages[view]; ok {
		return text, nil
	}
	e := l.results.Experiment
	r := answered(l.results, e, now.heads, analysis.ConcludeOn(l.results.Manifest.Host, e, now.verdicts))
	r.Running = now.running
	var b bytes.Buffer
	if err := report.LivePage(&b, r, view); err != nil {
		return nil, err //nolint:wrapcheck // says what failed
	}
	if len(l.pages) <= len(r.Surface.Cells) { // views are anything that a page asks for
		l.pages[view] = b.Bytes()
	}
	return b.Bytes(), nil
}

// observe tells pages of every change.
func (l *livePage) observe(p sweep.Progress) {
	if l == nil {
		return
	}
	switch p.Phase {
	case sweep.Starting:
		l.begin(p)
		l.phase("starts")
	case sweep.Booting:
		l.phase("waits until the service is ready")
	case sweep.Loading:
		l.second(p)
	case sweep.Stopping:
		l.phase("stops")
	case sweep.Recorded:
		l.log(heading(p) + conclusion(p.Verdict))
		head := *p.Result
		head.Series.Windows = nil
		l.change(func(s *state) { s.heads, s.verdicts = append(s.heads, head), append(s.verdicts, p.Verdict) })
	}
}

// begin tells of a trial that begins.
func (l *livePage) begin(p sweep.Progress) {
	limits := p.Trial.Limits
	l.change(func(s *state) { s.running = &limits })
	goal := cmp.Or(p.Trial.Hold, l.experiment.Users.Target)
	l.trial = told{
		Number: p.Number, Of: bounded(p.Bound, strconv.Itoa(p.Of)), Name: limits.String(), goal: goal,
		Load: fmt.Sprintf("ramps to %s %s", analysis.Thousands(goal), l.experiment.Users.Unit()),
	}
	if p.Trial.Hold > 0 {
		l.trial.Load = fmt.Sprintf("holds %s %s", analysis.Thousands(goal), l.experiment.Users.Unit())
	}
	r := report.Run{Experiment: l.experiment, Surface: analysis.Surface{
		Experiment: l.experiment.Name, Target: l.experiment.Users.Target, Objective: l.experiment.Objective,
	}}
	l.stage = report.NewStage(r, p.Trial, l.experiment.Of(p.Trial).Users.Ramp().Length())
	l.at = 0
	l.server.Begin("trial", encoded(l.trial))
	l.log(heading(p) + "starts")
}

// second tells of a second of load, and shows the trial on other axes where it
// has outgrown those that it is shown on.
func (l *livePage) second(p sweep.Progress) {
	last := p.Series.Last()
	words := lastSecond(p, l.trial.goal, l.experiment.Users.Unit())
	if last == nil || words == nil {
		l.phase("is loaded")
		return
	}
	if last.End() == l.at { // nothing has ended since
		return
	}
	l.at = last.End()
	now := p.Tick.Sum() // what came in the last second, whenever it was due
	now.Start, now.Length = last.Start, last.Length
	now.Users, now.Answered, now.Usage, now.Network = last.Users, now.Done, last.Usage, last.Network
	second, fits := l.stage.Add(now)
	told := map[string]any{"words": words, "left": timeLeft(p)}
	if fits {
		told["second"] = second
	} else if scene, err := l.stage.Scene(); err == nil { // else the page shows what it has
		l.trial.Scene = &scene
		l.server.Begin("trial", encoded(l.trial))
	}
	l.server.Show("second", encoded(told))
}

func (l *livePage) phase(text string) {
	l.server.Show("phase", encoded(map[string]string{"text": text}))
}

func (l *livePage) log(text string) {
	l.server.Keep("log", encoded(map[string]string{"at": time.Now().Format(time.TimeOnly), "text": report.Printable(text)}))
}

// encoded returns v as a line of JSON.
func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // they are our own types, of numbers and texts
	}
	return string(text)
}
