package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
	"sweep/pkg/measure"
)

// pipeServer is an HTTP service without a network, so that it lives in virtual
// time: each connection is a pipe that answer serves.
func pipeServer(answer func(*http.Request) (delay time.Duration, response string)) dialer {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for r := bufio.NewReader(server); ; {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				delay, response := answer(req)
				time.Sleep(delay)
				if _, err := io.WriteString(server, response); err != nil {
					return
				}
			}
		}()
		return client, nil
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

const rightAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"prediction\": 1}"

// testPlan is 100 users within 10 s, held for 5 s, that wait 1 s.
func testPlan() Plan {
	wait := experiment.Duration(time.Second)
	request, err := http1.NewRequest(experiment.Request{Method: http.MethodPost, Path: "/predict", Body: experiment.Literal("{}")}, "service:80")
	if err != nil {
		panic(err)
	}
	return Plan{
		Address: "service:80", Request: request,
		Timeout: 5 * time.Second, Status: []int{200}, Text: "prediction",
		Ramp: experiment.Ramp{{Users: 100, Over: experiment.Duration(10 * time.Second), Hold: experiment.Duration(5 * time.Second)}},
		Wait: experiment.Wait{Constant: &wait},
	}
}

// runVia is Run by net/http over dial, in as many loops: the load's own logic,
// which also lives in virtual time.
func runVia(ctx context.Context, plan Plan, loops int, dial dialer) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		g := &generator{plan: &plan, began: time.Now(), loops: loops, open: viaClients(&plan, dial)}
		g.run(ctx, yield)
	}
}

// play runs a plan to its end, or for as many ticks, in virtual time.
func play(t *testing.T, plan Plan, ticks int, dial dialer) measure.Series {
	t.Helper()
	var s measure.Series
	synctest.Test(t, func(t *testing.T) {
		for tick, err := range runVia(t.Context(), plan, 2, dial) {
			if err != nil {
				t.Fatal(err)
			}
			s.Add(tick)
			if ticks--; ticks == 0 {
				break
			}
		}
		time.Sleep(time.Minute) // virtual: the servers wake up and find their pipes closed
	})
	return s
}

func TestUsersArriveAsPlannedAndEachRequestIsStamped(t *testing.T) {
	plan := testPlan()
	s := play(t, plan, -1, pipeServer(func(*http.Request) (time.Duration, string) { return 100 * time.Millisecond, rightAnswer }))
	if len(s.Windows) != 15 {
		t.Fatalf("%d windows, want 15", len(s.Windows))
	}
	var sent uint64
	for i, w := range s.Windows {
		// A user who arrives at the very end of a window may count in it or not.
		if want, _ := plan.Ramp.Users(w.End()); w.Users < want || w.Users > want+1 {
			t.Errorf("window %d: %d users, want %d", i, w.Users, want)
		}
		if w.Pending() != 0 || w.Done != w.Sent {
			t.Errorf("window %d: %d sent, %d done, %d pending", i, w.Sent, w.Done, w.Pending())
		}
		if w.Lag.Max() > 0 {
			t.Errorf("window %d: lag %v in virtual time", i, w.Lag.Max())
		}
		if q := w.Response.Quantile(0.5); q < 100*time.Millisecond || q > 101*time.Millisecond {
			t.Errorf("window %d: response %v, want 100ms", i, q)
		}
		sent += w.Sent
	}
	// A user that arrives at a sends at a, a+1.1, a+2.2 ... before 15.
	want := uint64(0)
	for c := range plan.Ramp.Changes {
		for at := c.At; at < 15*time.Second; at += 1100 * time.Millisecond {
			want++
		}
	}
	if sent != want {
		t.Errorf("%d requests, want %d", sent, want)
	}
}

func TestAnAnswerCountsInTheSecondInWhichItsRequestWasDue(t *testing.T) {
	s := play(t, testPlan(), -1, pipeServer(func(*http.Request) (time.Duration, string) { return 3 * time.Second, rightAnswer }))
	first := s.Windows[0]
	if first.Sent != 10 || first.Done != 10 || first.Response.Max() < 3*time.Second {
		t.Errorf("first second: %d sent, %d done, slowest %v; want 10, 10, 3s", first.Sent, first.Done, first.Response.Max())
	}
	if w := s.Windows[1]; w.InFlight < 20 || w.InFlight > 21 || w.Oldest.Round(time.Millisecond) != 2*time.Second {
		t.Errorf("after two seconds %d are out, the oldest for %v; want 20 and 2s", w.InFlight, w.Oldest)
	}
	if last := s.Windows[14]; last.Pending() != 0 {
		t.Errorf("the ramp's end left %d requests unsettled; it waits for them", last.Pending())
	}
}

func TestFailuresHaveAClassAndStayOutOfTheHistogram(t *testing.T) {
	for _, c := range []struct {
		name     string
		delay    time.Duration
		response string
		want     measure.Class
	}{
		{"right", 0, rightAnswer, ""},
		{"interim answers first", 0, "HTTP/1.1 103 Early Hints\r\n\r\n" + rightAnswer, ""},
		{"chunked", 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nprediction\r\n0\r\n\r\n", ""},
		{"close after it", 0, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nprediction", ""},
		{"other status", 0, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", measure.BadStatus},
		{"other content", 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", measure.BadContent},
		{"not HTTP", 0, "220 smtp.example ready\r\n\r\n", measure.Protocol},
		{"too late", 6 * time.Second, rightAnswer, measure.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := play(t, testPlan(), -1, pipeServer(func(*http.Request) (time.Duration, string) { return c.delay, c.response }))
			w := s.Windows[0]
			if c.want == "" && (w.Failed() != 0 || w.Done != w.Sent) || c.want != "" && (w.Errors[c.want] != w.Sent || w.Response.Count() != 0) {
				t.Errorf("%d sent, %d done, errors %v, %d in the histogram; want class %q", w.Sent, w.Done, w.Errors, w.Response.Count(), c.want)
			}
			if n := w.Statuses[503]; n != w.Errors[measure.BadStatus] {
				t.Errorf("%d of %d wrong statuses are told", n, w.Errors[measure.BadStatus])
			}
		})
	}
}

func TestARefusedConnectionIsTheServicesFaultAndAnExhaustedGeneratorIsNot(t *testing.T) {
	for want, cause := range map[measure.Class]error{measure.Refused: errRefused(t), measure.Own: errExhausted()} {
		s := play(t, testPlan(), 2, func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: cause}
		})
		if w := s.Windows[0]; w.Errors[want] != w.Sent || w.Sent == 0 {
			t.Errorf("%v: %d sent, errors %v; want class %s", cause, w.Sent, w.Errors, want)
		}
	}
}

func TestAnIdleConnectionThatTheServiceClosedIsNoFailure(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() { // answers one request and closes without a word
			defer server.Close()
			req, err := http.ReadRequest(bufio.NewReader(server))
			if err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(server, rightAnswer)
			}
		}()
		return client, nil
	}
	s := play(t, testPlan(), -1, dial)
	var all measure.Window
	for _, w := range s.Windows {
		all.Merge(w)
	}
	if all.Failed() != 0 || all.Stale == 0 {
		t.Errorf("%d failed, %d sent again; want 0 and some", all.Failed(), all.Stale)
	}
}

func TestLeavingTheLoopStopsEveryUserAtOnce(t *testing.T) {
	hour := pipeServer(func(*http.Request) (time.Duration, string) { return time.Hour, rightAnswer })
	synctest.Test(t, func(t *testing.T) {
		began, plan := time.Now(), testPlan()
		plan.Timeout = time.Hour
		for tick := range runVia(t.Context(), plan, 1, hour) {
			if tick.At >= 3*time.Second {
				break
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != 3*time.Second {
			t.Errorf("stopped after %v, want 3s", took)
		}
		time.Sleep(2 * time.Hour) // virtual: the servers wake up and find their pipes closed
	})
}

func TestUsersLeaveWhereTheRampFalls(t *testing.T) {
	plan := testPlan()
	over := experiment.Duration(5 * time.Second)
	plan.Ramp = experiment.Ramp{{Users: 50, Over: over}, {Users: 10, Over: over}, {Users: 30, Over: over}}
	s := play(t, plan, -1, pipeServer(func(*http.Request) (time.Duration, string) { return 0, rightAnswer }))
	for i, want := range map[int]int{4: 50, 9: 10, 14: 30} {
		if got := s.Windows[i].Users; got < want-1 || got > want+1 { // the next change is due at that very instant
			t.Errorf("window %d: %d users, want %d", i, got, want)
		}
	}
}

func TestAwaitNamesWhatItSawLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		err := await(t.Context(), 10*time.Second, func(context.Context) error {
			if looks++; looks < 20 {
				return fmt.Errorf("look %d", looks)
			}
			return nil
		})
		if err != nil || looks != 22 {
			t.Errorf("after %d looks: %v; want ready after three good ones", looks, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := await(t.Context(), 10*time.Second, func(context.Context) error { return errors.New("refused") })
		if want := "the service did not get ready within 10s: refused"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if waited := time.Since(began); waited > 11*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}
