package experiment

import (
	"math"
	"math/bits"
	"time"
)

// A Ramp is the shape of the load: how many users there are at each instant, or
// for open load how many requests a second. It is a value, so it can be drawn,
// checked and timed without running it.
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
// Within a stage's Over, users arrive evenly, each at an instant of its own
// ([Ramp.Changes]); a rate changes continuously ([Ramp.Arrivals]).
type Ramp []Stage

// A Stage goes from the number of users of the stage before it, or 0, to
// Users within Over, then keeps that number for Hold. For open load a file says
// Rate instead, and Users is the same number.
type Stage struct {
	Users int      `yaml:"users" json:"users" unless:"Rate" doc:"how many users there are at the end of the stage"`
	Rate  *Rate    `yaml:"rate,omitempty" json:"-" doc:"instead of users, with rate as the target: how many requests a second, such as 500/s"`
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

// perArrival is the area under a ramp of rates that makes one arrival, in units
// in which every stage's area is a whole number: half a nanosecond times one
// arrival a second.
const perArrival = 2 * int64(time.Second)

// Arrivals calls yield for the instant of each request of open load, in order,
// until yield returns false. The ramp's numbers are requests a second: the k-th
// request, from 1, is when the integral of the rate reaches k - 1/2. So they are
// 1/rate apart, also where the rate changes, none is at the very beginning or
// end, and between any two instants there are as many as the integral says, to
// within one.
func (r Ramp) Arrivals(yield func(time.Duration) bool) {
	var begin time.Duration
	from, rest := 0, uint64(perArrival/2) // area since the last arrival
	for _, s := range r {
		for _, p := range [...]slope{{from, s.Users, s.Over.Std()}, {s.Users, s.Users, s.Hold.Std()}} {
			var n int64
			area := float64(p.from+p.to) / 2 * p.over.Seconds()
			missing := 1 - float64(rest)/float64(perArrival) // of the next arrival
			n, rest = p.arrivals(rest)
			for i := range n {
				if !yield(begin + p.reaches(float64(i)+missing, area)) {
					return
				}
			}
			begin += p.over
		}
		from = s.Users
	}
}

// A slope is part of a ramp of rates on which the rate changes evenly.
type slope struct {
	from, to int // arrivals a second
	over     time.Duration
}

// arrivals returns how many arrivals the slope completes, given the area before
// it that has made none, and what is left of the area after the last one. The
// area can take more than 64 bits.
func (s slope) arrivals(before uint64) (n int64, after uint64) {
	high, low := bits.Mul64(uint64(s.from+s.to), uint64(s.over))
	low, carry := bits.Add64(low, before, 0)
	quotient, after := bits.Div64(high+carry, low, uint64(perArrival))
	return int64(quotient), after
}

// reaches returns after how long the integral of the rate reaches part of the
// slope's whole area, both in arrivals.
func (s slope) reaches(part, area float64) time.Duration {
	if s.to < s.from { // from behind it rises
		return s.over - slope{s.to, s.from, s.over}.reaches(max(0, area-part), area)
	}
	// from*t + (to-from)/(2*over)*t^2 = part, solved without a difference of
	// numbers that may be alike.
	from, over := float64(s.from), s.over.Seconds()
	t := 2 * part / (from + math.Sqrt(from*from+2*float64(s.to-s.from)/over*part))
	return min(s.over, time.Duration(math.Round(t*float64(time.Second))))
}
