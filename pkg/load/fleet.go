package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// Fleet is a generator whose users are played by several agents, each of them a
// [Segment]. All begin at one instant, and what they tell of a second is told as
// one report once all have told it. Like [Remote] it is used for one target at
// a time: Await, Run, Close.
//
// An agent that is lost takes its users with it, and what it hasn't told yet.
// Whatever happens then is nothing that the service did: Run ends with
// [measure.ErrLost].
type Fleet struct {
	// Attach starts the agents that are to load a target, or none, and returns
	// their streams. Closing one ends its agent.
	Attach func(ctx context.Context, t measure.Target) ([]io.ReadWriteCloser, error)
	// Witness starts an agent in the service's network namespace, for agents that
	// are on other machines than the service. It plays nobody: it sees how busy the
	// service's host is, and what the kernel counts there. Nil: there is none.
	Witness func(ctx context.Context, t measure.Target) (io.ReadWriteCloser, error)
	// Plan returns what all of them are to do with a fresh start of the service.
	Plan func(t measure.Target) Plan

	agents    []*session
	witnessed bool // the last of them is the witness
}

const (
	missing = 10 * time.Second       // how long an agent that loads may say nothing
	lead    = 200 * time.Millisecond // from when all clocks are known until the load begins
	apart   = 50 * time.Millisecond  // how far from one another agents may begin
	looks   = 8                      // at each agent's clock
)

// Await starts the agents and waits until all see that the target is ready.
func (f *Fleet) Await(ctx context.Context, t measure.Target) error {
	began := time.Now()
	if err := f.attach(ctx, t); err != nil {
		return err
	}
	plan := f.Plan(t)
	plan.Ready = plan.Ready.After(time.Since(began)) // the service has been starting meanwhile
	frames, err := f.ask(ctx, plan.Ready.Within+silence, func(i int) order {
		part := plan
		if f.isWitness(i) {
			part.Ramp, part.Inside = experiment.Ramp{{Hold: experiment.Duration(plan.Ramp.Length())}}, true
		} else {
			part.Segment = Segment{Index: i, Of: f.players()}
		}
		return order{Plan: &part}
	})
	if err != nil {
		return err
	}
	var never []int
	for i, answer := range frames {
		switch {
		case answer.NotReady != "":
			never = append(never, i)
		case !answer.Ready:
			return f.say(i, errTurn)
		}
	}
	switch len(never) {
	case 0:
		return nil
	case len(frames):
		return notReady(frames[0].NotReady)
	default: // the others have seen it: what keeps these from it isn't the service, unless that was late
		return f.say(never[0], fmt.Errorf("%w: %w", measure.ErrLost, unable(frames[never[0]].NotReady)))
	}
}

// attach starts the agents.
func (f *Fleet) attach(ctx context.Context, t measure.Target) error {
	streams, err := f.Attach(ctx, t)
	if err != nil {
		return fmt.Errorf("starting the load agents: %w", err)
	}
	for _, s := range streams {
		f.agents = append(f.agents, &session{conn: s, decoder: json.NewDecoder(s)})
	}
	if f.Witness == nil || t.Container == "" {
		return nil
	}
	s, err := f.Witness(ctx, t)
	if err != nil {
		return fmt.Errorf("starting the agent beside the service: %w", err)
	}
	f.agents, f.witnessed = append(f.agents, &session{conn: s, decoder: json.NewDecoder(s)}), true
	return nil
}

// isWitness reports whether an agent plays nobody.
func (f *Fleet) isWitness(i int) bool { return f.witnessed && i == len(f.agents)-1 }

// players returns how many agents play users.
func (f *Fleet) players() int {
	if f.witnessed {
		return len(f.agents) - 1
	}
	return len(f.agents)
}

// seenBy returns a report with what it says of hosts in its place: of the
// service's what the witness saw, and of others what the rest did.
func (f *Fleet) seenBy(i int, tick measure.Tick) measure.Tick {
	for n := range tick.Windows {
		w := &tick.Windows[n]
		switch {
		case !f.witnessed || w.Effort == nil:
		case f.isWitness(i):
			w.Effort = &measure.Effort{HostIdle: w.Effort.HostIdle, Steal: w.Effort.Steal}
		default:
			w.Effort.Elsewhere = &measure.Spare{Idle: w.Effort.HostIdle, Steal: w.Effort.Steal}
			w.Effort.HostIdle, w.Effort.Steal = 1, 0
		}
	}
	return tick
}

// Ceiling returns how many of the plan's requests a second the agents can make
// at most, all at once. Users are shared out evenly, so that the slowest counts.
func (f *Fleet) Ceiling(ctx context.Context) (rate float64, err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.attach(ctx, measure.Target{}); err != nil {
		return 0, err
	}
	plan := f.Plan(measure.Target{Address: loopback})
	frames, err := f.ask(ctx, silence, func(int) order { return order{Ceiling: &plan} })
	if err != nil {
		return 0, err
	}
	slowest := frames[0].Ceiling
	for _, answer := range frames {
		slowest = min(slowest, answer.Ceiling)
	}
	return slowest * float64(len(frames)), nil
}

// Run lets the agents play their users.
func (f *Fleet) Run(ctx context.Context, _ measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		if err := f.start(ctx); err != nil {
			yield(measure.Tick{}, err)
			return
		}
		var hearing sync.WaitGroup
		defer hearing.Wait()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		reports := make(chan account)
		for i := range f.agents {
			hearing.Go(func() {
				if err := f.hear(ctx, i, reports); err != nil {
					cancel(err)
				}
			})
		}
		for m := newMerger(len(f.agents)); !m.over(); {
			select {
			case r := <-reports:
				m.add(r)
			case <-ctx.Done():
				yield(measure.Tick{}, context.Cause(ctx))
				return
			}
			for tick, ok := m.next(); ok; tick, ok = m.next() {
				if !yield(tick, nil) {
					return
				}
			}
		}
	}
}

// start tells all agents to begin at one instant.
func (f *Fleet) start(ctx context.Context) error {
	origin := time.Now()
	ahead := make([]time.Duration, len(f.agents))
	err := f.each(ctx, func(ctx context.Context, i int) error {
		var seen []sighting
		for range looks {
			asked := time.Since(origin)
			answer, err := f.agents[i].ask(ctx, order{Clock: true}, missing)
			if err != nil {
				return err
			}
			if answer.Clock == nil {
				return errTurn
			}
			seen = append(seen, sighting{asked: asked, told: *answer.Clock, heard: time.Since(origin)})
		}
		var within time.Duration
		if ahead[i], within = clockOf(seen); within > apart/2 {
			return unable(fmt.Sprintf("when it begins is known only to within %s, too far from the others: the network to it is too slow", within))
		}
		return nil
	})
	if err != nil {
		return err
	}
	at := time.Since(origin) + lead
	return f.each(ctx, func(ctx context.Context, i int) error {
		return f.agents[i].order(ctx, order{Go: true, At: at + ahead[i]})
	})
}

// sighting is a look at another's clock.
type sighting struct {
	asked, heard time.Duration // by ours
	told         time.Duration // by the other, some time between
}

// clockOf returns how far another's clock is ahead of ours, and how much more or
// less it may be. It takes the look that took the least time.
func clockOf(seen []sighting) (ahead, within time.Duration) {
	best := seen[0]
	for _, s := range seen {
		if s.heard-s.asked < best.heard-best.asked {
			best = s
		}
	}
	within = (best.heard - best.asked + 1) / 2
	return best.told - best.asked - within, within
}

// ask gives each agent its order and returns what they answer.
func (f *Fleet) ask(ctx context.Context, patience time.Duration, orderOf func(i int) order) ([]frame, error) {
	frames := make([]frame, len(f.agents))
	err := f.each(ctx, func(ctx context.Context, i int) (err error) {
		frames[i], err = f.agents[i].ask(ctx, orderOf(i), patience)
		return err
	})
	return frames, err
}

// each does something with all agents at once. The first that fails ends it for
// all.
func (f *Fleet) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var doing sync.WaitGroup
	for i := range f.agents {
		doing.Go(func() {
			if err := do(ctx, i); err != nil {
				cancel(f.say(i, err))
			}
		})
	}
	doing.Wait()
	return context.Cause(ctx)
}

// hear passes on what an agent tells, until it has told all.
func (f *Fleet) hear(ctx context.Context, i int, reports chan<- account) error {
	for {
		tick, done, err := f.agents[i].report(ctx, missing)
		if err != nil {
			return f.say(i, err)
		}
		select {
		case reports <- account{agent: i, tick: f.seenBy(i, tick), done: done}:
		case <-ctx.Done():
			return nil
		}
		if done {
			return nil
		}
	}
}

// say says which agent failed. One that doesn't say why itself is lost.
func (f *Fleet) say(i int, err error) error {
	var own unable
	if !errors.As(err, &own) && !errors.Is(err, errTurn) {
		err = fmt.Errorf("%w: %w", measure.ErrLost, err)
	}
	if f.isWitness(i) {
		return fmt.Errorf("the agent beside the service: %w", err)
	}
	return fmt.Errorf("agent %d of %d: %w", i+1, f.players(), err)
}

// Close ends the agents. It is safe to call at any time, and again.
func (f *Fleet) Close() error {
	errs := make([]error, len(f.agents))
	var closing sync.WaitGroup
	for i, a := range f.agents {
		closing.Go(func() { errs[i] = a.close() })
	}
	closing.Wait()
	f.agents, f.witnessed = nil, false
	return errors.Join(errs...)
}
