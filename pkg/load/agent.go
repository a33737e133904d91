package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"sweep/pkg/measure"
)

// The agent is this program inside the service's network namespace. It is told
// its orders on stdin and answers on stdout, a JSON value a line.
//
//	sweep                      agent
//	  |-- order{Plan} ----------->|
//	  |                           | looks until the service is ready
//	  |<------- frame{Ready} -----|
//	  |-- order{Go} ------------->|
//	  |<------- frame{Tick} ------| every second
//	  |<------- frame{Done} ------|
//
// or, where several agents begin at an instant in common,
//
//	  |-- order{Clock} ---------->| often, so that the shortest way tells most
//	  |<------- frame{Clock} -----|
//	  |-- order{Go, At} --------->|
//
// or, with an agent that is beside no service,
//
//	  |-- order{Ceiling} -------->|
//	  |<------- frame{Ceiling} ---|
//
// or, as often as it likes, to look at the service without any load,
//
//	  |-- order{Ask} ------------>|
//	  |<------- frame{Answer} ----|
//
// Frames are numbered, so that a lost one can't go unnoticed; one with an
// error is the last. The end of stdin is the end of the agent, whatever it is
// doing: it never outlives sweep.

// order is a line to the agent.
type order struct {
	Plan    *Plan         `json:"plan,omitempty"`
	Ceiling *Plan         `json:"ceiling,omitempty"`
	Clock   bool          `json:"clock,omitempty"`
	Go      bool          `json:"go,omitempty"`
	At      time.Duration `json:"at,omitempty"` // by the agent's clock, when to begin; what is past is at once
	Ask     *Ask          `json:"ask,omitempty"`
	Ports   bool          `json:"ports,omitempty"`
}

// frame is a line from the agent. Seq counts from 1.
type frame struct {
	Seq      int            `json:"seq"`
	Ready    bool           `json:"ready,omitempty"`
	NotReady string         `json:"not_ready,omitempty"`
	Clock    *time.Duration `json:"clock,omitempty"` // the agent's own: since it began to serve, whatever becomes of its host's time of day
	Tick     *measure.Tick  `json:"tick,omitempty"`
	Ceiling  float64        `json:"ceiling,omitempty"` // requests a second
	Answer   *Answer        `json:"answer,omitempty"`
	Ports    []int          `json:"ports,omitempty"`
	Done     bool           `json:"done,omitempty"`
	Failed   string         `json:"failed,omitempty"` // what the agent couldn't do: never the service's fault
}

// Serve is the agent. It returns when its orders are carried out, when in
// ends, or with an error where nobody can be told.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := make(chan order)
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
	return serve(ctx, orders, &sender{encoder: json.NewEncoder(out)})
}

func serve(ctx context.Context, orders <-chan order, out *sender) error {
	born := time.Now()
	first, ok := receive(ctx, orders)
	switch {
	case !ok:
		return nil
	case first.Ask != nil || first.Ports:
		return look(ctx, first, orders, out)
	case first.Ceiling != nil:
		rate, err := Ceiling(ctx, *first.Ceiling)
		return out.send(failed(frame{Ceiling: rate}, err))
	case first.Plan == nil:
		return out.send(frame{Failed: "the agent was told no plan first"})
	}
	switch err := Await(ctx, *first.Plan); {
	case errors.Is(err, measure.ErrNotReady):
		return out.send(frame{NotReady: err.Error()})
	case err != nil:
		return nil // nobody listens any more
	}
	if err := out.send(frame{Ready: true}); err != nil {
		return err
	}
	begin, err := untilGo(ctx, orders, out, born)
	if begin == nil {
		return err
	}
	for tick, err := range runFrom(ctx, *first.Plan, begin) {
		if first.Plan.Segment.Of > 1 { // who merges many is spared what can be merged here
			tick = measure.Together(tick)
		}
		if err != nil && ctx.Err() != nil { // it is told to go: that is no more its fault than the service's
			return err
		}
		if sent := out.send(failed(frame{Tick: &tick}, err)); sent != nil || err != nil {
			return sent
		}
	}
	return out.send(frame{Done: true})
}

// untilGo tells the time, since born, until the agent is told to go. It returns
// what waits for the instant at which that is to be, nil where nobody listens
// any more.
func untilGo(ctx context.Context, orders <-chan order, out *sender, born time.Time) (begin func() time.Time, err error) {
	for {
		o, ok := receive(ctx, orders)
		switch {
		case !ok:
			return nil, nil
		case o.Clock:
			if err := out.send(frame{Clock: new(time.Since(born))}); err != nil {
				return nil, err
			}
		case o.At == 0:
			return time.Now, nil
		default:
			at := born.Add(o.At)
			return func() time.Time {
				select { // late is late, and will show: its users are due since then
				case <-time.After(time.Until(at)):
				case <-ctx.Done():
				}
				return at
			}, nil
		}
	}
}

// failed returns f, or a frame that says why there is none.
func failed(f frame, err error) frame {
	if err != nil {
		return frame{Failed: err.Error()}
	}
	return f
}

func receive(ctx context.Context, orders <-chan order) (order, bool) {
	select {
	case o := <-orders:
		return o, true
	case <-ctx.Done():
		return order{}, false
	}
}

// sender numbers frames.
type sender struct {
	encoder *json.Encoder
	seq     int
}

func (s *sender) send(f frame) error {
	s.seq++
	f.Seq = s.seq
	if err := s.encoder.Encode(f); err != nil {
		return fmt.Errorf("agent: writing a frame: %w", err)
	}
	return nil
}

// Remote is a generator whose users are played by an agent. It is used for one
// target at a time: Await, Run, Close.
type Remote struct {
	// Attach starts an agent where the target's load comes from, or for none on
	// its own, with loopback alone, and returns its stdin and stdout. Closing
	// ends the agent.
	Attach func(ctx context.Context, t measure.Target) (io.ReadWriteCloser, error)
	// Plan returns what to do with a fresh start of the service.
	Plan func(t measure.Target) Plan

	agent *session
}

// silence is how long an agent may say nothing. It reports every second; one
// that doesn't for this long is gone, or so starved that it measures nothing.
const silence = 30 * time.Second

// Await starts the agent and waits until it sees that the target is ready.
func (r *Remote) Await(ctx context.Context, t measure.Target) error {
	conn, err := r.Attach(ctx, t)
	if err != nil {
		return fmt.Errorf("starting the load agent: %w", err)
	}
	r.agent = &session{conn: conn, decoder: json.NewDecoder(conn)}
	plan := r.Plan(t)
	plan.Inside = t.Container != "" && t.Network == ""
	f, err := r.agent.ask(ctx, order{Plan: &plan}, plan.Ready.Within+silence)
	switch {
	case err != nil:
		return err
	case f.NotReady != "":
		return notReady(f.NotReady)
	case !f.Ready:
		return errTurn
	}
	return nil
}

// Ceiling returns how many of the plan's requests a second an agent can make at
// most, where agents are; see [Ceiling].
func (r *Remote) Ceiling(ctx context.Context) (rate float64, err error) {
	conn, err := r.Attach(ctx, measure.Target{})
	if err != nil {
		return 0, fmt.Errorf("starting the load agent: %w", err)
	}
	agent := &session{conn: conn, decoder: json.NewDecoder(conn)}
	defer func() { err = errors.Join(err, agent.close()) }()
	plan := r.Plan(measure.Target{Address: loopback})
	f, err := agent.ask(ctx, order{Ceiling: &plan}, silence)
	return f.Ceiling, err
}

// notReady is the agent's word that the service isn't ready.
type notReady string //nolint:errname // it is the state, and an error only by the way

func (n notReady) Error() string { return string(n) }

// Is makes it a [measure.ErrNotReady].
func (n notReady) Is(target error) bool { return target == measure.ErrNotReady }

// Run lets the agent play its users.
func (r *Remote) Run(ctx context.Context, _ measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		if err := r.agent.order(ctx, order{Go: true}); err != nil {
			yield(measure.Tick{}, err)
			return
		}
		for {
			tick, done, err := r.agent.report(ctx, silence)
			if done || !yield(tick, err) || err != nil {
				return
			}
		}
	}
}

// Close ends the agent. It is safe to call at any time, and again.
func (r *Remote) Close() error {
	if r.agent == nil {
		return nil
	}
	err := r.agent.close()
	r.agent = nil
	return err
}

// session is a conversation with one agent.
type session struct {
	conn    io.ReadWriteCloser
	decoder *json.Decoder
	seq     int
	once    sync.Once
	closed  error
}

func (s *session) close() error {
	s.once.Do(func() { s.closed = s.conn.Close() })
	if s.closed != nil {
		return fmt.Errorf("ending the load agent: %w", s.closed)
	}
	return nil
}

// ask gives an order and returns the answer to it.
func (s *session) ask(ctx context.Context, o order, patience time.Duration) (frame, error) {
	if err := s.order(ctx, o); err != nil {
		return frame{}, err
	}
	return s.next(ctx, patience)
}

// order gives an order.
func (s *session) order(ctx context.Context, o order) error {
	if err := s.within(ctx, silence, func() error { return json.NewEncoder(s.conn).Encode(o) }); err != nil {
		return fmt.Errorf("telling the load agent: %w", err)
	}
	return nil
}

// within does what may block on the agent. The end of ctx, or of patience, ends
// the session.
func (s *session) within(ctx context.Context, patience time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSilent)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.close() }) // unblocks do, which reports
	defer stop()
	err := do()
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

var (
	errSilent = errors.New("the load agent fell silent")
	errTurn   = errors.New("the load agent spoke out of turn")
)

// unable is what an agent couldn't do.
type unable string

func (u unable) Error() string { return "the load agent: " + string(u) }

// report reads what the agent tells of a second, or that it has told all.
func (s *session) report(ctx context.Context, patience time.Duration) (tick measure.Tick, done bool, err error) {
	f, err := s.next(ctx, patience)
	switch {
	case err != nil || f.Done:
		return measure.Tick{}, err == nil, err
	case f.Tick == nil:
		return measure.Tick{}, false, errTurn
	}
	return *f.Tick, false, nil
}

// next reads a frame.
func (s *session) next(ctx context.Context, patience time.Duration) (frame, error) {
	var f frame
	if err := s.within(ctx, patience, func() error { return s.decoder.Decode(&f) }); err != nil {
		return frame{}, fmt.Errorf("reading from the load agent: %w", err)
	}
	if s.seq++; f.Seq != s.seq {
		return frame{}, fmt.Errorf("the load agent's frame %d came where %d was due: part of the measurement is lost", f.Seq, s.seq)
	}
	if f.Failed != "" {
		return frame{}, unable(f.Failed)
	}
	return f, nil
}
