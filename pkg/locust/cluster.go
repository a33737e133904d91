package locust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"sweep/pkg/measure"
)

const (
	musterWithin = time.Minute      // Python and its libraries, on a host that may be busy
	againWithin  = 5 * time.Second  // those that were there a moment ago
	hush         = 30 * time.Second // a master that says nothing for so long is gone
)

// Crew is a master and its workers: what is written to it are the master's
// orders, what is read its answers. Closing it ends and removes all.
type Crew interface {
	io.ReadWriteCloser
	// Said returns the last that the workers wrote.
	Said(ctx context.Context) string
	// Watch returns why a worker doesn't run any more, as soon as one doesn't, or
	// nil at the end of ctx.
	Watch(ctx context.Context) error
}

// Cluster is a generator whose users are played by Locust's workers. They are
// started once, where the first target's load comes from, and stay until
// [Cluster.Dismiss]; after one was lost all are started anew for the next target.
type Cluster struct {
	Workers int // how many there shall be
	// Start starts a master and its workers where the target's load comes from.
	Start func(ctx context.Context, t measure.Target) (Crew, error)
	// Ready waits until the target is ready, as [sweep.Generator] says, which has
	// been starting for some time.
	Ready func(ctx context.Context, t measure.Target, since time.Duration) error
	// Plan returns what to do with a fresh start of the service.
	Plan func(t measure.Target) Plan

	crew    Crew
	answers *json.Decoder
	network string // where the crew is
	broken  bool   // it can't be used for another target

	warnings []string // of the last load
}

// Await makes sure of the workers, and waits until the target is ready. It
// returns at the beginning of a second, since Locust counts by those.
func (c *Cluster) Await(ctx context.Context, t measure.Target) error {
	c.warnings = nil
	began := time.Now()
	if err := c.man(ctx, t); err != nil {
		return err
	}
	if err := c.Ready(ctx, t, time.Since(began)); err != nil {
		return err //nolint:wrapcheck // says what failed
	}
	_, err := c.ask(ctx, order{Second: true}, hush)
	return lost(ctx, err)
}

// man makes sure that there is a whole crew on the target's network.
func (c *Cluster) man(ctx context.Context, t measure.Target) error {
	if c.crew != nil && !c.broken && c.network == t.Network && c.muster(ctx, againWithin) == nil {
		return nil
	}
	if err := c.Dismiss(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err //nolint:wrapcheck // the caller's own
	}
	crew, err := c.Start(ctx, t)
	if err != nil {
		return fmt.Errorf("starting Locust: %w", err)
	}
	c.crew, c.answers, c.network = crew, json.NewDecoder(crew), t.Network
	if err := c.musterNew(ctx); err != nil {
		return fmt.Errorf("starting Locust: %w", err)
	}
	c.broken = false
	return nil
}

// musterNew waits until all workers are ready that have just been started, unless
// one of them ends. The error has what they said.
func (c *Cluster) musterNew(ctx context.Context) error {
	mustering, giveUp := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := c.crew.Watch(mustering); err != nil {
			giveUp(fmt.Errorf("%w%s", err, c.said(ctx))) // now: it ends the crew
		}
	})
	err := c.muster(mustering, musterWithin)
	if err != nil && mustering.Err() == nil {
		err = fmt.Errorf("%w%s", err, c.said(ctx))
	}
	giveUp(nil)
	watching.Wait()
	return err
}

// muster waits until all workers are ready.
func (c *Cluster) muster(ctx context.Context, within time.Duration) error {
	_, err := c.ask(ctx, order{Muster: c.Workers, Within: within}, within+hush)
	return err
}

// said returns the last that the workers wrote, to follow an error.
func (c *Cluster) said(ctx context.Context) string {
	if said := strings.TrimSpace(c.crew.Said(context.WithoutCancel(ctx))); said != "" {
		return "; the workers said: " + said
	}
	return ""
}

// Run lets the workers play their users. Where the master or all workers are
// lost, or one that can't be stopped, it ends with [measure.ErrLost].
func (c *Cluster) Run(ctx context.Context, t measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		c.broken = true // until it has ended well
		plan := c.Plan(t)
		f, err := c.ask(ctx, order{Plan: &plan}, hush)
		for ; err == nil && !f.Done; f, err = c.next(ctx, hush) {
			if f.Tick == nil || yield(*f.Tick, nil) {
				continue
			}
			c.stop(ctx)
			return
		}
		if err != nil {
			yield(measure.Tick{}, lost(ctx, err))
			return
		}
		c.end(f)
	}
}

// end takes in how a load ended.
func (c *Cluster) end(f frame) {
	c.broken = f.Lost > 0
	if f.Lost > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("of Locust's %d workers %d were lost", c.Workers, f.Lost))
	}
	for _, text := range f.Wrong {
		c.warnings = append(c.warnings, "the locustfile's own code failed: "+brief(text))
	}
}

// Warnings returns what the figures of the last target's load don't tell.
func (c *Cluster) Warnings() []string { return c.warnings }

// stop ends the load before its time. Whatever goes wrong with that shows in
// the crew's being broken, so that there is another for the next target.
func (c *Cluster) stop(ctx context.Context) {
	f, err := c.ask(ctx, order{Stop: true}, hush)
	for ; err == nil && !f.Done; f, err = c.next(ctx, hush) {
	}
	if err == nil {
		c.end(f)
	}
}

// Close does nothing: leaving Run ends the load, and the workers stay.
func (c *Cluster) Close() error { return nil }

// Dismiss ends the workers. It is safe to call at any time, and again.
func (c *Cluster) Dismiss() error {
	if c.crew == nil {
		return nil
	}
	err := c.crew.Close()
	c.crew = nil
	if err != nil {
		return fmt.Errorf("ending Locust: %w", err)
	}
	return nil
}

// unable is what the master couldn't do, as it says itself.
type unable string

func (u unable) Error() string { return "the master: " + string(u) }

// lost says that what ended a load took part of it away, so that it may be made
// again: unless the master says that it couldn't do it, or ctx is over.
func lost(ctx context.Context, err error) error {
	var own unable
	if err == nil || ctx.Err() != nil || errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("%w: %w", measure.ErrLost, err)
}

var errSilent = errors.New("the master of Locust's workers fell silent")

// ask gives an order and returns the next frame.
func (c *Cluster) ask(ctx context.Context, o order, patience time.Duration) (frame, error) {
	if err := json.NewEncoder(c.crew).Encode(o); err != nil {
		return frame{}, fmt.Errorf("telling Locust's master: %w", err)
	}
	return c.next(ctx, patience)
}

// next reads a frame. The end of ctx, or silence, ends the crew.
func (c *Cluster) next(ctx context.Context, patience time.Duration) (frame, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	crew := c.crew
	stop := context.AfterFunc(ctx, func() { _ = crew.Close() }) // unblocks the read below, which reports
	defer stop()
	var f frame
	if err := c.answers.Decode(&f); err != nil {
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		return f, fmt.Errorf("reading from Locust's master: %w", err)
	}
	switch {
	case f.Loss:
		return f, loss(f.Failed)
	case f.Failed != "":
		return f, unable(f.Failed)
	}
	return f, nil
}
