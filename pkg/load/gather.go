package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// unheard is how much an agent may say that nobody has read yet: some minutes
// of reports.
const unheard = 16 << 20

// Gather waits at a relay's stdin and stdout until so many agents have come to
// it, and returns their streams. Closing the last of them closes the relay. After
// an error, such as the end of ctx, it is the caller's to close.
func Gather(ctx context.Context, relay io.ReadWriteCloser, agents int) ([]io.ReadWriteCloser, error) {
	g := &gathering{relay: relay, out: pieces{out: relay}, left: agents, come: make(chan struct{})}
	go g.hear(agents)
	select {
	case <-g.come:
	case <-ctx.Done():
		return nil, fmt.Errorf("%d of %d agents came: %w", len(g.all()), agents, context.Cause(ctx))
	}
	streams := g.all()
	if len(streams) < agents {
		return nil, fmt.Errorf("%d of %d agents came: %w", len(streams), agents, g.why)
	}
	out := make([]io.ReadWriteCloser, 0, agents)
	for _, s := range streams {
		out = append(out, s)
	}
	return out, nil
}

// gathering is sweep's end of a relay.
type gathering struct {
	relay io.ReadWriteCloser
	out   pieces
	come  chan struct{} // closed once all agents have come, or none will any more
	why   error         // the latter

	mu      sync.Mutex
	streams []*stream // in the order in which they came
	left    int       // of them that aren't closed
}

func (g *gathering) all() []*stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.streams
}

func (g *gathering) add(s *stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.streams = append(g.streams, s)
}

// hear takes what the relay says apart. It ends with the relay.
func (g *gathering) hear(agents int) {
	var buf [mostBytes]byte
	streams := map[uint16]*stream{}
	for {
		p, err := readPiece(g.relay, &buf)
		s := streams[p.stream]
		switch {
		case err != nil:
			err = fmt.Errorf("the relay ended: %w", err)
			for _, s := range streams {
				s.end(err)
			}
			if len(streams) < agents {
				g.why = err
				close(g.come)
			}
			return
		case p.kind == pieceOpen && len(streams) < agents:
			s = newStream(g, p.stream)
			streams[p.stream] = s
			g.add(s)
			if len(streams) == agents {
				close(g.come)
			}
		case p.kind == pieceOpen: // more than were asked for
			_ = g.out.write(piece{kind: pieceEnd, stream: p.stream}) // where that fails, reading will
		case s == nil:
		case p.kind == pieceEnd:
			s.end(io.EOF)
		default:
			s.said(p.text)
		}
	}
}

// leave closes the relay once nobody needs it, or where it doesn't take any more
// what it is told.
func (g *gathering) leave(number uint16) error {
	g.mu.Lock()
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if last {
		return g.relay.Close() //nolint:wrapcheck // it is the relay's
	}
	stuck := time.AfterFunc(writeWithin, func() { _ = g.relay.Close() })
	defer stuck.Stop()
	_ = g.out.write(piece{kind: pieceEnd, stream: number}) // a relay that is gone has let go of it
	return nil
}

// stream is sweep's end of what it says with one agent.
type stream struct {
	io.Writer

	gathering *gathering
	number    uint16
	closing   sync.Once
	closed    error

	mu   sync.Mutex
	more *sync.Cond // there is something in buf, or an end
	buf  bytes.Buffer
	over error
}

func newStream(g *gathering, number uint16) *stream {
	s := &stream{Writer: g.out.on(number), gathering: g, number: number}
	s.more = sync.NewCond(&s.mu)
	return s
}

// said keeps what the agent said until it is read: no agent waits for another's
// reader.
func (s *stream) said(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over != nil:
	case s.buf.Len()+len(text) > unheard:
		s.over = errors.New("it said more than was read")
	default:
		s.buf.Write(text)
	}
	s.more.Broadcast()
}

// end says that nothing more will come, and why.
func (s *stream) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = why
	}
	s.more.Broadcast()
}

// Read reads what the agent says.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.buf.Len() == 0 && s.over == nil {
		s.more.Wait()
	}
	if s.buf.Len() > 0 {
		return s.buf.Read(p) //nolint:wrapcheck // there is something
	}
	return 0, s.over
}

// Close ends the agent.
func (s *stream) Close() error {
	s.closing.Do(func() {
		s.end(io.ErrClosedPipe)
		s.closed = s.gathering.leave(s.number)
	})
	return s.closed
}
