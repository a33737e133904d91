package locust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"sweep/pkg/locust/zmtp"
	"sweep/pkg/measure"
)

const (
	// Users come and go so often. It is no part of a second, so that those who wait
	// for a second don't all ask at the same few instants of it.
	step = 130 * time.Millisecond

	beat    = time.Second     // a worker's heartbeats
	silence = 4 * time.Second // a worker that says nothing for so long is lost, as to Locust's own master

	// A worker's report is taken to tell of what ended so long before it came.
	underway = 250 * time.Millisecond

	stopWithin  = 15 * time.Second
	greetWithin = 5 * time.Second
	takeWithin  = 2 * time.Second // a worker that takes nothing for so long is lost, for all others wait meanwhile

	// So much may be heard and not yet taken in: more than comes while the master
	// waits for somebody, so that each message is known by when it came.
	backlog = 1 << 12
)

// master drives workers. All of it but what goes on at connections happens in
// one goroutine, run.
type master struct {
	heard   chan heard
	effort  func() *measure.Effort // what the master itself and its host did since the last call, nil where that isn't known
	workers []*worker              // by when they came; those that were lost stay
	looked  time.Time              // when it last looked for silent ones
	stamp   float64                // of the last spawn message
	wrong   []string               // what the locustfile's own code did wrong, in its words
	raised  uint64                 // how often it did, since the last second ended
}

// worker is one that has connected.
type worker struct {
	id      string
	conn    *zmtp.Conn
	hangUp  func()
	version string

	ready  bool // to be given users, and without any
	lost   bool
	deaf   bool      // it takes nothing, and so may go on as it was told last
	users  int       // that it says it has
	told   time.Time // up to when what happened there is known
	beat   time.Time // when its last heartbeat came
	late   time.Duration
	cpu    float64 // cores
	memory int64
}

// heard is what came from a connection: a message, or that it ended.
type heard struct {
	from *zmtp.Conn
	at   time.Time
	message
	hangUp func()
	err    error
}

// hurried is a connection whose peer has so long to take what is written.
type hurried struct{ net.Conn }

func (c hurried) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(takeWithin)); err != nil {
		return 0, err //nolint:wrapcheck // it is no other than that of a Write
	}
	return c.Conn.Write(b) //nolint:wrapcheck // likewise
}

// listen lets workers connect until l is closed.
func (m *master) listen(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go m.receive(ctx, conn)
	}
}

// receive reads what a worker says, until either hangs up.
func (m *master) receive(ctx context.Context, conn net.Conn) {
	hangUp := func() { _ = conn.Close() } // what is lost with it is lost
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)()
	_ = conn.SetDeadline(time.Now().Add(greetWithin))
	from, err := zmtp.Accept(hurried{conn})
	if err != nil {
		return // whatever that was, it is no worker
	}
	_ = conn.SetDeadline(time.Time{})
	for {
		h := heard{from: from, hangUp: hangUp}
		var text []byte
		if text, h.err = from.Read(); h.err == nil {
			h.message, h.err = decode(text)
		}
		h.at = time.Now()
		select {
		case m.heard <- h:
		case <-ctx.Done():
			return
		}
		if h.err != nil {
			return
		}
	}
}

// hear takes in what a worker said. It returns the statistics where it told of
// some. What a worker says that can't be read is the end of it.
func (m *master) hear(h heard) *statistics {
	if h.err == nil && h.kind == clientReady {
		m.greet(h)
		return nil
	}
	i := slices.IndexFunc(m.workers, func(w *worker) bool { return w.conn == h.from })
	if i < 0 || m.workers[i].lost {
		m.refuse(h)
		return nil
	}
	w, err := m.workers[i], h.err
	switch {
	case err != nil:
	case h.kind == quitKind:
		err = io.EOF
	case h.kind == statsKind:
		var s statistics
		if s, err = h.report(); err == nil {
			w.users, w.told = s.Users, h.at.Add(-underway)
			return &s
		}
	default:
		err = m.note(w, h)
	}
	if err != nil {
		m.lose(w)
	}
	return nil
}

// refuse makes a worker quit that was lost and has connected again, as ZeroMQ
// does by itself: its users are still there, but whatever it tells has a gap.
func (m *master) refuse(h heard) {
	again := func(w *worker) bool { return w.lost && w.id == h.from.Identity && w.conn != h.from }
	if h.err == nil && slices.ContainsFunc(m.workers, again) {
		_ = h.from.Write(encode(quitKind, nil, h.from.Identity)) // it has one more connection than it should
		h.hangUp()
	}
}

// note takes in what a worker says of itself.
func (m *master) note(w *worker, said heard) error {
	switch said.kind {
	case heartbeatKind:
		var h heartbeat
		if err := said.read(&h); err != nil {
			return err
		}
		if !(h.CPU >= 0 && h.CPU <= mostCounted) { // nor is it no number at all
			return errCounts
		}
		w.late = max(w.late, said.at.Sub(w.beat)-beat)
		w.beat, w.cpu, w.memory = said.at, h.CPU/100, h.Memory
	case spawningComplete:
		var n headcount
		if err := said.read(&n); err != nil {
			return err
		}
		w.users = n.Users
	case exceptionKind:
		var e struct {
			Text string `msgpack:"msg"`
		}
		if err := said.read(&e); err != nil {
			return err
		}
		m.raised++
		if !slices.Contains(m.wrong, e.Text) && len(m.wrong) < 5 {
			m.wrong = append(m.wrong, e.Text)
		}
	case clientStopped:
		w.users = 0
	}
	return nil
}

// greet takes in that a worker is ready, at first or again.
func (m *master) greet(h heard) {
	i := slices.IndexFunc(m.workers, func(w *worker) bool { return w.conn == h.from })
	if i < 0 {
		i = len(m.workers)
		m.workers = append(m.workers, &worker{id: h.from.Identity, conn: h.from, hangUp: h.hangUp, beat: h.at})
	}
	w := m.workers[i]
	if w.lost {
		return
	}
	var version any // a text, or -1
	if err := h.read(&version); err != nil {
		m.lose(w)
		return
	}
	w.version, w.ready, w.users, w.told = fmt.Sprint(version), true, 0, h.at
	m.send(w, ackKind, map[string]int{"index": i})
}

// send tells a worker something. One that can't be told is lost.
func (m *master) send(w *worker, kind string, data any) {
	if !w.lost && !w.take(kind, data) {
		m.lose(w)
	}
}

// take reports whether a worker took a message.
func (w *worker) take(kind string, data any) bool {
	err := w.conn.Write(encode(kind, data, w.id))
	w.deaf = errors.Is(err, os.ErrDeadlineExceeded)
	return err == nil
}

// lose gives a worker up. It may only have been silent, and go on playing: it is
// told to quit, so that its users don't load the service unseen.
func (m *master) lose(w *worker) {
	if !w.lost && !w.deaf {
		w.take(quitKind, nil)
	}
	w.lost, w.ready, w.users = true, false, 0
	w.hangUp()
}

// look looks for workers that have fallen silent. Where the master itself has
// stood still, on a host that was frozen, it first hears what came meanwhile.
func (m *master) look(now time.Time) {
	stood := now.Sub(m.looked) > beat
	m.looked = now
	if stood {
		return
	}
	for _, w := range m.workers {
		if !w.lost && now.Sub(w.beat) > silence {
			m.lose(w)
		}
	}
}

// living returns the workers that aren't lost.
func (m *master) living() []*worker {
	return slices.DeleteFunc(slices.Clone(m.workers), func(w *worker) bool { return w.lost })
}

// muster waits until n workers are ready, and returns their versions.
func (m *master) muster(ctx context.Context, n int) ([]string, error) {
	for {
		var versions []string
		for _, w := range m.living() {
			if w.ready {
				versions = append(versions, w.version)
			}
		}
		if len(versions) >= n {
			return versions, differ(versions)
		}
		select {
		case h := <-m.heard:
			m.hear(h)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d workers came: %w", len(versions), n, context.Cause(ctx))
		}
	}
}

// differ returns an error where workers aren't of one version of Locust, or of
// one whose messages aren't known.
func differ(versions []string) error {
	for _, v := range versions {
		if v != versions[0] {
			return fmt.Errorf("the workers run Locust %s and %s: what they measure differs", versions[0], v)
		}
		if major, _, _ := strings.Cut(v, "."); major != "2" && v != "-1" && v != "" { // -1 and nothing: it doesn't say
			return fmt.Errorf("the workers run Locust %s, but sweep drives Locust 2", v)
		}
	}
	return nil
}

// disband takes all users away and waits until the workers are ready again. One
// that isn't in time is lost.
func (m *master) disband(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	for _, w := range m.living() {
		w.ready = false
		m.send(w, stopKind, nil)
	}
	waits := func(w *worker) bool { return !w.lost && !w.ready }
	for slices.ContainsFunc(m.workers, waits) {
		select {
		case h := <-m.heard:
			m.hear(h)
		case <-ctx.Done():
			for _, w := range m.workers {
				if waits(w) {
					m.lose(w)
				}
			}
			return
		}
	}
}

// loss is by what part of a load was lost, or all of it.
type loss string

func (l loss) Error() string { return string(l) }

const (
	errNone = loss("all of Locust's workers are lost")
	errDeaf = loss("a worker of Locust's takes no orders, so that its users may go on unseen")
)
