package experiment

import (
	"math/bits"
	"time"
)

// A Ramp is the shape of the load: how many users there are at each instant.
// It is a value, so it can be drawn, checked and timed without running it.
//
//	users
//	10000 |                ________
//	      |              /         :
//	 5000 |      _______/          :
//	      |    /        :          :
//	    0 |___/_________:__________:___ time
//	        over  hold   over hold
//	        `-stage 1-' `-stage 2-'
//
// Within a stage's Over, users arrive evenly, each at an instant of its own.
type Ramp []Stage

// A Stage goes from the number of users of the stage before it, or 0, to
// Users within Over, then keeps that number for Hold.
type Stage struct {
	Users int      `yaml:"users" json:"users" required:"true" doc:"how many users there are at the end of the stage"`
	Over  Duration `yaml:"over" json:"over" doc:"how long the way there takes; every user starts at an instant of its own"`
	Hold  Duration `yaml:"hold,omitempty" json:"hold" doc:"how long that number is kept"`
}

// Users returns how many users there are at elapsed, and whether the ramp is
// over. Negative times have no users.
func (r Ramp) Users(elapsed time.Duration) (n int, done bool) {
	from := 0
	for _, s := range r {
		if over := s.Over.Std(); elapsed < over {
			if elapsed < 0 {
				return from, false
			}
			if s.Users < from {
				return from - part(from-s.Users, elapsed, over), false
			}
			return from + part(s.Users-from, elapsed, over), false
		}
		if elapsed -= s.Over.Std() + s.Hold.Std(); elapsed < 0 {
			return s.Users, false
		}
		from = s.Users
	}
	return from, true
}

// part returns how much of n there is after elapsed of over, rounded down. It
// is exact, so that Users and Changes agree to the nanosecond; the product can
// take more than 64 bits.
func part(n int, elapsed, over time.Duration) int {
	high, low := bits.Mul64(uint64(n), uint64(elapsed))
	quotient, _ := bits.Div64(high, low, uint64(over))
	return int(quotient)
}

// Length returns how long the whole ramp takes.
func (r Ramp) Length() time.Duration {
	var d time.Duration
	for _, s := range r {
		d += s.Over.Std() + s.Hold.Std()
	}
	return d
}

// Peak returns the most users that there are at any instant.
func (r Ramp) Peak() int {
	peak := 0
	for _, s := range r {
		peak = max(peak, s.Users)
	}
	return peak
}

// Rate returns the fastest arrival of users, in users per second. A stage
// that jumps (no Over) doesn't count.
func (r Ramp) Rate() float64 {
	rate, from := 0.0, 0
	for _, s := range r {
		if s.Over > 0 {
			rate = max(rate, float64(s.Users-from)/s.Over.Std().Seconds())
		}
		from = s.Users
	}
	return rate
}

// A Change is one user that arrives or leaves, at its own instant.
type Change struct {
	At    time.Duration
	User  int // users are numbered from 0; the last to arrive is the first to leave
	Leave bool
}

// Changes calls yield for each user's arrival and departure in order of time,
// until yield returns false. Within a stage the i-th of n changes is at
// i/n of Over, rounded up to the nanosecond, the first at its beginning.
func (r Ramp) Changes(yield func(Change) bool) {
	from := 0
	var begin time.Duration
	for _, s := range r {
		n, step := s.Users-from, 1
		if n < 0 {
			n, step = -n, -1
		}
		for i := range n {
			each, rest := s.Over.Std()/time.Duration(n), s.Over.Std()%time.Duration(n)
			at := time.Duration(i)*each + (time.Duration(i)*rest+time.Duration(n)-1)/time.Duration(n)
			c := Change{At: begin + at, User: from + i*step, Leave: step < 0}
			if c.Leave {
				c.User--
			}
			if !yield(c) {
				return
			}
		}
		from = s.Users
		begin += s.Over.Std() + s.Hold.Std()
	}
}
