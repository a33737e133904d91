package experiment

import (
	"cmp"
	"fmt"
	"time"
)

// Trial is one fresh start of the service in one cell, under one load: the
// ramp, which finds a level, or a hold, which proves one.
type Trial struct {
	Limits    Limits `json:"limits"`
	Hold      int    `json:"hold,omitempty"` // the users (or requests a second) that are held; 0: the ramp to the target
	Replicate int    `json:"replicate"`      // of this cell and load, from 1
}

// Compare orders trials by cell, then load, then replicate.
func (t Trial) Compare(u Trial) int {
	return cmp.Or(t.Limits.Compare(u.Limits), cmp.Compare(t.Hold, u.Hold), cmp.Compare(t.Replicate, u.Replicate))
}

// Slug returns the form that file names use: "2cpu-500M-1", or
// "2cpu-500M-hold6175-1".
func (t Trial) Slug() string {
	if t.Hold > 0 {
		return fmt.Sprintf("%s-hold%d-%d", t.Limits.Slug(), t.Hold, t.Replicate)
	}
	return fmt.Sprintf("%s-%d", t.Limits.Slug(), t.Replicate)
}

// The way up to a level that is held: as fast as the ramp is, but no slower
// than within longestClimb. It isn't measured.
const (
	longestClimb = 20 * time.Second
	jumpClimb    = 5 * time.Second // where the ramp jumps
)

// Of returns the experiment as one of its trials asks it: of a hold, the load
// is its level, reached by a climb, settled, and measured for as long as the
// target is held.
//
//	users
//	level |      ___________________
//	      |     /:        :         :
//	      |    / :        :         :
//	    0 |___/__:________:_________:__ time
//	        climb  settle   measured
func (e *Experiment) Of(t Trial) *Experiment {
	if t.Hold == 0 {
		return e
	}
	u := e.Users
	climb := Duration(jumpClimb)
	if rate := u.Ramp().Rate(); rate > 0 {
		climb = Duration(min(longestClimb, time.Duration(float64(t.Hold)/rate*float64(time.Second))).Round(time.Second))
	}
	hold := u.HoldLength()
	u.Stages, u.Stairs = nil, nil
	u.Target, u.RampOver, u.Hold = t.Hold, max(climb, Duration(time.Second)), u.Settle+hold
	if u.Open() {
		u.Rate = new(Rate(t.Hold))
	}
	of := *e
	of.Users = u
	return &of
}

// HoldLength returns for how long a level is measured that a trial of its own holds:
// for as long as the ramp asks to hold levels.
func (u Users) HoldLength() Duration {
	switch {
	case u.Stairs != nil:
		return u.Stairs.Hold
	case len(u.Stages) > 0:
		longest := Duration(0)
		for _, s := range u.Stages {
			longest = max(longest, s.Hold)
		}
		if longest > 0 {
			return longest
		}
		return Duration(30 * time.Second)
	default:
		return u.Hold
	}
}

// Measured returns from when on a hold's load, as [Experiment.Of] returns it,
// is measured.
func (u Users) Measured() time.Duration { return u.RampOver.Std() + u.Settle.Std() }
