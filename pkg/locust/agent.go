package locust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"sweep/pkg/measure"
)

// The master is told its orders on stdin and answers on stdout, a JSON value a
// line, for as long as a run lasts.
//
//	sweep                      master                    workers
//	  |-- order{Muster} --------->|<---- client_ready -------|
//	  |<------- frame{Ready} -----|
//	  |-- order{Second} --------->|
//	  |<------- frame{Second} ----|                          as one begins
//	  |-- order{Plan} ----------->|------- spawn ----------->|
//	  |<------- frame{Tick} ------|<------ stats ------------|
//	  |-- order{Stop} ----------->|------- stop ------------>|  where it is to end before the ramp does
//	  |<------- frame{Done} ------|<---- client_ready -------|
//
// All of them may come again. The end of stdin is the end of the master.

// Port is where workers find their master.
const Port = "5557"

// order is a line to the master.
type order struct {
	Muster int           `json:"muster,omitempty"` // workers to wait for
	Within time.Duration `json:"within,omitempty"` // no longer than so
	Second bool          `json:"second,omitempty"`
	Plan   *Plan         `json:"plan,omitempty"`
	Stop   bool          `json:"stop,omitempty"`
}

// frame is a line from the master.
type frame struct {
	Ready  []string      `json:"ready,omitempty"` // the versions of the workers
	Second bool          `json:"second,omitempty"`
	Tick   *measure.Tick `json:"tick,omitempty"`
	Done   bool          `json:"done,omitempty"`
	Lost   int           `json:"lost,omitempty"`   // with Done: workers that were lost
	Wrong  []string      `json:"wrong,omitempty"`  // with Done: what the locustfile's own code did wrong
	Failed string        `json:"failed,omitempty"` // what couldn't be done: never the service's fault
	Loss   bool          `json:"loss,omitempty"`   // with Failed: it is for the loss of workers
}

// Serve is the master, where workers connect to l. Effort returns what this
// process and its host did since it was last asked, nil where that isn't known.
// It returns when in ends, or with an error where nobody can be told.
func Serve(ctx context.Context, in io.Reader, out io.Writer, l net.Listener, effort func() *measure.Effort) error {
	ctx, cancel := context.WithCancel(ctx)
	m := &master{heard: make(chan heard, backlog), effort: effort}
	orders := make(chan order)
	var listening sync.WaitGroup
	listening.Go(func() { m.listen(ctx, l) })
	defer listening.Wait()
	defer l.Close() //nolint:errcheck // nothing is lost with it
	defer cancel()
	go func() { // ends with in, which its owner closes
		defer cancel()
		for decoder := json.NewDecoder(in); ; {
			var o order
			if decoder.Decode(&o) != nil {
				return
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	return m.serve(ctx, orders, json.NewEncoder(out))
}

// serve carries out orders, and hears workers in between.
func (m *master) serve(ctx context.Context, orders <-chan order, out *json.Encoder) error {
	for {
		select {
		case o := <-orders:
			if err := m.carryOut(ctx, o, orders, out); err != nil {
				return err
			}
		case h := <-m.heard:
			m.hear(h)
		case <-ctx.Done():
			return nil
		}
	}
}

func (m *master) carryOut(ctx context.Context, o order, orders <-chan order, out *json.Encoder) error {
	switch {
	case o.Muster > 0:
		ctx, cancel := context.WithTimeoutCause(ctx, o.Within, fmt.Errorf("waited for %s", o.Within))
		defer cancel()
		versions, err := m.muster(ctx, o.Muster)
		return send(out, frame{Ready: versions}, err)
	case o.Second:
		return send(out, frame{Second: true}, m.awaitSecond(ctx))
	case o.Plan != nil:
		stop, heed := m.heed(ctx, orders)
		err := m.play(ctx, *o.Plan, stop, func(t measure.Tick) error { return send(out, frame{Tick: &t}, nil) })
		heed()
		return send(out, frame{Done: true, Lost: len(m.workers) - len(m.living()), Wrong: m.wrong}, err)
	}
	return nil // a Stop that came when all had ended
}

// awaitSecond returns at the beginning of a second.
func (m *master) awaitSecond(ctx context.Context) error {
	now := time.Now()
	next := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
	defer next.Stop()
	for {
		select {
		case h := <-m.heard:
			m.hear(h)
		case <-next.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// heed waits for the order to stop, until done is called.
func (m *master) heed(ctx context.Context, orders <-chan order) (stop <-chan struct{}, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	var heeding sync.WaitGroup
	heeding.Go(func() {
		select {
		case <-orders: // none but Stop comes during a load
			close(stopped)
		case <-ctx.Done():
		}
	})
	return stopped, func() { cancel(); heeding.Wait() }
}

// errGone is that nobody reads what the master says.
var errGone = errors.New("master: nobody listens")

// send sends a frame, or why there is none.
func send(out *json.Encoder, f frame, err error) error {
	if errors.Is(err, errGone) {
		return err
	}
	if err != nil {
		var by loss
		f.Failed, f.Loss = err.Error(), errors.As(err, &by)
	}
	if err := out.Encode(f); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}
