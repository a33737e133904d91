package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// player is an agent as a formula, in virtual time: it sends one request a
// second for each of its users.
type player struct {
	ahead   time.Duration // of its clock
	way     time.Duration // of everything that is told, there or back
	never   bool          // whether it doesn't see the service
	mute    int           // says nothing more after so many seconds, 0: goes on
	gone    int           // hangs up after so many seconds, 0: stays
	unable  string        // why it can't do it
	effort  measure.Effort
	within  time.Duration // in which the service had to get ready
	started time.Time     // when it began
}

// attach joins the players to a fleet.
func attach(players ...*player) func(context.Context, measure.Target) ([]io.ReadWriteCloser, error) {
	return func(context.Context, measure.Target) (streams []io.ReadWriteCloser, _ error) {
		for _, p := range players {
			ours, its := net.Pipe()
			go p.play(its)
			streams = append(streams, ours)
		}
		return streams, nil
	}
}

// play ends when the fleet closes its end.
func (p *player) play(conn net.Conn) {
	defer conn.Close()
	born := time.Now().Add(-p.ahead)
	out, in := &sender{encoder: json.NewEncoder(conn)}, json.NewDecoder(conn)
	tell := func(f frame) bool { time.Sleep(p.way); return out.send(f) == nil }
	var plan Plan
	for {
		var o order
		if in.Decode(&o) != nil {
			return
		}
		time.Sleep(p.way)
		switch {
		case o.Plan != nil && p.never:
			tell(frame{NotReady: "no route to host"})
		case o.Plan != nil:
			plan = *o.Plan
			p.within = plan.Ready.Within
			tell(frame{Ready: true})
		case o.Ceiling != nil:
			tell(frame{Ceiling: 1000})
		case o.Clock:
			at := time.Since(born)
			tell(frame{Clock: &at})
		case p.unable != "":
			tell(frame{Failed: p.unable})
		default:
			time.Sleep(o.At - time.Since(born))
			p.started = time.Now()
			for second := 1; second != p.gone+1 || p.gone == 0; second++ {
				f := p.second(plan, second)
				if p.mute > 0 && second > p.mute {
					_, _ = io.Copy(io.Discard, conn)
				}
				if !tell(f) || f.Done {
					return
				}
			}
			time.Sleep(time.Second / 2)
			return
		}
	}
}

// second is the second-th report, once it is due.
func (p *player) second(plan Plan, second int) frame {
	at := time.Duration(second) * time.Second
	time.Sleep(time.Until(p.started.Add(at)))
	users, done := plan.Ramp.Users(at)
	if done {
		return frame{Done: true}
	}
	users = plan.Segment.of(users)
	h := measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: uint64(users)})
	return frame{Tick: &measure.Tick{At: at, Windows: []measure.Window{{
		Start: at - time.Second, Length: time.Second, Users: users, Sent: uint64(users), Done: uint64(users), Response: h,
		Effort: &p.effort,
	}}}}
}

// muster plays a load of 30 s by these players, in virtual time.
func muster(t *testing.T, players ...*player) (s measure.Series, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &Fleet{Attach: attach(players...), Plan: func(measure.Target) Plan {
			return Plan{Ramp: experiment.Ramp{stage(1003, 20_000, 11_000)}}
		}}
		defer disband(t, f)
		if err = f.Await(t.Context(), measure.Target{}); err != nil {
			return
		}
		began := time.Now()
		for tick, failed := range f.Run(t.Context(), measure.Target{}) {
			if err = failed; err == nil {
				s.Add(tick)
			}
		}
		took = time.Since(began)
	})
	return s, took, err
}

// A service has so long to get ready, however long its agents take meanwhile; but
// theirs alone makes none of them fail.
func TestAServiceStartsWhileItsAgentsDo(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{0: time.Minute, 40 * time.Second: 20 * time.Second, 2 * time.Minute: leastWait} {
		synctest.Test(t, func(t *testing.T) {
			p := &player{}
			at := attach(p)
			f := &Fleet{
				Attach: func(ctx context.Context, t measure.Target) ([]io.ReadWriteCloser, error) {
					time.Sleep(took)
					return at(ctx, t)
				},
				Plan: func(measure.Target) Plan { return Plan{Ready: Ready{Within: time.Minute}} },
			}
			defer disband(t, f)
			if err := f.Await(t.Context(), measure.Target{}); err != nil || p.within != want {
				t.Errorf("after %v: %v, ready within %v; want %v", took, err, p.within, want)
			}
		})
	}
}

// How busy the service's host is, only the witness can see; it plays nobody.
func TestTheWitnessTellsOfTheServicesHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alone := attach(&player{effort: measure.Effort{CPU: 0.5, HostIdle: 0.3, Steal: 0.1}})
		f := &Fleet{
			Attach: attach(&player{effort: measure.Effort{CPU: 1, HostIdle: 0, Steal: 0.2}}, &player{effort: measure.Effort{CPU: 2, HostIdle: 1}}),
			Witness: func(ctx context.Context, t measure.Target) (io.ReadWriteCloser, error) {
				streams, err := alone(ctx, t)
				return streams[0], err
			},
			Plan: func(measure.Target) Plan { return Plan{Ramp: experiment.Ramp{stage(10, 0, 3000)}} },
		}
		defer disband(t, f)
		s := loaded(t, f, measure.Target{Container: "service"})
		want := measure.Effort{CPU: 3, HostIdle: 0.3, Steal: 0.1, Elsewhere: &measure.Spare{Idle: 0, Steal: 0.2}}
		if w := s.Last(); w.Users != 10 || w.Sent != 10 || !reflect.DeepEqual(*w.Effort, want) {
			t.Errorf("%d users, %d requests, effort %+v", w.Users, w.Sent, w.Effort)
		}
		called := &Fleet{agents: make([]*session, 3), witnessed: true}
		if err := called.say(2, errTurn); err.Error() != "the agent beside the service: the load agent spoke out of turn" {
			t.Errorf("of the witness it is said: %v", err)
		}
	})
}

// disband ends the agents, and waits, in virtual time, until those that slept
// have found it out.
func disband(t *testing.T, f *Fleet) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Minute)
}

func TestAFleetBeginsAsOneAndTellsAsOne(t *testing.T) {
	players := []*player{{ahead: time.Hour}, {way: 10 * time.Millisecond}, {ahead: -time.Hour, way: time.Millisecond}}
	s, took, err := muster(t, players...)
	if err != nil || len(s.Windows) != 30 {
		t.Fatalf("%v after %v: %d windows", err, took, len(s.Windows))
	}
	for i, p := range players {
		if off := p.started.Sub(players[0].started).Abs(); off > 0 {
			t.Errorf("agent %d began %v from the first", i+1, off)
		}
	}
	ramp := experiment.Ramp{stage(1003, 20_000, 11_000)}
	for _, w := range s.Windows {
		if users, _ := ramp.Users(w.End()); w.Users != users || w.Done != uint64(users) || w.Answered != w.Done {
			t.Errorf("at %v: %d users, %d done, %d answered; want %d", w.End(), w.Users, w.Done, w.Answered, users)
		}
	}
}

func TestALostAgentIsNothingThatTheServiceDid(t *testing.T) {
	for _, c := range []struct {
		name    string
		third   player
		within  time.Duration // of the load's beginning
		seconds int           // that were told whole
		lost    bool
		want    string
	}{
		{"hangs up", player{gone: 7}, 8 * time.Second, 7, true, "agent 3 of 3: part of the load was lost: reading from the load agent: EOF"},
		{"falls silent", player{mute: 7}, 18 * time.Second, 7, true, "agent 3 of 3: part of the load was lost: reading from the load agent: the load agent fell silent"},
		{"can't", player{unable: "no files"}, time.Second, 0, false, "agent 3 of 3: the load agent: no files"},
		{
			"a slow network",
			player{way: 30 * time.Millisecond},
			time.Second, 0, false,
			"agent 3 of 3: the load agent: when it begins is known only to within 30ms, too far from the others: the network to it is too slow",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, took, err := muster(t, &player{}, &player{}, &c.third)
			if err == nil || err.Error() != c.want || errors.Is(err, measure.ErrLost) != c.lost {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if took > c.within || len(s.Windows) != c.seconds {
				t.Errorf("%d seconds told within %v, want %d within %v", len(s.Windows), took, c.seconds, c.within)
			}
		})
	}
}

func TestAServiceIsNotReadyOnlyIfNoAgentSeesIt(t *testing.T) {
	if _, _, err := muster(t, &player{never: true}, &player{never: true}); !errors.Is(err, measure.ErrNotReady) {
		t.Errorf("seen by none: %v", err)
	}
	_, _, err := muster(t, &player{}, &player{never: true})
	if want := "agent 2 of 2: part of the load was lost: the load agent: no route to host"; err == nil || err.Error() != want || errors.Is(err, measure.ErrNotReady) {
		t.Errorf("seen by one: %v", err)
	}
}

func TestLeavingAFleetEndsEveryAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a player plays on
		f := &Fleet{Attach: attach(&player{}, &player{}), Plan: func(measure.Target) Plan {
			return Plan{Ramp: experiment.Ramp{stage(10, 0, 3_600_000)}}
		}}
		if rate, err := f.Ceiling(t.Context()); err != nil || rate != 2000 {
			t.Errorf("ceiling %v, %v", rate, err)
		}
		if err := f.Await(t.Context(), measure.Target{}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range f.Run(t.Context(), measure.Target{}) {
			break
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("left after %v", took)
		}
		disband(t, f)
	})
}

func TestAClockIsKnownToWithinHalfTheShortestWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ahead := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "ahead"))
		var seen []sighting
		at, shortest := time.Duration(0), never
		for range rapid.IntRange(1, looks).Draw(t, "looks") {
			there := time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "there"))
			back := time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "back"))
			seen = append(seen, sighting{asked: at, told: at + there + ahead, heard: at + there + back})
			at, shortest = at+there+back, min(shortest, there+back)
		}
		got, within := clockOf(seen)
		if within > shortest/2+1 || (got-ahead).Abs() > within {
			t.Fatalf("%v ahead, known as %v within %v; the shortest way took %v", ahead, got, within, shortest)
		}
	})
}

// However reports interleave, each is told once, in order, as soon as all have
// told it.
func TestReportsAreToldOnceAllHaveToldThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var accounts [][]account
		longest := 0
		for agent := range rapid.IntRange(1, 5).Draw(t, "agents") {
			seconds := rapid.IntRange(0, 6).Draw(t, "seconds")
			longest = max(longest, seconds)
			var told []account
			for n := range seconds {
				told = append(told, account{agent: agent, tick: measure.Tick{At: time.Duration(n), Windows: []measure.Window{{Sent: 1}}}})
			}
			accounts = append(accounts, append(told, account{agent: agent, done: true}))
		}
		m, next := newMerger(len(accounts)), time.Duration(0)
		told := make([]int, len(accounts)) // by each so far
		for !m.over() {
			left := 0
			for _, a := range accounts {
				left += min(1, len(a))
			}
			if left == 0 {
				t.Fatal("all is told, and it isn't over")
			}
			i := rapid.IntRange(0, len(accounts)-1).Filter(func(i int) bool { return len(accounts[i]) > 0 }).Draw(t, "agent")
			m.add(accounts[i][0])
			accounts[i], told[i] = accounts[i][1:], told[i]+1
			for tick, ok := m.next(); ok; tick, ok = m.next() {
				if tick.At != next {
					t.Fatalf("report %d was told as number %d", tick.At, next)
				}
				next++
				for i, n := range told {
					if n < int(next) && len(accounts[i]) > 0 {
						t.Fatalf("report %d was told before agent %d told it", tick.At, i)
					}
				}
			}
		}
		if int(next) != longest {
			t.Fatalf("%d reports were told of %d", next, longest)
		}
	})
}

func TestAFleetLoadsARealServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"prediction": 1}`) }))
	defer server.Close()
	target := measure.Target{Address: strings.TrimPrefix(server.URL, "http://")}
	f := &Fleet{Plan: netPlanOf, Attach: func(ctx context.Context, t measure.Target) (streams []io.ReadWriteCloser, _ error) {
		for range 3 {
			s, _ := attachInProcess(ctx, t)
			streams = append(streams, s)
		}
		return streams, nil
	}}
	s := loaded(t, f, target)
	var all measure.Window
	for i, w := range s.Windows {
		all.Merge(w)
		if want := 20; w.Users < want-1 || w.Users > want {
			t.Errorf("window %d: %d users, want %d", i, w.Users, want)
		}
	}
	if len(s.Windows) != 2 || all.Failed() != 0 || all.Pending() != 0 || all.Done < 20 {
		t.Errorf("%d windows, %d done, errors %v, %d pending", len(s.Windows), all.Done, all.Errors, all.Pending())
	}
}

// loaded lets a fleet play its plan, and ends it.
func loaded(t *testing.T, f *Fleet, target measure.Target) (s measure.Series) {
	t.Helper()
	defer f.Close()
	if err := f.Await(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for tick, err := range f.Run(t.Context(), target) {
		if err != nil {
			t.Fatal(err)
		}
		s.Add(tick)
	}
	return s
}

// BenchmarkMerge reads and merges a second of the reports of 100 agents, as they
// come over the wire: each of 10,000 requests. What it takes is of all cores.
func BenchmarkMerge(b *testing.B) {
	const agents, requests, limit = 100, 10_000, 0.05
	lines := make([]string, agents)
	size := 0
	for i := range lines {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		tick := measure.Tick{At: time.Second}
		r := newRecorder()
		for range requests {
			service := time.Duration(1e6 * math.Exp(random.NormFloat64()/2)) // half of them within a millisecond
			lag := time.Duration(1e5 * random.ExpFloat64())
			r.begin(0, lag)
			r.settle(&stamps{start: lag, send: lag, sent: lag + 1e4, first: lag + service, done: lag + service + 1e4}, "", 200, false)
		}
		for _, c := range r.take() {
			tick.Windows = append(tick.Windows, c.window(r.free))
		}
		tick.Windows = append(tick.Windows, measure.Window{Length: time.Second, Users: requests, Effort: &measure.Effort{CPU: 0.5}})
		line, err := json.Marshal(frame{Seq: 1, Tick: new(measure.Together(tick))})
		if err != nil {
			b.Fatal(err)
		}
		lines[i], size = string(line), size+len(line)
	}
	before := used(b)
	for b.Loop() {
		m := newMerger(agents)
		for i, line := range lines {
			s := session{decoder: json.NewDecoder(strings.NewReader(line)), conn: pipes{close: func() error { return nil }}}
			tick, _, err := s.report(b.Context(), silence)
			if err != nil {
				b.Fatal(err)
			}
			m.add(account{agent: i, tick: tick})
		}
		if tick, ok := m.next(); !ok || tick.Sum().Done != agents*requests {
			b.Fatal(fmt.Errorf("merged to %d of %d requests", tick.Sum().Done, agents*requests))
		}
	}
	perSecond := (used(b) - before).Seconds() / float64(b.N)
	b.ReportMetric(100*perSecond, "%core")
	b.ReportMetric(float64(size)/agents, "B/report")
	if perSecond > limit {
		b.Errorf("merging the reports of %d agents takes %.1f %% of a core, more than %.0f %%", agents, 100*perSecond, 100*limit)
	}
}

// used returns the CPU time that this process has used, garbage collection too.
func used(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
