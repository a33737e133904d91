package locust

import (
	"context"
	"math"
	"slices"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// run is one load. Its seconds are those of the workers' clock, on which they
// count: it begins with one.
type run struct {
	*master
	plan    Plan
	began   time.Time
	crowd   *crowd
	players []*worker // by their place in the crowd
	tally   *tally
	ended   []second // those that have ended, but aren't known in full yet
	next    int      // the first second that hasn't been told
	recent  []measure.Window
}

// second is what was known when it ended.
type second struct {
	measure.Window
	users  map[*worker]int
	raised uint64 // tasks that ended in an exception
	lost   uint64 // users whose worker was lost before it told of the second, or one
}

// play makes the load and tells of each second in order, once all workers have
// told of it; and every second how far the load has come. It returns when the
// ramp is over and told, or as stop says.
func (m *master) play(ctx context.Context, plan Plan, stop <-chan struct{}, tell func(measure.Tick) error) error {
	defer m.disband(ctx)
	r := &run{master: m, plan: plan, began: time.Now().Truncate(time.Second), players: m.living()}
	if err := r.over(); err != nil {
		return err
	}
	r.crowd, r.tally = newCrowd(plan.Classes, len(r.players)), newTally(r.began.Unix())
	m.rest()
	steps := time.NewTicker(step)
	defer steps.Stop()
	length := int((plan.Ramp.Length() + time.Second - 1) / time.Second)
	for told := 0; r.next < length; {
		if told < length { // users stay until the last second is told
			r.steer(time.Since(r.began))
		}
		select {
		case h := <-m.heard:
			if s := m.hear(h); s != nil {
				r.tally.add(*s)
			}
		case now := <-steps.C:
			m.look(now)
		case <-stop:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := r.over(); err != nil {
			return err
		}
		now := time.Now()
		for ; told < length && now.Sub(r.began) >= time.Duration(told+1)*time.Second; told++ {
			r.end(told, now)
			if err := tell(measure.Tick{At: now.Sub(r.began)}); err != nil {
				return err
			}
		}
		if err := r.tell(now, tell); err != nil {
			return err
		}
	}
	return nil
}

// over returns why the load is over before its time, if it is.
func (r *run) over() error {
	if slices.ContainsFunc(r.players, func(w *worker) bool { return w.deaf }) {
		return errDeaf
	}
	if !slices.ContainsFunc(r.players, func(w *worker) bool { return !w.lost }) {
		return errNone
	}
	return nil
}

// rest forgets what was before a load.
func (m *master) rest() {
	m.wrong, m.raised = nil, 0
	for _, w := range m.workers {
		w.late = 0
	}
	m.effort()
}

// steer gives the workers the users that there shall be until the next step: as
// many as in the middle of it, so that the staircase is nowhere far from the
// ramp.
func (r *run) steer(elapsed time.Duration) {
	n, done := r.plan.Ramp.Users(elapsed.Truncate(step) + step/2)
	if done || n == len(r.crowd.order) && r.stamp >= unix(r.began) {
		return
	}
	r.crowd.become(n)
	r.stamp = math.Nextafter(max(r.stamp, unix(time.Now())), math.Inf(1))
	for i, w := range r.players {
		r.send(w, spawnKind, spawn{Timestamp: r.stamp, Users: r.crowd.worker(i), Host: r.plan.Host})
		w.ready = false
	}
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / float64(time.Second) }

// end notes what is known of a second as it ends.
func (r *run) end(n int, now time.Time) {
	s := second{
		Window: measure.Window{Start: time.Duration(n) * time.Second, Length: time.Second, Effort: r.exert(now)},
		users:  map[*worker]int{}, raised: r.raised,
	}
	r.raised = 0
	if last := r.plan.Ramp.Length() - s.Start; last < time.Second {
		s.Length = last
	}
	for _, w := range r.players {
		s.users[w] = w.users
	}
	r.ended = append(r.ended, s)
}

// exert returns what the load cost since the last call. A worker's loop is late
// where its heartbeat is, and was so for as long.
func (r *run) exert(now time.Time) *measure.Effort {
	own := r.effort()
	if own == nil {
		return nil
	}
	e := &measure.Effort{CPU: own.CPU, Cores: float64(len(r.players)), Memory: own.Memory, HostIdle: own.HostIdle, Steal: own.Steal}
	for _, w := range r.players {
		if w.lost {
			continue
		}
		e.CPU += w.cpu
		e.Memory += experiment.Bytes(w.memory)
		e.Busy = max(e.Busy, min(1, w.cpu))
		e.Turn = max(e.Turn, w.late, now.Sub(w.beat)-beat)
		w.late = 0
	}
	return e
}

// tell tells of the seconds of which all living workers have told, one a tick.
// The users of a worker that was lost before it told of a second are missing in
// it, as is whatever they did: that second is the generator's own failure,
// however few they are.
func (r *run) tell(now time.Time, tell func(measure.Tick) error) error {
	for len(r.ended) > 0 {
		s := r.ended[0]
		end := r.began.Add(s.End())
		for w, users := range s.users {
			switch told := !w.told.Before(end); {
			case told:
				s.Users += users
			case w.lost:
				s.lost += uint64(max(1, users)) //nolint:gosec // at least 1
			default:
				return nil // it will tell yet
			}
		}
		late := r.tally.late(r.next)
		for _, w := range late {
			r.recent[w.Start/time.Second].Merge(w)
		}
		tick := measure.Tick{At: now.Sub(r.began), Windows: append(late, r.complete(s))}
		r.ended, r.next = r.ended[1:], r.next+1
		if err := tell(tick); err != nil {
			return err
		}
	}
	return nil
}

// complete joins a second's state with what was counted in it.
func (r *run) complete(s second) measure.Window {
	w := r.tally.take(r.next)
	w.Merge(s.Window)
	own := s.lost
	// Where the service fails, tasks may raise for that, but each has asked before.
	// Where more raise than have asked, the locustfile is at fault.
	if s.raised > w.Done+w.Failed() {
		own += s.raised
	}
	if own > 0 {
		w.Merge(measure.Window{Sent: own, Errors: map[measure.Class]uint64{measure.Own: own}})
	}
	r.recent = append(r.recent, w)
	w.InFlight, w.Oldest = outstanding(r.recent, r.plan.Wait)
	return w
}

// outstanding returns how many requests are out at the end of the last window,
// at least, and for how long at least one has been. Who was there and has had no
// answer since is asking, or waits before it asks; and it waits no longer than
// wait.
func outstanding(windows []measure.Window, wait time.Duration) (out int, oldest time.Duration) {
	ended, waits := 0, int((wait+time.Second-1)/time.Second)
	now := len(windows) - 1
	for back := range now { // seconds before the last
		w := windows[now-back]
		ended += int(w.Done + w.Failed() + w.Errors[measure.Own]) //nolint:gosec // far fewer
		stuck := min(windows[now-back-1].Users, windows[now].Users) - ended
		if back+1 < waits {
			continue
		}
		if stuck <= 0 {
			break
		}
		out = max(out, stuck)
		oldest = max(oldest, time.Duration(back+1)*time.Second-wait)
	}
	return out, oldest
}
