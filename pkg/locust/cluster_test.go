package locust

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// fake is a worker of Locust's whose users are each answered once a second, in
// 20 ms. It can be cut off, or hang.
type fake struct {
	conn    net.Conn
	id      string
	cpu     float64
	version any
	again   bool          // it has connected again, as ZeroMQ does, and doesn't say so
	hang    chan struct{} // closed: it says nothing more, but stays connected
	deaf    chan struct{} // closed: it takes nothing more

	users  int
	counts numbers
	heard  map[string]int // how often it was told what
	host   string
}

func (f *fake) say(kind string, data any) error {
	text := encode(kind, data, f.id)
	frame := append(binary.BigEndian.AppendUint64([]byte{2}, uint64(len(text))), text...)
	_, err := f.conn.Write(frame)
	return err
}

// told are the messages that it gets.
func (f *fake) told() <-chan message {
	told := make(chan message)
	go func() {
		defer close(told)
		r := bufio.NewReaderSize(f.conn, 16) // so that it takes no more than it is told
		_, _ = r.Discard(64)
		for {
			flags, err := r.ReadByte()
			if err != nil {
				return
			}
			size := make([]byte, []int{1, 8}[flags>>1&1])
			_, _ = io.ReadFull(r, size)
			body := make([]byte, binary.BigEndian.Uint64(append(make([]byte, 8-len(size)), size...)))
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			if m, err := decode(body); err == nil && flags&4 == 0 {
				told <- m
			}
			select {
			case <-f.deaf:
				return
			default:
			}
		}
	}()
	return told
}

func (f *fake) live() {
	told := f.told()
	hello := append(append([]byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL"), make([]byte, 16+32)...), 4, byte(6+22+14-1+len(f.id)))
	hello = append(hello, "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00"...)
	_, _ = f.conn.Write(append(append(hello, byte(len(f.id))), f.id...))
	time.Sleep(300 * time.Millisecond) // so that nothing of its happens just when something of the master's does
	if !f.again {
		_ = f.say(clientReady, f.version)
	}
	f.counts, f.heard = numbers{}, map[string]int{}
	second, report := time.NewTicker(time.Second), time.NewTicker(3*time.Second)
	for {
		select {
		case m, ok := <-told:
			if ok {
				f.obey(m)
			} else if told = nil; f.deaf == nil {
				return
			}
		case now := <-second.C:
			if f.users > 0 {
				f.counts[float64(now.Unix())] += uint64(f.users)
			}
			if f.say(heartbeatKind, map[string]any{"state": "running", "current_cpu_usage": f.cpu, "current_memory_usage": 1 << 20}) != nil {
				return
			}
		case <-report.C:
			f.report()
		case <-f.hang:
			for m := range told { // until it is given up
				f.heard[m.kind]++
			}
			return
		}
	}
}

func (f *fake) obey(m message) {
	f.heard[m.kind]++
	switch m.kind {
	case spawnKind:
		var s spawn
		if m.read(&s) != nil {
			return
		}
		f.users, f.host = 0, s.Host
		for _, n := range s.Users {
			f.users += n
		}
		f.say(spawningComplete, map[string]any{"user_count": f.users, "user_classes_count": s.Users})
	case stopKind:
		f.users = 0
		f.say(clientStopped, nil)
		f.say(clientReady, f.version)
	}
}

func (f *fake) report() {
	var total uint64
	for _, n := range f.counts {
		total += n
	}
	f.say(statsKind, map[string]any{
		"user_count": f.users, "errors": map[string]any{},
		"stats_total": map[string]any{"num_requests": total, "response_times": numbers{20: total}, "num_reqs_per_sec": maps.Clone(f.counts), "num_fail_per_sec": numbers{}},
	})
	clear(f.counts)
}

// door is a listener at which workers knock.
type door chan net.Conn

func (d door) Accept() (net.Conn, error) {
	if conn, ok := <-d; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (d door) Close() error   { close(d); return nil }
func (d door) Addr() net.Addr { return nil }

// crew is a master in this process, and its fake workers. The master can be cut
// off, or fall silent.
type crew struct {
	io.ReadCloser
	orders io.Closer
	io.Writer
	ended      chan error
	dead, dumb chan struct{}
	closing    sync.Once
	closed     chan struct{}
	fakes      []*fake
	door       door
	ends       error // of a worker that doesn't run, nil: all do
}

func (c *crew) Said(context.Context) string {
	if c.ends == nil {
		return ""
	}
	return "ImportError: wasp\n"
}

// Watch returns c.ends, if it is to end.
func (c *crew) Watch(ctx context.Context) error {
	if c.ends == nil {
		<-ctx.Done()
	}
	return c.ends
}

func (c *crew) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	select {
	case <-c.dead:
		return 0, io.EOF
	case <-c.dumb:
		<-c.closed
		return 0, io.ErrClosedPipe
	default:
		return n, err
	}
}

func (c *crew) Close() (err error) {
	c.closing.Do(func() {
		close(c.closed)
		_, _ = c.orders.Close(), c.ReadCloser.Close()
		if err = <-c.ended; errors.Is(err, errGone) { // which we are
			err = nil
		}
	})
	return err
}

// start starts a master with workers.
func start(ctx context.Context, workers ...*fake) *crew {
	d := make(door, len(workers))
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	c := &crew{ReadCloser: answers, Writer: orders, orders: orders, ended: make(chan error, 1), dead: make(chan struct{}), dumb: make(chan struct{}), closed: make(chan struct{}), door: d}
	go func() {
		err := Serve(ctx, in, out, d, func() *measure.Effort { return &measure.Effort{HostIdle: 0.5} })
		c.ended <- errors.Join(err, out.Close())
	}()
	for i, f := range workers {
		theirs, ours := net.Pipe()
		f.conn, f.id = theirs, string(rune('a'+i))
		if f.version == nil {
			f.version = "2.12.1"
		}
		d <- ours
		go f.live()
	}
	return c
}

func clusterOf(t *testing.T, ramp experiment.Ramp, workers ...*fake) *Cluster {
	c := &Cluster{
		Workers: len(workers),
		Start:   func(ctx context.Context, _ measure.Target) (Crew, error) { return start(ctx, workers...), nil },
		Ready:   func(context.Context, measure.Target, time.Duration) error { return nil },
		Plan: func(t measure.Target) Plan {
			return Plan{Host: "http://" + t.Address, Ramp: ramp, Classes: []Class{{"U", 1}}, Wait: time.Second}
		},
	}
	t.Cleanup(func() {
		if err := c.Dismiss(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// climb is ten seconds to 20 users and five there.
var climb = experiment.Ramp{{Users: 20, Over: experiment.Duration(10 * time.Second), Hold: experiment.Duration(5 * time.Second)}}

// attempt runs a load and calls each with what is known after every tick.
func attempt(t *testing.T, c *Cluster, each func(*measure.Series) bool) (*measure.Series, error) {
	t.Helper()
	target := measure.Target{Address: "10.0.0.2:8000"}
	if err := c.Await(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	defer synctest.Wait() // until the workers have heard all
	var s measure.Series
	for tick, err := range c.Run(t.Context(), target) {
		if err != nil {
			return &s, err
		}
		if s.Add(tick); !each(&s) {
			break
		}
	}
	return &s, nil
}

// load runs a load that must go well.
func load(t *testing.T, c *Cluster, each func(*measure.Series) bool) *measure.Series {
	t.Helper()
	s, err := attempt(t, c, each)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func on(*measure.Series) bool { return true }

// after does something once, after so much load.
func after(length time.Duration, do func()) func(*measure.Series) bool {
	done := false
	return func(s *measure.Series) bool {
		if s.At > length && !done {
			done = true
			do()
		}
		return true
	}
}

func TestWorkersPlayTheRampAndTellOfEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{cpu: 40}, &fake{cpu: 70}
		s := load(t, clusterOf(t, climb, a, b), on)
		if len(s.Windows) != 15 {
			t.Fatalf("%d windows", len(s.Windows))
		}
		for i, w := range s.Windows {
			want, asked := min(20, 2*(i+1)), uint64(min(20, 2*i)) // at its end, and at a third of it
			if w.Length != time.Second || w.Users < want-1 || w.Users > want || w.Sent != w.Done || w.Sent != asked || w.Response.Count() != w.Sent {
				t.Errorf("second %d: %d users of %d, %d requests of %d, %d of them timed", i, w.Users, want, w.Sent, asked, w.Response.Count())
			}
			if e := w.Effort; e.Busy != 0.7 || e.CPU < 1.09 || e.Cores != 2 || e.HostIdle != 0.5 || e.Turn > 10*time.Millisecond {
				t.Errorf("second %d: %+v", i, *e)
			}
		}
		if a.host != "http://10.0.0.2:8000" || a.users != 0 || b.users != 0 || a.heard[stopKind] != 1 {
			t.Errorf("in the end: %+v, %+v", a, b)
		}
	})
}

func TestALoadThatIsLeftStopsAndTheWorkersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{}, &fake{}
		c := clusterOf(t, climb, a, b)
		s := load(t, c, func(s *measure.Series) bool { return len(s.Windows) < 4 })
		if len(s.Windows) != 4 || a.users+b.users != 0 {
			t.Errorf("%d windows, and still %d users", len(s.Windows), a.users+b.users)
		}
		if s = load(t, c, on); len(s.Windows) != 15 || s.Windows[14].Sent != 20 {
			t.Errorf("the next load: %d windows", len(s.Windows))
		}
		if a.heard[stopKind] != 2 {
			t.Errorf("stopped %d times: it was started anew", a.heard[stopKind])
		}
	})
}

func TestUsersOfALostWorkerAreMissing(t *testing.T) {
	for name, lose := range map[string]func(*fake){
		"cut off": func(f *fake) { _ = f.conn.Close() },
		"hangs":   func(f *fake) { close(f.hang) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &fake{hang: make(chan struct{})}, &fake{hang: make(chan struct{})}
				c := clusterOf(t, climb, a, b)
				s := load(t, c, after(8*time.Second, func() { lose(a) }))
				if len(s.Windows) != 15 {
					t.Fatalf("%d windows", len(s.Windows))
				}
				if w := s.Windows[3]; w.Users < 7 || w.Sent != 6 || w.Errors[measure.Own] != 0 {
					t.Errorf("before it was lost: %+v", w)
				}
				for i := 10; i < 15; i++ {
					if w := s.Windows[i]; w.Users != 10 || w.Done != 10 {
						t.Errorf("second %d, after it was lost: %d users, %d requests", i, w.Users, w.Done)
					}
				}
				if !c.broken {
					t.Error("the crew would be used again")
				}
				if name == "hangs" && a.heard[quitKind] != 1 {
					t.Errorf("it was told %v: its users may go on", a.heard)
				}
			})
		})
	}
}

func TestALostWorkerThatConnectsAgainIsToldToQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{}, &fake{}
		c := clusterOf(t, climb, a, b)
		theirs, ours := net.Pipe()
		again := &fake{conn: theirs, id: "a", again: true}
		s := load(t, c, after(5*time.Second, func() {
			_ = a.conn.Close()
			c.crew.(*crew).door <- ours
			go again.live()
		}))
		if again.heard[quitKind] != 1 || again.heard[spawnKind] != 0 || b.heard[quitKind] != 0 {
			t.Errorf("it was told %v, and the other %v", again.heard, b.heard)
		}
		if last := s.Windows[14]; last.Done != 10 {
			t.Errorf("in the end %d are answered", last.Done)
		}
	})
}

// However few users a lost worker has, they are somebody's who asks for less than
// the objective says.
func TestASecondInWhichAWorkerIsLostIsTheGeneratorsFault(t *testing.T) {
	for users := range 4 {
		synctest.Test(t, func(t *testing.T) {
			workers := []*fake{{}, {}, {}, {}}
			ramp := experiment.Ramp{{Users: users, Hold: experiment.Duration(12 * time.Second)}}
			s := load(t, clusterOf(t, ramp, workers...), after(5*time.Second, func() { _ = workers[0].conn.Close() }))
			for i, w := range s.Windows {
				if fault := w.Errors[measure.Own] > 0; fault != (i >= 2) { // it had told of two
					t.Errorf("%d users, second %d: %v", users, i, w.Errors)
				}
				if w.Pending() != 0 {
					t.Errorf("%d users, second %d: %d of %d are pending", users, i, w.Pending(), w.Sent)
				}
			}
		})
	}
}

// crews counts the crews of a cluster whose workers are new with each.
type crews struct{ all []*crew }

func (cs *crews) cluster(t *testing.T, workers int) *Cluster {
	c := clusterOf(t, climb, make([]*fake, workers)...)
	c.Start = func(ctx context.Context, _ measure.Target) (Crew, error) {
		fakes := make([]*fake, workers)
		for i := range fakes {
			fakes[i] = &fake{}
		}
		cs.all = append(cs.all, start(ctx, fakes...))
		cs.all[len(cs.all)-1].fakes = fakes
		return cs.all[len(cs.all)-1], nil
	}
	return c
}

func TestALoadThatIsLostMayBeMadeAgain(t *testing.T) {
	for name, lose := range map[string]func(*crew){
		"its master's connection ends": func(c *crew) { close(c.dead) },
		"its master falls silent":      func(c *crew) { close(c.dumb) },
		"its workers are all lost": func(c *crew) {
			for _, f := range c.fakes {
				_ = f.conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var started crews
				c := started.cluster(t, 2)
				s, err := attempt(t, c, after(5*time.Second, func() { lose(started.all[0]) }))
				if !errors.Is(err, measure.ErrLost) || len(s.Windows) == 15 {
					t.Errorf("%d windows, %v", len(s.Windows), err)
				}
				if s := load(t, c, on); len(s.Windows) != 15 || s.Windows[14].Done != 20 {
					t.Errorf("again: %d windows", len(s.Windows))
				}
				if len(started.all) != 2 || !isClosed(started.all[0].closed) || isClosed(started.all[1].closed) {
					t.Errorf("%d crews, and not the first alone is closed", len(started.all))
				}
			})
		})
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhatAMasterCantDoIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cluster{crew: &says{strings.NewReader(`{"done": true, "failed": "out of paper"}`)}, Plan: func(measure.Target) Plan { return Plan{} }}
		c.answers = json.NewDecoder(c.crew)
		for _, err := range c.Run(t.Context(), measure.Target{}) {
			if err == nil || errors.Is(err, measure.ErrLost) || !strings.Contains(err.Error(), "out of paper") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestWhatALocustfileRaisesIsSaidInALine(t *testing.T) {
	c := &Cluster{}
	c.end(frame{Wrong: []string{"no such key:\n" + strings.Repeat("<p>\n", 1000)}})
	said := c.Warnings()
	if len(said) != 1 || !strings.Contains(said[0], "no such key: <p>") || strings.Contains(said[0], "\n") || len(said[0]) > 600 {
		t.Errorf("said %q", said)
	}
}

// says is a crew whose master says what it says.
type says struct{ io.Reader }

func (*says) Write(b []byte) (int, error) { return len(b), nil }
func (*says) Said(context.Context) string { return "" }

func (*says) Watch(ctx context.Context) error { <-ctx.Done(); return nil }

func (*says) Close() error { return nil }

// Whoever waits for a worker that has ended waits no longer for the others.
func TestAWorkerThatEndsBeforeItIsReadyIsSaidAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clusterOf(t, climb)
		c.Workers = 1
		c.Start = func(ctx context.Context, _ measure.Target) (Crew, error) {
			crew := start(ctx)
			crew.ends = errors.New("worker 1 ended with exit code 1")
			return crew, nil
		}
		began := time.Now()
		err := c.Await(t.Context(), measure.Target{})
		if want := "starting Locust: worker 1 ended with exit code 1; the workers said: ImportError: wasp"; err == nil || !strings.HasSuffix(err.Error(), want) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// A worker that takes nothing may play on as it was told last, and nobody can
// stop it. The others are stopped at once.
func TestAWorkerThatTakesNothingEndsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &fake{deaf: make(chan struct{})}, &fake{}
		c := clusterOf(t, climb, a, b)
		s, err := attempt(t, c, after(5*time.Second, func() { close(a.deaf) }))
		if !errors.Is(err, measure.ErrLost) || s.At < 5*time.Second || s.At > 8*time.Second {
			t.Errorf("after %v: %v", s.At, err)
		}
		if b.users != 0 || b.heard[stopKind] != 1 {
			t.Errorf("the other still has %d users", b.users)
		}
		time.Sleep(2 * time.Second) // until it sees that it was hung up on
	})
}

func TestAWorkerThatSaysWhatCantBeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clusterOf(t, climb, &fake{cpu: math.NaN()}, &fake{})
		if s := load(t, c, on); len(s.Windows) != 15 || s.Windows[14].Done != 10 || !c.broken {
			t.Errorf("%d windows", len(s.Windows))
		}
	})
}

func TestWorkersThatDifferMeasureNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, workers := range [][]*fake{{{version: "2.12.1"}, {version: "2.30.0"}}, {{version: "1.6.0"}}} {
			c := clusterOf(t, climb, workers...)
			if err := c.Await(t.Context(), measure.Target{}); err == nil {
				t.Errorf("%v and so on are welcome", workers[0].version)
			}
		}
	})
}

func TestWorkersThatDontComeAreWaitedForSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clusterOf(t, climb, &fake{})
		c.Workers = 2
		began := time.Now()
		if err := c.Await(t.Context(), measure.Target{}); err == nil || time.Since(began) != musterWithin {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
