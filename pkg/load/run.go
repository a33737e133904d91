package load

import (
	"context"
	"iter"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sweep/pkg/measure"
)

// Run plays the plan's users and reports every second, and once more at the
// end. When the ramp is over no request is begun any more, and those that are
// out are waited for. Leaving the loop, or the end of ctx, stops at once.
// All users have ended when Run's iterator returns.
func Run(ctx context.Context, plan Plan) iter.Seq[measure.Tick] {
	var d net.Dialer
	return run(ctx, plan, func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	})
}

func run(ctx context.Context, plan Plan, dial func(context.Context, string) (net.Conn, error)) iter.Seq[measure.Tick] {
	return func(yield func(measure.Tick) bool) {
		ctx, cancel := context.WithCancel(ctx)
		g := &generator{plan: plan, dial: dial, recorder: newRecorder(), began: time.Now(), length: plan.Ramp.Length()}
		g.crowd.Go(func() { g.play(ctx) })
		defer func() {
			cancel()
			g.crowd.Wait()
		}()
		g.report(ctx, yield)
	}
}

// generator is one run of a plan.
type generator struct {
	plan     Plan
	dial     func(context.Context, string) (net.Conn, error)
	recorder *recorder
	began    time.Time
	length   time.Duration
	crowd    sync.WaitGroup // every user, and the one that sends them in

	mu    sync.Mutex
	users []*user // by number; those that have left stay in it
	here  int     // how many haven't left
}

// now returns the time since the load began.
func (g *generator) now() time.Duration { return time.Since(g.began) }

// play sends users in and out, each at its own instant.
func (g *generator) play(ctx context.Context) {
	for change := range g.plan.Ramp.Changes {
		if !sleep(ctx, nil, change.At-g.now()) {
			return
		}
		if change.Leave {
			g.leave(change.User)
			continue
		}
		u := &user{generator: g, quit: make(chan struct{})}
		u.client = client{plan: &g.plan, dial: g.dial}
		u.random = rand.New(rand.NewPCG(uint64(g.plan.Seed), uint64(change.User)))
		g.enter(change.User, u)
		g.crowd.Go(func() { u.run(ctx, change.At) })
	}
}

func (g *generator) enter(number int, u *user) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if number < len(g.users) {
		g.users[number] = u
	} else {
		g.users = append(g.users, u)
	}
	g.here++
}

func (g *generator) leave(number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.users[number].quit)
	g.here--
}

// user is one virtual user.
type user struct {
	*generator
	client client
	random *rand.Rand
	quit   chan struct{}
	since  atomic.Int64 // when the request that is out was begun, since the load began; 0: none is out
}

// run sends requests from due on until the user is sent away or the ramp is
// over.
func (u *user) run(ctx context.Context, due time.Duration) {
	defer u.client.close()
	for due < u.length && sleep(ctx, u.quit, due-u.now()) {
		s := stamps{due: due, start: u.now()}
		u.since.Store(max(1, int64(s.start)))
		u.recorder.begin(s)
		class, stale := u.client.exchange(ctx, u.now, &s)
		if ctx.Err() != nil {
			return // cut off by us: how it would have ended isn't known
		}
		u.recorder.settle(s, class, stale)
		u.since.Store(0) // after settle: who sees that none is out may take all counts
		due = u.plan.Wait.Next(s.due, s.done, u.random.Float64())
	}
}

// sleep waits for d, and reports whether neither the end of ctx nor quit came
// before.
func sleep(ctx context.Context, quit <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-ctx.Done():
			return false
		case <-quit:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-quit:
		return false
	case <-ctx.Done():
		return false
	}
}

// report tells of every second as it ends, the last part of one too, and then
// of the answers that come after the ramp.
func (g *generator) report(ctx context.Context, yield func(measure.Tick) bool) {
	meter := newMeter()
	for from := time.Duration(0); ; from += time.Second {
		to := min(from+time.Second, g.length)
		draining := from >= g.length
		if draining {
			to = from + time.Second
			if g.oldest() == 0 {
				if rest := g.recorder.flush(); len(rest) > 0 {
					yield(measure.Tick{At: g.now(), Windows: rest})
				}
				return
			}
		}
		if !g.pause(ctx, to, draining) {
			return
		}
		tick := measure.Tick{At: g.now(), Windows: g.recorder.flush()}
		if !draining {
			tick.Windows = append(tick.Windows, g.state(from, to, meter))
		}
		if !yield(tick) {
			return
		}
	}
}

// pause waits until the instant to. Where only answers are waited for, it
// looks every little while whether they have all come.
func (g *generator) pause(ctx context.Context, to time.Duration, draining bool) bool {
	const look = 20 * time.Millisecond
	for draining && g.oldest() != 0 && g.now()+look < to {
		if !sleep(ctx, nil, look) {
			return false
		}
	}
	if draining && g.oldest() == 0 {
		return true
	}
	return sleep(ctx, nil, to-g.now())
}

// state returns what is known at the end of the window [from, to).
func (g *generator) state(from, to time.Duration, m *meter) measure.Window {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := measure.Window{Start: from.Truncate(time.Second), Length: to - from, Users: g.here, Effort: m.read()}
	now := int64(g.now())
	for _, u := range g.users {
		if since := u.since.Load(); since != 0 {
			w.InFlight++
			w.Oldest = max(w.Oldest, time.Duration(now-since))
		}
	}
	return w
}

// oldest returns how long the longest request has been out, 0 where none is.
func (g *generator) oldest() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, oldest := int64(g.now()), time.Duration(0)
	for _, u := range g.users {
		if since := u.since.Load(); since != 0 {
			oldest = max(oldest, time.Duration(max(1, now-since)))
		}
	}
	return oldest
}

// Await returns once the service answers three times running, or
// [measure.ErrNotReady] with what it saw last. Probing is part of the load's
// place: what can be reached from there is what counts.
func Await(ctx context.Context, plan Plan) error {
	return await(ctx, plan.Ready.Within, prober(plan))
}
