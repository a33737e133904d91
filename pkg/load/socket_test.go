//go:build linux

package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
	"sweep/pkg/measure"
)

// raw is a service on loopback each of whose connections serve plays.
func raw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// answering serves every request with pieces, a pause before each but the first.
func answering(pause time.Duration, pieces ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			for i, piece := range pieces {
				if i > 0 {
					time.Sleep(pause)
				}
				if _, err := io.WriteString(conn, piece); err != nil {
					return
				}
			}
			if strings.Contains(pieces[0], "Connection: close") || !strings.Contains(pieces[0], "ength:") && !strings.Contains(pieces[0], "chunked") {
				return
			}
		}
	}
}

// briefly loads an address for half a second: users who come at once and wait
// for 20 ms.
func briefly(t *testing.T, address string, change func(*Plan)) measure.Window {
	t.Helper()
	request, err := http1.NewRequest(experiment.Request{Method: http.MethodPost, Path: "/predict", Body: experiment.Literal("{}")}, address)
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{
		Address: address, Request: request, Timeout: 200 * time.Millisecond, Status: []int{200}, Text: "prediction",
		Ramp: experiment.Ramp{stage(4, 0, 500)}, Wait: constant(20 * time.Millisecond),
	}
	if change != nil {
		change(&plan)
	}
	var all measure.Window
	for tick, err := range Run(t.Context(), plan) {
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range tick.Windows {
			all.Merge(w)
		}
	}
	if all.Sent == 0 || all.Pending() != 0 {
		t.Fatalf("%d sent, %d pending", all.Sent, all.Pending())
	}
	return all
}

func TestSocketsTellFailuresApart(t *testing.T) {
	const head, body = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", `{"prediction": 1}`
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		want  measure.Class
	}{
		{"right", answering(0, rightAnswer), ""},
		{"head and body apart", answering(time.Millisecond, head, body), ""},
		{"byte by byte", answering(50*time.Microsecond, strings.Split(head+body, "")...), ""},
		{"interim answers first", answering(time.Millisecond, "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n", rightAnswer), ""},
		{"chunked", answering(time.Millisecond, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na;x=y\r\nprediction\r\n", "0\r\nTrailer: t\r\n\r\n"), ""},
		{"close after it", answering(0, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nprediction"), ""},
		{"ends with the connection", answering(time.Millisecond, "HTTP/1.1 200 OK\r\n\r\n", "prediction"), ""},
		{"as long as several reads", answering(0, "HTTP/1.1 200 OK\r\nContent-Length: 300010\r\n\r\n"+strings.Repeat(" ", 300000)+"prediction"), ""},
		{"garbage after it", answering(0, rightAnswer+"garbage"), ""},
		{"other status", answering(0, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), measure.BadStatus},
		{"other content", answering(0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"), measure.BadContent},
		{"not HTTP", answering(0, "220 smtp.example ready\r\n\r\n"), measure.Protocol},
		{"too late", answering(time.Second, head, body), measure.Timeout},
		{"cut off", func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)); _, _ = io.WriteString(c, head) }, measure.Reset},
		{"closed without a word", func(c net.Conn) { _, _ = c.Read(make([]byte, 1024)) }, measure.Reset},
		{"refused before it is read", func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = c.Read(make([]byte, 1024))
		}, measure.BadStatus},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := briefly(t, raw(t, c.serve), nil)
			if c.want == "" && w.Done != w.Sent || c.want != "" && (w.Errors[c.want] != w.Sent || w.Response.Count() != 0) {
				t.Errorf("%d sent, %d done, errors %v, %d in the histogram; want class %q", w.Sent, w.Done, w.Errors, w.Response.Count(), c.want)
			}
			if c.want == measure.BadStatus && w.Statuses[503] != w.Sent || c.want != measure.BadStatus && w.Statuses != nil {
				t.Errorf("%d sent, statuses %v", w.Sent, w.Statuses)
			}
		})
	}
}

func TestSocketsAreRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if w := briefly(t, l.Addr().String(), nil); w.Errors[measure.Refused] != w.Sent {
		t.Errorf("%d sent, errors %v", w.Sent, w.Errors)
	}
}

// A service that closes after each answer, without saying so, races with the
// next request: whoever loses is sent on a fresh connection.
func TestSocketsRetryOnceWhatWasClosedIdle(t *testing.T) {
	var connections atomic.Int64
	address := raw(t, func(conn net.Conn) {
		connections.Add(1)
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(conn, rightAnswer)
		}
	})
	w := briefly(t, address, nil)
	if w.Done != w.Sent || w.Stale != w.Sent-4 || connections.Load() != int64(w.Sent) {
		t.Errorf("%d sent, %d done, errors %v, %d closed idle, %d connections", w.Sent, w.Done, w.Errors, w.Stale, connections.Load())
	}
}

func TestSocketsSendAgainAtOnceWhereTheIdleCloseIsMet(t *testing.T) {
	address := raw(t, func(conn net.Conn) { // resets the connection when its second request comes
		r := bufio.NewReader(conn)
		for i := range 2 {
			req, err := http.ReadRequest(r)
			if err != nil || i == 1 {
				_ = conn.(*net.TCPConn).SetLinger(0)
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(conn, rightAnswer)
		}
	})
	w := briefly(t, address, nil)
	if w.Done != w.Sent || w.Stale == 0 {
		t.Errorf("%d sent, %d done, errors %v, %d closed idle", w.Sent, w.Done, w.Errors, w.Stale)
	}
}

func TestFreshConnections(t *testing.T) {
	var connections atomic.Int64
	serve := answering(0, "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"prediction\": 1}")
	w := briefly(t, raw(t, func(c net.Conn) { connections.Add(1); serve(c) }), func(p *Plan) { p.Fresh = true })
	if w.Done != w.Sent || connections.Load() != int64(w.Sent) || w.Stale != 0 || w.Connect.Count() != w.Sent {
		t.Errorf("%d sent, %d done, %d connections, %d closed idle, %d connect times", w.Sent, w.Done, connections.Load(), w.Stale, w.Connect.Count())
	}
}

func TestMuteUsersOnlyConnect(t *testing.T) {
	var connections, bytes atomic.Int64
	address := raw(t, func(c net.Conn) {
		connections.Add(1)
		n, _ := io.Copy(io.Discard, c)
		bytes.Add(n)
	})
	w := briefly(t, address, func(p *Plan) { p.Mute = true; p.Ramp = experiment.Ramp{stage(50, 100, 400)} })
	if w.Done != 50 || connections.Load() != 50 || bytes.Load() != 0 {
		t.Errorf("%d done, %d connections, %d bytes", w.Done, connections.Load(), bytes.Load())
	}
}

// What the service does with its time and what the generator does with its own
// must never be taken for each other.
func TestASlowServiceIsSlowAndTheGeneratorOnTime(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Second)
		_, _ = io.WriteString(w, `{"prediction": 1}`)
	}))
	defer server.Close()
	w := briefly(t, strings.TrimPrefix(server.URL, "http://"), func(p *Plan) {
		p.Timeout = 5 * time.Second
		p.Ramp = experiment.Ramp{stage(200, 1000, 2000)}
	})
	for name, h := range map[string]measure.Histogram{"service": w.Service, "response": w.Response} {
		if q := h.Quantile(.5); q < time.Second || q > 1050*time.Millisecond {
			t.Errorf("%s p50 %v, want 1s", name, q)
		}
	}
	if lag := w.Lag.Quantile(.5); lag > 5*time.Millisecond || w.Done != w.Sent {
		t.Errorf("lag p50 %v, errors %v", lag, w.Errors)
	}
}

// The way of a request must not allocate: what the collector does, some
// request waits for.
func TestSteadyLoadAllocatesNothing(t *testing.T) {
	address := raw(t, func(c net.Conn) {
		request, answer := make([]byte, 4096), []byte(rightAnswer)
		for {
			if _, err := c.Read(request); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	request, err := http1.NewRequest(experiment.Request{Method: http.MethodPost, Path: "/predict", Body: experiment.Literal("{}")}, address)
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{
		Address: address, Request: request, Timeout: time.Minute, Status: []int{200}, Text: "prediction",
		Ramp: experiment.Ramp{stage(16, 0, 60000)}, Wait: constant(0),
	}
	_, open, err := lines(t.Context(), &plan)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(&plan, time.Now())
	c, stop := newCrowd(&plan, 0, 1)
	defer stop()
	line, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer line.close()
	w, err := line.wire(l)
	if err != nil {
		t.Fatal(err)
	}
	defer line.hangUp()
	l.crowd, l.wire = c, w
	step := func() {
		l.play()
		if err := l.wire.step(t.Context(), l.now+time.Second); err != nil {
			t.Fatal(err)
		}
	}
	done := func() uint64 {
		n := uint64(0)
		for _, c := range l.recorder.windows {
			n += c.done
		}
		return n
	}
	for done() < 20000 { // until every bucket of the histograms that will be needed is there
		step()
	}
	before := done()
	allocations := testing.AllocsPerRun(20000, step)
	requests := float64(done()-before) / 20000
	if perRequest := allocations / requests; perRequest >= 0.01 || requests == 0 {
		t.Errorf("%v allocations a request, of %v requests a step", perRequest, requests)
	}
	for u := range l.crowd.users {
		l.wire.hangUp(int32(u))
	}
}
