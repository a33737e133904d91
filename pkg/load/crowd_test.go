package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
)

// stage is users within over, held for hold, in milliseconds.
func stage(users, over, hold int) experiment.Stage {
	ms := func(n int) experiment.Duration { return experiment.Duration(n) * experiment.Duration(time.Millisecond) }
	return experiment.Stage{Users: users, Over: ms(over), Hold: ms(hold)}
}

func constant(d time.Duration) experiment.Wait {
	wait := experiment.Duration(d)
	return experiment.Wait{Constant: &wait}
}

// drive plays a crowd whose every request takes service, without a clock: it
// jumps from one instant to the next. seen is told of every request begun.
func drive(c *crowd, service time.Duration, seen func(u int32, now time.Duration)) {
	type answer struct {
		at time.Duration
		u  int32
	}
	var answers []answer // all take as long, so they are in order
	gone := func(int32) {}
	for now := time.Duration(0); ; {
		for {
			u, ok := c.take(now, gone)
			if !ok {
				break
			}
			seen(u, now)
			answers = append(answers, answer{now + service, u})
		}
		next := min(c.next.at, c.due.at())
		if len(answers) > 0 {
			next = min(next, answers[0].at)
		}
		if next == never {
			return
		}
		now = max(now, next)
		for len(answers) > 0 && answers[0].at <= now {
			c.settle(answers[0].u, now, gone)
			answers = answers[1:]
		}
	}
}

func TestEveryRequestIsBegunTheInstantItIsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := &Plan{Timeout: time.Hour, Wait: constant(time.Duration(rapid.IntRange(1, 2000).Draw(t, "wait")) * time.Millisecond)}
		for range rapid.IntRange(1, 4).Draw(t, "stages") {
			plan.Ramp = append(plan.Ramp, stage(rapid.IntRange(0, 60).Draw(t, "users"), rapid.IntRange(0, 3000).Draw(t, "over"), rapid.IntRange(1, 3000).Draw(t, "hold")))
		}
		service := time.Duration(rapid.IntRange(1, 3000).Draw(t, "service")) * time.Millisecond
		shares := rapid.IntRange(1, 3).Draw(t, "shares")
		peak, present := 0, 0
		for share := range shares {
			c, stop := newCrowd(plan, share, shares)
			defer stop()
			drive(c, service, func(u int32, now time.Duration) {
				if late := now - c.users[u].due; late != 0 {
					t.Fatalf("user %d began %v late", u, late)
				}
				if c.out > len(c.users) || now >= plan.Ramp.Length() {
					t.Fatalf("at %v %d of %d are out, of a ramp of %v", now, c.out, len(c.users), plan.Ramp.Length())
				}
			})
			if c.out != 0 || c.first != nobody || c.last != nobody {
				t.Fatalf("%d still out at the end", c.out)
			}
			peak, present = peak+len(c.users), present+c.here
		}
		if want := plan.Ramp[len(plan.Ramp)-1].Users; present != want {
			t.Fatalf("%d users at the end, want %d", present, want)
		}
		if service < plan.Wait.Mean() && peak > 2*plan.Ramp.Peak() {
			t.Fatalf("%d users were made for a peak of %d", peak, plan.Ramp.Peak())
		}
	})
}

func TestAUserWhoLeavesIsStillOutUntilItsAnswerComes(t *testing.T) {
	plan := &Plan{Timeout: time.Hour, Wait: constant(time.Second), Ramp: experiment.Ramp{stage(10, 0, 1000), stage(0, 0, 1000)}}
	c, stop := newCrowd(plan, 0, 1)
	defer stop()
	var gone []int32
	take := func(now time.Duration) (n int) {
		for {
			if _, ok := c.take(now, func(u int32) { gone = append(gone, u) }); !ok {
				return n
			}
			n++
		}
	}
	if begun := take(0); begun != 10 || c.here != 10 {
		t.Fatalf("%d begun, %d here; want 10, 10", begun, c.here)
	}
	take(time.Second)
	if c.here != 0 || c.out != 10 || c.oldest(1500*time.Millisecond) != 1500*time.Millisecond || len(gone) != 0 {
		t.Errorf("%d here, %d out, the oldest for %v, %d gone; want 0, 10, 1.5s, 0", c.here, c.out, c.oldest(1500*time.Millisecond), len(gone))
	}
	for u := range int32(10) {
		c.settle(u, 1600*time.Millisecond, func(u int32) { gone = append(gone, u) })
	}
	if c.out != 0 || len(gone) != 10 || take(time.Minute) != 0 {
		t.Errorf("%d out, %d gone after their answers; want 0, 10, and nothing begun", c.out, len(gone))
	}
}

func TestOpenArrivalsComeHoweverSlowTheServiceIs(t *testing.T) {
	for _, service := range []time.Duration{time.Millisecond, 10 * time.Second} {
		plan := &Plan{Open: true, Timeout: time.Hour, Ramp: experiment.Ramp{stage(100, 1000, 4000)}}
		c, stop := newCrowd(plan, 0, 1)
		defer stop()
		begun := 0
		drive(c, service, func(int32, time.Duration) { begun++ })
		if want := 50 + 400; begun < want-1 || begun > want+1 {
			t.Errorf("service %v: %d requests, want %d", service, begun, want)
		}
		if connections := len(c.users); service == time.Millisecond && connections != 1 || service > time.Second && connections != begun {
			t.Errorf("service %v: %d connections for %d requests", service, connections, begun)
		}
	}
}

func TestQueueGivesTheEarliestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var want []time.Duration
		for _, at := range rapid.SliceOf(rapid.Int64Range(0, 50)).Draw(t, "at") {
			q.push(time.Duration(at), int32(at))
			want = append(want, time.Duration(at))
		}
		slices.Sort(want)
		for _, at := range want {
			if got := q.at(); got != at {
				t.Fatalf("at %v, want %v", got, at)
			}
			if got, u := q.pop(); got != at || time.Duration(u) != at {
				t.Fatalf("popped %v of %d, want %v", got, u, at)
			}
		}
		if q.at() != never {
			t.Fatal("an empty queue has something due")
		}
	})
}

// Whoever plays a user, it does the same: k generators together, each with
// loops of its own, make the very requests that one makes.
func TestSegmentsTogetherMakeTheSameLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := Plan{Timeout: time.Hour, Seed: rapid.Int64().Draw(t, "seed"), Open: rapid.Bool().Draw(t, "open")}
		ms := experiment.Duration(time.Millisecond)
		plan.Wait = experiment.Wait{Between: []experiment.Duration{100 * ms, experiment.Duration(rapid.IntRange(100, 2000).Draw(t, "wait")) * ms}}
		for range rapid.IntRange(1, 3).Draw(t, "stages") {
			plan.Ramp = append(plan.Ramp, stage(rapid.IntRange(0, 40).Draw(t, "users"), rapid.IntRange(0, 3000).Draw(t, "over"), rapid.IntRange(1, 3000).Draw(t, "hold")))
		}
		requests := func(generators int) (at []time.Duration) {
			for i := range generators {
				plan.Segment = Segment{Index: i, Of: generators}
				loops := rapid.IntRange(1, 3).Draw(t, "loops")
				for l := range loops {
					share, shares := plan.Segment.share(l, loops)
					c, stop := newCrowd(&plan, share, shares)
					drive(c, 50*time.Millisecond, func(_ int32, now time.Duration) { at = append(at, now) })
					stop()
				}
			}
			slices.Sort(at)
			return at
		}
		if one, many := requests(1), requests(rapid.IntRange(1, 7).Draw(t, "generators")); !slices.Equal(one, many) {
			t.Fatalf("together they make %d requests at %v,\none generator makes %d at %v", len(many), many, len(one), one)
		}
	})
}

func TestEachUserIsInOneSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, of, sum := rapid.IntRange(0, 1000).Draw(t, "users"), rapid.IntRange(1, 100).Draw(t, "segments"), 0
		for i := range of {
			sum += Segment{i, of}.of(n)
		}
		if sum != n || (Segment{}).of(n) != n {
			t.Fatalf("%d segments of %d users have %d", of, n, sum)
		}
	})
}
