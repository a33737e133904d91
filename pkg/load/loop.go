package load

import (
	"context"
	"math/rand/v2"
	"time"

	"sweep/pkg/measure"
)

// A loop plays a crowd on a wire, in one goroutine. Nothing on the way of a
// request is shared with another loop, and nothing is allocated.
type loop struct {
	*clock
	crowd    *crowd
	recorder *recorder
	wire     wire
	reports  chan report
	rows     int       // rows of the feed
	row      int       // the next, counted on beyond the last
	stride   int       // from one of this loop's rows to the next
	random   *rand.PCG // chooses rows; nil takes them in order
}

func newLoop(plan *Plan, began time.Time) *loop {
	return &loop{
		clock: &clock{began: began}, recorder: newRecorder(),
		reports: make(chan report, 1), rows: max(1, plan.Request.Rows()),
	}
}

// wire carries requests, each user's on a connection of its own. It is used by
// one goroutine. What becomes of a request it tells the loop by settle, unless
// the user is hung up on first.
type wire interface {
	// send sends the request of a feed's row.
	send(user int32, row int)
	// step waits until something happens, at most until the given instant, and
	// deals with it.
	step(ctx context.Context, until time.Duration) error
	// hangUp closes a user's connection.
	hangUp(user int32)
}

// clock tells the time since the load began. now is its last reading: on the
// way of a request it is read once after every system call.
type clock struct {
	began time.Time
	now   time.Duration
	idle  time.Duration // how long the loop has waited since it was last asked
	turn  time.Duration // the longest time between two waits since it was last asked
	woken time.Duration // when the last wait ended
}

func (c *clock) read() time.Duration {
	c.now = time.Since(c.began)
	return c.now
}

// waited takes note of a wait that began at from and has just ended.
func (c *clock) waited(from time.Duration) {
	c.turn = max(c.turn, from-c.woken)
	c.woken = c.read()
	c.idle += c.woken - from
}

// stamps are the instants of one request, since the load began.
type stamps struct {
	due     time.Duration // when the user wanted to send it
	start   time.Duration // when the generator began to
	send    time.Duration // when there was a connection, and sending began
	sent    time.Duration // when it was written
	first   time.Duration // when the first byte of the answer came
	done    time.Duration // when the last one did, or when the request failed
	connect time.Duration // how long a connection took that had to be opened; 0: none had
}

// report is what a loop tells at the end of each second.
type report struct {
	at     time.Duration // when
	counts []*counts     // since the last report
	users  int
	out    int           // requests without an answer
	oldest time.Duration // how long the oldest of them has been out
	busy   float64       // share of the time that the loop wasn't waiting, 0 to 1
	turn   time.Duration // the longest time between two waits
	ended  bool          // nothing is out, and nothing will be
}

// run plays the crowd to its end, or until ctx ends.
func (l *loop) run(ctx context.Context) error {
	defer func() { // everybody, so that no connection outlives the loop
		for u := range l.crowd.users {
			l.wire.hangUp(int32(u))
		}
	}()
	l.woken = l.read()
	last := l.now
	for tick := min(time.Second, l.crowd.length); ; {
		l.play()
		if l.now >= tick {
			if ended := l.ended(); !l.report(ctx, last, ended) || ended {
				return nil
			}
			last = l.now
			tick = following(tick, l.crowd.length)
			continue
		}
		if l.ended() {
			l.report(ctx, last, true)
			return nil
		}
		if err := l.wire.step(ctx, min(tick, l.crowd.wake())); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// following returns the report after the one at tick: every whole second, and
// the end of the ramp.
func following(tick, length time.Duration) time.Duration {
	next := tick.Truncate(time.Second) + time.Second
	if tick < length {
		next = min(next, length)
	}
	return next
}

// ended reports whether the ramp is over and all its requests are settled.
func (l *loop) ended() bool { return l.crowd.out == 0 && l.now >= l.crowd.length }

// atOnce is how many requests are begun before answers are looked for again:
// a loop that is behind must not do the one and never the other.
const atOnce = 64

// play begins what is due and gives up what has run out of time.
func (l *loop) play() {
	for range atOnce {
		u, ok := l.crowd.take(l.now, l.wire.hangUp)
		if !ok {
			break
		}
		user := &l.crowd.users[u]
		l.recorder.begin(user.due, user.start)
		l.wire.send(u, l.nextRow())
	}
	for l.now >= l.crowd.deadline() {
		u := l.crowd.first
		l.wire.hangUp(u)
		l.settle(u, stamps{done: l.now}, measure.Timeout, 0, false)
	}
}

// nextRow returns which row of the feed the next request takes.
func (l *loop) nextRow() int {
	if l.random != nil {
		return int(l.random.Uint64() % uint64(l.rows))
	}
	row := l.row % l.rows
	l.row += l.stride
	return row
}

// settle takes in what became of a user's request. status is its answer's, 0
// where none came. stale says that the service had closed its idle connection,
// so that it went on a fresh one.
func (l *loop) settle(u int32, s stamps, class measure.Class, status int, stale bool) {
	user := &l.crowd.users[u]
	s.due, s.start = user.due, user.start
	l.recorder.settle(&s, class, status, stale)
	l.crowd.settle(u, s.done, l.wire.hangUp)
}

// report hands over what was counted since the last report, at from. It
// returns false if nobody wants it any more.
func (l *loop) report(ctx context.Context, from time.Duration, ended bool) bool {
	r := report{
		at: l.now, counts: l.recorder.take(), users: l.crowd.here,
		out: l.crowd.out, oldest: l.crowd.oldest(l.now), turn: max(l.turn, l.now-l.woken), ended: ended,
	}
	r.busy = 1 // a report that is due at once is one of those that a starved loop catches up on
	if elapsed := l.now - from; elapsed > 0 {
		r.busy = 1 - min(1, float64(l.idle)/float64(elapsed))
	}
	l.idle, l.turn, l.woken = 0, 0, l.now // each second answers for itself
	select {
	case l.reports <- r:
		return true
	case <-ctx.Done():
		return false
	}
}
