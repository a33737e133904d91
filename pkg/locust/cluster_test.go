package locust

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
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
	hang    chan struct{} // closed: it says nothing more, but stays connected

	users  int
	counts numbers
	heard  map[string]int // how often it was told what
	host   string
}

func (f *fake) say(kind string, data any) {
	text := encode(kind, data, f.id)
	frame := append(binary.BigEndian.AppendUint64([]byte{2}, uint64(len(text))), text...)
	_, _ = f.conn.Write(frame)
}

// told are the messages that it gets.
func (f *fake) told() <-chan message {
	told := make(chan message)
	go func() {
		defer close(told)
		r := bufio.NewReader(f.conn)
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
	f.say(clientReady, f.version)
	f.counts, f.heard = numbers{}, map[string]int{}
	second, report := time.NewTicker(time.Second), time.NewTicker(3*time.Second)
	for {
		select {
		case m, ok := <-told:
			if !ok {
				return
			}
			f.obey(m)
		case now := <-second.C:
			if f.users > 0 {
				f.counts[float64(now.Unix())] += uint64(f.users)
			}
			f.say(heartbeatKind, map[string]any{"state": "running", "current_cpu_usage": f.cpu, "current_memory_usage": 1 << 20})
		case <-report.C:
			f.report()
		case <-f.hang:
			for range told { // until it is given up
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

// crew is a master in this process, and its fake workers.
type crew struct {
	io.Reader
	io.WriteCloser
	ended chan error
}

func (c *crew) Said(context.Context) string { return "" }

func (c *crew) Close() error { return errors.Join(c.WriteCloser.Close(), <-c.ended) }

// start starts a master with workers.
func start(ctx context.Context, workers ...*fake) *crew {
	d := make(door, len(workers))
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	c := &crew{answers, orders, make(chan error, 1)}
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
		Ready:   func(context.Context, measure.Target) error { return nil },
		Plan: func(t measure.Target) Plan {
			return Plan{Host: "http://" + t.Address, Ramp: ramp, Classes: []Class{{"U", 1}}, Wait: time.Second}
		},
	}
	t.Cleanup(func() {
		if err := c.Dismiss(); err != nil {
			t.Error(err)
		}
	})
	c.Say = func(string) {}
	return c
}

// climb is ten seconds to 20 users and five there.
var climb = experiment.Ramp{{Users: 20, Over: experiment.Duration(10 * time.Second), Hold: experiment.Duration(5 * time.Second)}}

// load runs a load and calls each with what is known after every tick.
func load(t *testing.T, c *Cluster, each func(*measure.Series) bool) *measure.Series {
	t.Helper()
	target := measure.Target{Address: "10.0.0.2:8000"}
	if err := c.Await(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	var s measure.Series
	for tick, err := range c.Run(t.Context(), target) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Add(tick); !each(&s) {
			break
		}
	}
	return &s
}

func on(*measure.Series) bool { return true }

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
				lost := false
				s := load(t, c, func(s *measure.Series) bool {
					if s.At > 8*time.Second && !lost {
						lost = true
						lose(a)
					}
					return true
				})
				if len(s.Windows) != 15 {
					t.Fatalf("%d windows", len(s.Windows))
				}
				if w := s.Windows[3]; w.Users < 7 || w.Sent != 6 {
					t.Errorf("before it was lost: %+v", w)
				}
				for i := 10; i < 15; i++ {
					if w := s.Windows[i]; w.Users != 10 || w.Sent != 10 {
						t.Errorf("second %d, after it was lost: %d users, %d requests", i, w.Users, w.Sent)
					}
				}
				if !c.broken {
					t.Error("the crew would be used again")
				}
			})
		})
	}
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
