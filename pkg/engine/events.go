package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// lateBy is how much later than other signs of what has happened an event may
// come.
const lateBy = time.Second

// resubscribeAfter is how long to wait before listening again to an engine
// that has ended the stream of events.
const resubscribeAfter = 250 * time.Millisecond

// A watch listens for one container's out-of-memory kills and its end. Events
// are the only sign of a kill that spares the container's first process.
type watch struct {
	engine *Engine
	id     string
	last   int64 // the engine's time of the last event, in ns; listen's alone

	cancel context.CancelFunc
	ended  chan struct{} // closed once the listening has ended

	down chan struct{} // closed once the container has died
	died func()        // closes down; may be called by whoever knows, again and again
	oom  chan struct{} // closed at the first out-of-memory event
	ooms atomic.Uint64 // out-of-memory events
}

// watch begins to listen, which is safe at any time before the container is
// started. It goes on, whatever becomes of ctx, until close.
func (e *Engine) watch(ctx context.Context, id string) (*watch, error) {
	listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watch{
		engine: e, id: id, cancel: cancel,
		ended: make(chan struct{}), down: make(chan struct{}), oom: make(chan struct{}),
	}
	w.died = sync.OnceFunc(func() { close(w.down) })
	stop := context.AfterFunc(ctx, cancel) // until the subscription stands
	messages, errs := w.subscribe(listening)
	stop()
	select {
	case err := <-errs:
		cancel()
		return nil, fmt.Errorf("listen for the engine's events: %w", err)
	default:
	}
	go w.listen(listening, messages, errs)
	return w, nil
}

// subscribe asks for all events since the last one that was seen. The first
// time that is all that the engine remembers: the container's id is new, and
// asking so needs no clock that agrees with the engine's.
func (w *watch) subscribe(ctx context.Context) (<-chan events.Message, <-chan error) {
	return w.engine.docker.Events(ctx, events.ListOptions{
		Since: fmt.Sprintf("%d.%09d", w.last/1e9, w.last%1e9),
		Filters: filters.NewArgs(
			filters.Arg("container", w.id),
			filters.Arg("event", string(events.ActionOOM)),
			filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", "died"), // the same in Podman, which filters by its own name and tells by Docker's
		),
	})
}

func (w *watch) listen(ctx context.Context, messages <-chan events.Message, errs <-chan error) {
	defer close(w.ended)
	for {
		select {
		case m := <-messages:
			w.see(m)
		case <-errs: //nolint:errcheck // always comes, whatever ended it, and is closed when the client's goroutine has ended
			for range errs {
			}
			if !w.again(ctx) {
				return
			}
			messages, errs = w.subscribe(ctx)
		}
	}
}

// again prepares for another subscription, unless ctx has ended. The engine
// may have forgotten what happened meanwhile, so it is asked.
func (w *watch) again(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(resubscribeAfter):
	}
	c, err := w.engine.docker.ContainerInspect(ctx, w.id)
	if errdefs.IsNotFound(err) || err == nil && dead(c.State) {
		w.died()
	}
	return true
}

func (w *watch) see(m events.Message) {
	if m.TimeNano <= w.last { // "since" repeats the last one
		return
	}
	w.last = m.TimeNano
	switch m.Action {
	case events.ActionOOM:
		if w.ooms.Add(1) == 1 {
			close(w.oom)
		}
	case events.ActionDie:
		w.died()
	}
}

// tells reports whether an event has come, or yet comes: down or oom.
func (w *watch) tells(event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	case <-time.After(lateBy):
		return false
	}
}

// close ends the listening and returns when it has ended.
func (w *watch) close() {
	w.cancel()
	<-w.ended
}

// dead reports whether a container has run and ended. One that the engine
// couldn't start stays "created".
func dead(s *container.State) bool {
	return s.Status == container.StateExited || s.Status == container.StateDead
}
