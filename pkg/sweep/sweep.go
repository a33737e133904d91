// Package sweep is the procedure: one trial after another, each a fresh start
// of the service under its limits and a load: a ramp of users until it fails or
// has carried them all, or a hold of one level. It judges nothing (package analysis does) and knows
// neither Docker nor HTTP nor the disk: those are behind its interfaces.
package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/search"
)

// Service is the service under test. One fresh start of it lives between
// Start and Stop.
type Service interface {
	// Start makes a fresh start under the trial's limits and returns where
	// the load finds it. It doesn't wait until the service is ready. A service
	// that dies at once is no error: Target.Down says it, and Stop why.
	Start(ctx context.Context, t experiment.Trial) (measure.Target, error)
	// Usage reads the service's counters.
	Usage(ctx context.Context) (measure.Counters, error)
	// Stop ends and removes what Start made and says how it went. It does so
	// even where ctx is done, and after a Start that failed.
	Stop(ctx context.Context) (measure.Exit, error)
}

// Generator makes the load.
type Generator interface {
	// Await returns once the target is ready, with [measure.ErrNotReady] if
	// it isn't in its time.
	Await(ctx context.Context, t measure.Target) error
	// Run loads the target that was awaited and reports every second. Leaving
	// the loop stops the load; an error is the generator's, never the service's.
	// [measure.ErrLost] says that it can be asked again.
	Run(ctx context.Context, t measure.Target) iter.Seq2[measure.Tick, error]
	// Close ends whatever Await began.
	Close() error
}

// Warner is a generator that has more to say of the load it made last than is
// in the figures, such as that of the workers who made it one was lost.
type Warner interface {
	Warnings() []string
}

// Recorder keeps results.
type Recorder interface {
	Put(r measure.Result) error
}

// Phase is what a trial is doing.
type Phase uint8

// The phases of a trial, in order.
const (
	Starting Phase = iota
	Booting
	Loading
	Stopping
	Recorded
)

// Progress is the state of a sweep, told at every change and every second.
type Progress struct {
	Trial    experiment.Trial
	Number   int // of the trial, from 1
	Of       int // trials in all, as far as Bound says
	Bound    search.Bound
	Phase    Phase
	Series   *measure.Series  // while Loading; valid only during the call
	Tick     *measure.Tick    // the last with a window that was added to it; likewise
	Verdict  analysis.Verdict // as far as known
	Result   *measure.Result  // once Recorded
	TimeLeft time.Duration    // for the whole sweep: at most, or about, as Bound says
}

// Sweep runs an experiment's trials.
type Sweep struct {
	Experiment *experiment.Experiment
	Service    Service
	Generator  Generator
	Recorder   Recorder
	Known      []analysis.Verdict             // of the trials that are recorded already, judged by this experiment
	Ceiling    float64                        // requests a second that the generator makes at most, recorded with each result
	Impossible func(experiment.Limits) string // why the host can't run a cell, or nothing where it can
	Observe    func(Progress)

	// Next says which trial comes next, and what is left with it, or false at the
	// end. Nil: what the search says.
	Next Course
}

// Course says which trial comes next, given the verdicts of those that were
// run, and how many are left, that one too; or false at the end.
type Course func(known []analysis.Verdict) (next experiment.Trial, left search.Work, more bool)

// Run runs every trial that Next asks for and that isn't recorded yet.
// Results are recorded one by one, so that an interruption loses only the trial
// that it hits. A service that fails is a result; an error is always of the
// instruments.
func (s *Sweep) Run(ctx context.Context) error {
	known := slices.Clone(s.Known)
	for {
		trial, left, more := s.next(known)
		if !more {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		run := &trialRun{Sweep: s, progress: s.place(trial, known, left)}
		result, err := run.complete(ctx)
		if err != nil {
			return fmt.Errorf("trial %s: %w", trial.Slug(), err)
		}
		verdict := analysis.Judge(s.Experiment, result)
		if !verdict.Outcome.Failed() {
			result.Exit.Log = "" // of interest only where the service failed
		}
		result.Exit.Log = s.Experiment.Redact(result.Exit.Log)
		if err := s.Recorder.Put(result); err != nil {
			return fmt.Errorf("recording trial %s: %w", trial.Slug(), err)
		}
		known = append(known, verdict)
		run.progress.Result, run.progress.Verdict = &result, verdict
		run.tell(Recorded)
	}
}

func (s *Sweep) next(known []analysis.Verdict) (t experiment.Trial, left search.Work, more bool) {
	if s.Next != nil {
		return s.Next(known)
	}
	if t, more = search.Next(s.Experiment, known, s.Impossible); more {
		left = search.Left(s.Experiment, known, s.Impossible)
	}
	return t, left, more
}

// place returns which trial this one is, of how many, and how long it and those
// after it may take.
func (s *Sweep) place(trial experiment.Trial, known []analysis.Verdict, left search.Work) Progress {
	recorded := search.Recorded(s.Experiment, known)
	return Progress{
		Trial: trial, Number: recorded + 1, Of: recorded + left.Trials(), Bound: left.Bound,
		TimeLeft: WorkTime(s.Experiment, left),
	}
}

// startStop is what a trial costs besides its load and the service's boot: an
// estimate for people, from measuring.
const startStop = 2 * time.Second

// TrialTime returns how long a trial takes at most, if the service boots fast
// and carries the whole load.
func TrialTime(e *experiment.Experiment, t experiment.Trial) time.Duration {
	return e.Of(t).Users.Ramp().Length() + startStop
}

// WorkTime returns how long trials take at most, if the service boots fast.
func WorkTime(e *experiment.Experiment, w search.Work) time.Duration {
	ramp, hold := experiment.Trial{}, experiment.Trial{Hold: e.Users.Target}
	return time.Duration(w.Ramps)*TrialTime(e, ramp) + time.Duration(w.Holds)*TrialTime(e, hold)
}

// trialRun is one trial on its way.
type trialRun struct {
	*Sweep
	progress Progress
	result   measure.Result
	used     []used
}

// used is what the service used until some time since the load began, and since
// the one before.
type used struct {
	until time.Duration
	*measure.Usage
}

// join gives each window that has ended what the service used meanwhile. Not
// every generator tells of a window as soon as it has ended.
func (r *trialRun) join() {
	windows := r.result.Series.Windows
	for i := len(windows) - 1; i >= 0 && windows[i].Usage == nil; i-- {
		middle := windows[i].Start + windows[i].Length/2
		n, _ := slices.BinarySearchFunc(r.used, middle, func(u used, t time.Duration) int { return cmp.Compare(u.until, t) })
		if windows[i].Length > 0 && n < len(r.used) {
			windows[i].Usage = r.used[n].Usage
		}
	}
}

func (r *trialRun) tell(p Phase) {
	r.progress.Phase = p
	r.Observe(r.progress)
}

// mostLost is how often running a trial may lose part of its load.
const mostLost = 3

// complete runs the trial, and again where part of its load was lost: what was
// seen until then decides nothing, as not all of it was seen.
func (r *trialRun) complete(ctx context.Context) (measure.Result, error) {
	var lost []string
	for afresh := r.progress; ; r.progress = afresh {
		result, err := r.run(ctx)
		if !errors.Is(err, measure.ErrLost) || ctx.Err() != nil {
			result.Warnings = append(lost, result.Warnings...)
			return result, err
		}
		if lost = append(lost, fmt.Sprintf("run again after %s of load: %v", result.Series.At.Round(time.Second), err)); len(lost) == mostLost {
			return result, fmt.Errorf("%w (%d times running)", err, mostLost)
		}
	}
}

// run makes the measurement. Whatever happens, the service is stopped and the
// generator closed before it returns.
func (r *trialRun) run(ctx context.Context) (measure.Result, error) {
	began := time.Now()
	r.result = measure.Result{Schema: measure.Schema, Trial: r.progress.Trial, Began: began.UTC(), Ceiling: r.Ceiling}
	r.used = nil // of the attempt before, whose container is gone
	err := r.measure(ctx)
	r.tell(Stopping)
	stopping := time.Now()
	closeErr := r.Generator.Close()
	if g, ok := r.Generator.(Warner); ok {
		r.result.Warnings = g.Warnings()
	}
	exit, stopErr := r.Service.Stop(ctx)
	r.result.Exit = exit
	r.result.Took.Stop, r.result.Took.Total = time.Since(stopping), time.Since(began)
	// A service that dies while it boots takes the generator's footing away:
	// what the generator then says is not its own fault.
	if errors.Is(err, errAwait) && exit.Died {
		err = nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r.result, errors.Join(err, closeErr, stopErr)
}

// errAwait marks what went wrong while the service was awaited.
var errAwait = errors.New("waiting for the service")

// measure starts the service, awaits it and loads it.
func (r *trialRun) measure(ctx context.Context) error {
	r.tell(Starting)
	starting := time.Now()
	target, err := r.Service.Start(ctx, r.progress.Trial)
	target.Trial = r.progress.Trial
	r.result.Took.Start = time.Since(starting)
	if err != nil {
		return fmt.Errorf("starting the service: %w", err)
	}
	r.tell(Booting)
	booting := time.Now()
	err = r.await(ctx, target)
	r.result.Took.Boot = time.Since(booting)
	if errors.Is(err, measure.ErrNotReady) {
		r.result.NotReady = err.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errAwait, err)
	}
	r.result.Ready = true
	return r.load(ctx, target)
}

// await waits for the service to get ready, and no longer than it lives.
func (r *trialRun) await(ctx context.Context, target measure.Target) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-target.Down:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := r.Generator.Await(ctx, target)
	cancel()
	<-watched
	return err
}

// load ramps the users up, joins each second with what the service used, and
// stops at the first failure.
func (r *trialRun) load(ctx context.Context, target measure.Target) error {
	r.result.Loaded = time.Now().UTC()
	loading := time.Now()
	defer func() { r.result.Took.Load = time.Since(loading) }()
	before, err := r.Service.Usage(ctx)
	if err != nil {
		return fmt.Errorf("reading the service's usage: %w", err)
	}
	left, died := r.progress.TimeLeft, time.Duration(0) // when it was seen to be dead; 0: it lives
	for tick, err := range r.Generator.Run(ctx, target) {
		if err != nil {
			return fmt.Errorf("loading the service: %w", err)
		}
		now, err := r.Service.Usage(ctx)
		if err != nil {
			return fmt.Errorf("reading the service's usage: %w", err)
		}
		r.result.Series.Add(tick)
		if usage := now.Since(before); usage != nil {
			r.used, before = append(r.used, used{tick.At, usage}), now
		}
		r.join()
		r.progress.Series = &r.result.Series
		if len(tick.Windows) > 0 {
			r.progress.Tick = &tick
		}
		r.progress.Verdict = analysis.Watch(r.Experiment, r.progress.Trial, r.result.Series)
		r.progress.TimeLeft = max(0, left-r.result.Series.At)
		r.tell(Loading)
		if died == 0 && down(target) {
			died = tick.At
		}
		if r.progress.Verdict.Outcome != analysis.Open || died > 0 && r.told(died, tick.At) {
			return nil
		}
	}
	return nil
}

// mostLate is how long it is waited for what a generator tells late of the second
// in which the service died.
const mostLate = 5 * time.Second

// told reports whether the second in which the service died is known: a service
// fails in the last second that is, so that an earlier one would be blamed for it.
func (r *trialRun) told(died, now time.Duration) bool {
	last := r.result.Series.Last()
	return last != nil && last.End() >= died.Truncate(time.Second) || now > died+mostLate
}

func down(t measure.Target) bool {
	select {
	case <-t.Down:
		return true
	default:
		return false
	}
}
