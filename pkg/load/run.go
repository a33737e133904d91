package load

import (
	"context"
	"iter"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"sweep/pkg/measure"
)

// Run plays the plan's users and reports every second, and once more at the
// end. When the ramp is over no request is begun any more, and those that are
// out are waited for. Leaving the loop, or the end of ctx, stops at once; all
// connections are closed when the iterator returns. An error is the
// generator's own, and the last that comes.
func Run(ctx context.Context, plan Plan) iter.Seq2[measure.Tick, error] {
	return runFrom(ctx, plan, time.Now)
}

// runFrom is Run from the instant on that from returns, once all is prepared.
func runFrom(ctx context.Context, plan Plan, from func() time.Time) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		loops, open, err := lines(ctx, &plan)
		if err != nil {
			yield(measure.Tick{}, err)
			return
		}
		// One for each loop, and one that reports and collects garbage meanwhile.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(loops + 1))
		g := &generator{plan: &plan, began: from(), loops: loops, open: open}
		g.run(ctx, yield)
	}
}

// halfOfCores is how many loops play the users: the service commonly shares
// the cores with them.
func halfOfCores() int { return max(1, runtime.NumCPU()/2) }

// generator is one run of a plan.
type generator struct {
	plan  *Plan
	began time.Time
	loops int
	open  func() (*line, error)
}

// A line is what a loop reaches its service by.
type line struct {
	wire      func(l *loop) (wire, error) // makes it, on the loop's own thread
	hangUp    func()                      // lets go of it there
	interrupt func()                      // ends a step of it, from any goroutine
	close     func()                      // lets go of the rest, once the loop has ended
}

// run plays the users in as many loops, and reports what they tell.
func (g *generator) run(ctx context.Context, yield func(measure.Tick, error) bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var playing sync.WaitGroup
	loops := make([]*loop, g.loops)
	for i := range loops {
		line, err := g.open()
		if err != nil {
			cancel(err)
			break
		}
		defer line.close()
		defer playing.Wait()
		defer cancel(nil)
		loops[i] = newLoop(g.plan, g.began)
		playing.Go(func() {
			if err := g.play(ctx, loops[i], i, line); err != nil {
				cancel(err)
			}
		})
	}
	g.report(ctx, loops, yield)
}

// play is the life of a loop, on a thread of its own that ends with it.
func (g *generator) play(ctx context.Context, l *loop, i int, line *line) error {
	runtime.LockOSThread()
	var stop func()
	share, shares := g.plan.Segment.share(i, g.loops)
	l.crowd, stop = newCrowd(g.plan, share, shares)
	defer stop()
	l.row, l.stride = share, shares
	if g.plan.Random {
		l.random = rand.NewPCG(uint64(g.plan.Seed), uint64(share))
	}
	w, err := line.wire(l)
	if err != nil {
		return err
	}
	defer line.hangUp()
	defer context.AfterFunc(ctx, line.interrupt)()
	l.wire = w
	return l.run(ctx)
}

// report tells of every second as it ends, the last part of one too, and of
// those after the ramp in which answers are waited for: so the n-th reports of
// all who play a plan are of the same second.
func (g *generator) report(ctx context.Context, loops []*loop, yield func(measure.Tick, error) bool) {
	meter, network := newMeter(g.loops), newNetworkMeter(g.plan)
	length := g.plan.Ramp.Length()
	for from, to := time.Duration(0), min(time.Second, length); len(loops) > 0; from, to = to, following(to, length) {
		tick := measure.Tick{}
		state := measure.Window{Start: from.Truncate(time.Second), Length: to - from, Effort: &measure.Effort{}}
		var ok bool
		if loops, ok = gather(ctx, loops, &tick, &state); !ok {
			if err := context.Cause(ctx); err != ctx.Err() { //nolint:errorlint // the same, not the same kind
				yield(tick, err)
			}
			return
		}
		if from < length {
			if g.plan.Open {
				rate, _ := g.plan.Ramp.Users(to)
				state.Users = g.plan.Segment.of(rate)
			}
			state.Effort, state.Network = meter.read(*state.Effort), network.read()
			tick.Windows = append(tick.Windows, state)
		}
		if !yield(tick, nil) {
			return
		}
	}
}

// gather adds a report of each loop to a tick and to the state at its end. It
// returns those that haven't ended, or false where ctx has.
func gather(ctx context.Context, loops []*loop, tick *measure.Tick, state *measure.Window) (playing []*loop, ok bool) {
	for _, l := range loops {
		select {
		case r := <-l.reports:
			r.add(tick, state, l.recorder.free)
			if !r.ended {
				playing = append(playing, l)
			}
		case <-ctx.Done():
			return nil, false
		}
	}
	return playing, true
}

// add adds a loop's report to a tick and to the state at its end.
func (r *report) add(tick *measure.Tick, state *measure.Window, free chan<- *counts) {
	tick.At = max(tick.At, r.at)
	for _, c := range r.counts {
		tick.Windows = append(tick.Windows, c.window(free))
	}
	state.Users += r.users
	state.InFlight += r.out
	state.Oldest = max(state.Oldest, r.oldest)
	state.Effort.Busy = max(state.Effort.Busy, r.busy)
	state.Effort.Turn = max(state.Effort.Turn, r.turn)
}

// Await returns once the service answers three times running, or
// [measure.ErrNotReady] with what it saw last. Probing is part of the load's
// place: what can be reached from there is what counts.
func Await(ctx context.Context, plan Plan) error {
	return await(ctx, plan.Ready.Within, prober(plan))
}

// viaClients opens lines of net/http clients.
func viaClients(plan *Plan, dial func(context.Context, string, string) (net.Conn, error)) func() (*line, error) {
	return func() (*line, error) {
		var c *clients
		return &line{
			wire: func(l *loop) (wire, error) {
				c = newClients(plan, l.clock, dial)
				c.settle = l.settle
				return c, nil
			},
			hangUp:    func() { c.close() },
			interrupt: func() {}, // it waits for ctx as well
			close:     func() {},
		}, nil
	}
}
