package load

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"sweep/pkg/experiment"
)

// crowd decides which user sends when. It has neither clock nor connections:
// it is told the time and what became of requests, so that a whole load can be
// played in no time at all.
//
//	               arrive                take                    settle
//	ramp ----------------------> waiting ------------> out ---------------+
//	                                ^    (when due)                       |
//	                                +------------------ wait -------------+
//
// Of open arrivals nobody waits: each takes a user who has nothing to do, or
// makes a new one, so that a slow service is sent no less.
type crowd struct {
	plan   *Plan
	share  int // of the plan's users those whose number leaves share when divided by shares
	shares int
	length time.Duration
	ramp   func() (change, bool)
	next   change // the ramp's next change; at never when there is none

	users []user
	free  []int32 // users who have left, or of open arrivals have nothing to do: to be used again
	slots []int32 // of the ramp's users: which of users each is
	due   queue   // users who wait

	// Requests that are out, from the oldest: all have the same timeout, so
	// that the first is always the next to run out of time.
	first, last int32
	out         int
	here        int // users who haven't left
}

// never is later than everything.
const never = time.Duration(math.MaxInt64)

// nobody ends a list of users.
const nobody = int32(-1)

// user is one virtual user.
type user struct {
	due           time.Duration // when the request that is out, or the next, was or is due
	start         time.Duration // when the generator began it
	before, after int32         // its neighbours among those that are out
	phase         phase
	leaving       bool // its request that is out is its last
	random        rand.PCG
}

type phase uint8

const (
	absent phase = iota
	waiting
	out
)

// change is a user who comes or goes, or an open arrival.
type change struct {
	at     time.Duration
	number int32 // of the user among those of this crowd
	leave  bool
}

// newCrowd returns the crowd's share of a plan's users: every shares-th from
// share on. stop lets go of it.
func newCrowd(plan *Plan, share, shares int) (c *crowd, stop func()) {
	changes := users(plan.Ramp)
	if plan.Open {
		changes = arrivals(plan.Ramp)
	}
	next, stop := iter.Pull(part(changes, share, shares))
	c = &crowd{plan: plan, share: share, shares: shares, length: plan.Ramp.Length(), ramp: next, first: nobody, last: nobody}
	if !plan.Open {
		peak := plan.Ramp.Peak()/shares + 1
		c.users, c.slots, c.due = make([]user, 0, peak), make([]int32, peak), make(queue, 0, peak)
	}
	c.advance()
	return c, stop
}

func users(r experiment.Ramp) iter.Seq[change] {
	return func(yield func(change) bool) {
		for c := range r.Changes {
			if !yield(change{c.At, int32(c.User), c.Leave}) {
				return
			}
		}
	}
}

func arrivals(r experiment.Ramp) iter.Seq[change] {
	return func(yield func(change) bool) {
		number := int32(0)
		for at := range r.Arrivals {
			if !yield(change{at: at, number: number}) {
				return
			}
			number = (number + 1) & math.MaxInt32 // only its remainder counts
		}
	}
}

// part deals changes out to several crowds, each user to one.
func part(all iter.Seq[change], share, shares int) iter.Seq[change] {
	return func(yield func(change) bool) {
		for c := range all {
			if int(c.number)%shares != share {
				continue
			}
			c.number /= int32(shares)
			if !yield(c) {
				return
			}
		}
	}
}

func (c *crowd) advance() {
	var ok bool
	if c.next, ok = c.ramp(); !ok {
		c.next.at = never
	}
}

// wake returns when the crowd next has something to do.
func (c *crowd) wake() time.Duration { return min(c.next.at, c.due.at(), c.deadline()) }

// deadline returns when the oldest request runs out of time.
func (c *crowd) deadline() time.Duration {
	if c.first == nobody {
		return never
	}
	return c.users[c.first].start + c.plan.Timeout
}

// take returns a user whose request is due, and puts it out, begun now. gone
// is told of every user who leaves without one.
func (c *crowd) take(now time.Duration, gone func(int32)) (u int32, ok bool) {
	for {
		due := c.due.at()
		switch {
		case c.next.at <= now && c.next.at <= due:
			if u, ok := c.change(c.next, gone); ok {
				c.advance()
				return c.begin(u, now), true
			}
			c.advance()
		case due <= now:
			at, u := c.due.pop()
			if user := &c.users[u]; user.phase == waiting && user.due == at { // else it has left
				return c.begin(u, now), true
			}
		default:
			return nobody, false
		}
	}
}

// change lets a user come or go. It returns the user if it sends at once.
func (c *crowd) change(change change, gone func(int32)) (int32, bool) {
	if c.plan.Open {
		return c.enter(change), true
	}
	if !change.leave {
		u := c.enter(change)
		c.slots[change.number] = u
		c.here++
		return u, true
	}
	u := c.slots[change.number]
	c.here--
	if user := &c.users[u]; user.phase == out {
		user.leaving = true
		return nobody, false
	}
	c.leave(u, gone)
	return nobody, false
}

// enter returns a user for a change, one that was there before if there is.
func (c *crowd) enter(change change) int32 {
	u := int32(len(c.users))
	if n := len(c.free); n > 0 {
		u, c.free = c.free[n-1], c.free[:n-1]
	} else {
		c.users = append(c.users, user{})
	}
	c.users[u] = user{due: change.at, phase: waiting}
	// By its number among all, so that it waits as long whoever plays it.
	c.users[u].random.Seed(uint64(c.plan.Seed), uint64(change.number)*uint64(c.shares)+uint64(c.share))
	return u
}

func (c *crowd) leave(u int32, gone func(int32)) {
	c.users[u].phase = absent
	c.free = append(c.free, u)
	gone(u)
}

// begin puts a request out.
func (c *crowd) begin(u int32, now time.Duration) int32 {
	user := &c.users[u]
	user.phase, user.start = out, now
	user.before, user.after = c.last, nobody
	if c.last == nobody {
		c.first = u
	} else {
		c.users[c.last].after = u
	}
	c.last = u
	c.out++
	return u
}

// settle takes a request in that ended at done, and lets its user wait.
func (c *crowd) settle(u int32, done time.Duration, gone func(int32)) {
	user := &c.users[u]
	c.unlink(user)
	switch {
	case c.plan.Open: // its connection stays, for whoever comes next
		user.phase = absent
		c.free = append(c.free, u)
		return
	case user.leaving:
		c.leave(u, gone)
		return
	}
	user.phase = waiting
	random := 0.0
	if len(c.plan.Wait.Between) > 0 {
		const bits = 53 // of a float64's mantissa
		random = float64(user.random.Uint64()>>(64-bits)) / (1 << bits)
	}
	user.due = c.plan.Wait.Next(user.due, done, random)
	if user.due < c.length && !c.plan.Mute {
		c.due.push(user.due, u)
	}
}

func (c *crowd) unlink(u *user) {
	if u.before == nobody {
		c.first = u.after
	} else {
		c.users[u.before].after = u.after
	}
	if u.after == nobody {
		c.last = u.before
	} else {
		c.users[u.after].before = u.before
	}
	c.out--
}

// oldest returns how long the longest request has been out, 0 where none is.
func (c *crowd) oldest(now time.Duration) time.Duration {
	if c.first == nobody {
		return 0
	}
	return now - c.users[c.first].start
}

// queue is a heap of users by when they are due.
type queue []entry

type entry struct {
	at   time.Duration
	user int32
}

// at returns when the first is due.
func (q queue) at() time.Duration {
	if len(q) == 0 {
		return never
	}
	return q[0].at
}

func (q *queue) push(at time.Duration, u int32) {
	h := append(*q, entry{at, u})
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= at {
			break
		}
		h[i], i = h[parent], parent
	}
	h[i] = entry{at, u}
	*q = h
}

func (q *queue) pop() (time.Duration, int32) {
	h := *q
	top, moved := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if child >= len(h) || moved.at <= h[child].at {
			h[i] = moved
			break
		}
		h[i], i = h[child], child
	}
	*q = h
	return top.at, top.user
}
