//go:build linux

package load

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
	"sweep/pkg/measure"
)

// realServer is one that people use, with a service of testdata/servers on it.
// It closes connections that were idle for a second.
type realServer struct {
	name    string
	command func(t *testing.T, address, service, dir string) *exec.Cmd // dir is its own, empty
	keeps   bool                                                       // whether it is deaf to an application that says Connection: close
}

func realServers() []realServer {
	return []realServer{
		{name: "nginx", command: nginxCommand},
		{name: "uvicorn", command: func(t *testing.T, address, service, _ string) *exec.Cmd {
			host, port, _ := net.SplitHostPort(address)
			return exec.Command(program(t, "/usr/bin/python3", "-m", "uvicorn", "--version"), "-m", "uvicorn", "--app-dir", service, //nolint:gosec // ours
				"--host", host, "--port", port, "--timeout-keep-alive", "1", "--no-access-log", "service:asgi")
		}},
		{name: "gunicorn", keeps: true, command: func(t *testing.T, address, service, dir string) *exec.Cmd {
			return exec.Command(program(t, "/usr/bin/gunicorn", "--version"), "--chdir", service, "--bind", address, //nolint:gosec // ours
				"--worker-class", "gthread", "--threads", "8", "--keep-alive", "1", "--worker-tmp-dir", dir, "service:wsgi")
		}},
		{name: "net/http", command: func(t *testing.T, address, service, dir string) *exec.Cmd {
			path := filepath.Join(dir, "nethttp")
			if said, err := exec.Command("go", "build", "-o", path, filepath.Join(service, "nethttp.go")).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			return exec.Command(path, address)
		}},
	}
}

// program returns the path of a program that Debian has, which must run with
// these arguments.
func program(t *testing.T, path string, args ...string) string {
	t.Helper()
	if said, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s\nrun `.ci/load-tools test`, which installs what is missing", path, strings.Join(args, " "), err, said)
	}
	return path
}

func nginxCommand(t *testing.T, address, service, dir string) *exec.Cmd {
	path := program(t, "/usr/sbin/nginx", "-v")
	text, err := os.ReadFile(filepath.Join(service, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"nginx.conf": strings.ReplaceAll(string(text), "@ADDRESS@", address),
		"slow":       strings.Repeat(" ", 4091) + "prediction" + strings.Repeat(" ", 4096), // where the pieces are cut
		"large":      strings.Repeat(" ", 1<<20) + "prediction",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return exec.Command(path, "-p", dir, "-c", "nginx.conf", "-e", "error.log")
}

// start starts the server on a free port, and kills it and all its processes
// at the end of the test.
func (s *realServer) start(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	service, err := filepath.Abs(filepath.Join("testdata", "servers"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := s.command(t, address, service, dir)
	var said bytes.Buffer // read only once the server has ended
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	plan := Plan{Address: address, Ready: Ready{URL: "http://" + address + "/fixed", Within: 20 * time.Second}}
	if err := Await(t.Context(), plan); err != nil {
		stop()
		t.Fatalf("%v\n%s", err, said.String())
	}
	return address
}

// asking loads an address as briefly does, with a request of its own.
func asking(t *testing.T, address string, r experiment.Request, change func(*Plan)) measure.Window {
	t.Helper()
	return briefly(t, address, func(p *Plan) {
		var err error
		if p.Request, err = http1.NewRequest(r, address); err != nil {
			t.Fatal(err)
		}
		p.Timeout = 10 * time.Second // a busy machine is no failure
		if change != nil {
			change(p)
		}
	})
}

func get(path string) experiment.Request {
	return experiment.Request{Method: http.MethodGet, Path: path}
}

func TestServersAnswerInEveryWay(t *testing.T) {
	hangUp := map[string]experiment.Value{"Connection": {Resolved: "close"}}
	for _, s := range realServers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			address := s.start(t)
			for _, c := range []struct {
				name    string
				request experiment.Request
				status  int
				text    string
				service time.Duration // at least
				closes  bool          // whether every request needs a connection
			}{
				{"fixed length", get("/fixed"), 200, "prediction", 0, false},
				{"chunked", get("/chunked"), 200, "prediction", 0, false},
				{"no content", get("/none"), 204, "", 0, false},
				{"HEAD", experiment.Request{Method: http.MethodHead, Path: "/fixed"}, 200, "", 0, false},
				{"closed as asked", experiment.Request{Method: http.MethodGet, Path: "/fixed", Headers: hangUp}, 200, "prediction", 0, true},
				{"closed unasked", get("/close"), 200, "prediction", 0, !s.keeps},
				{"slow pieces", get("/slow"), 200, "prediction", 38 * time.Millisecond, false},
				{"1 MiB", get("/large"), 200, "prediction", 0, false},
				{"POST", experiment.Request{Method: http.MethodPost, Path: "/predict", Body: experiment.Literal(`{"features": [1, 2, 3]}`)}, 200, "prediction", 0, false},
			} {
				w := asking(t, address, c.request, func(p *Plan) { p.Status, p.Text = []int{c.status}, c.text })
				want := uint64(4) // one for each user
				if c.closes {
					want = w.Sent
				}
				if w.Done != w.Sent || w.Failed() != 0 || w.Stale != 0 || w.Connect.Count() != want || w.Service.Quantile(0) < c.service {
					t.Errorf("%s: %d sent, %d done, errors %v, %d closed idle, %d connections, at best %v", c.name, w.Sent, w.Done, w.Errors, w.Stale, w.Connect.Count(), w.Service.Quantile(0))
				}
			}
		})
	}
}

// A user who waits for longer than the server keeps idle connections finds its
// own closed every time, or closing.
func TestServersMayCloseIdleConnections(t *testing.T) {
	for _, s := range realServers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := asking(t, s.start(t), get("/fixed"), func(p *Plan) {
				p.Ramp, p.Wait = experiment.Ramp{stage(20, 500, 2200)}, constant(1300*time.Millisecond)
			})
			t.Logf("%d sent, %d closed idle", w.Sent, w.Stale)
			if w.Done != w.Sent || w.Failed() != 0 || w.Stale == 0 {
				t.Errorf("%d sent, %d done, errors %v, %d closed idle", w.Sent, w.Done, w.Errors, w.Stale)
			}
		})
	}
}

// secured is a server in this process that speaks what net/http clients are
// for, and counts its connections.
type secured struct {
	address      string
	opened, open atomic.Int64
}

// handshake is how long at least a TLS connection of secured takes.
const handshake = 20 * time.Millisecond

// protocols are the ways in which clients speak, and the version of HTTP.
var protocols = []struct {
	name, protocol string
	major          int
}{
	{"HTTPS", experiment.HTTPS, 2},
	{"HTTPS over HTTP1", experiment.HTTPS, 1},
	{"H2C", experiment.H2C, 2},
}

// secure serves by a protocol; another version of HTTP gets status 505.
func secure(t *testing.T, protocol string, major int, idle time.Duration, serve http.HandlerFunc) *secured {
	t.Helper()
	s := &secured{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != major || (r.TLS != nil) != (protocol == experiment.HTTPS) {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		serve(w, r)
	}))
	server.Config.IdleTimeout = idle
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are meant to
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.opened.Add(1)
			s.open.Add(1)
		case http.StateClosed:
			s.open.Add(-1)
		}
	}
	if protocol == experiment.H2C {
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	} else {
		server.EnableHTTP2 = major == 2
		server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			time.Sleep(handshake)
			return nil, nil
		}}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	s.address = server.Listener.Addr().String()
	return s
}

func TestHTTPSAndH2C(t *testing.T) {
	predict := func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) != "{}" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"prediction": 1}`)
	}
	late := func(w http.ResponseWriter, r *http.Request) { // every other tenth of a second
		if time.Now().UnixMilli()/100%2 == 0 {
			_, _ = io.Copy(io.Discard, r.Body) // else the server doesn't look whether the user has gone
			<-r.Context().Done()
			return
		}
		predict(w, r)
	}
	breaks := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "17")
		_, _ = io.WriteString(w, `{"pred`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, p := range protocols {
		for _, c := range []struct {
			name   string
			idle   time.Duration
			serve  http.HandlerFunc
			change func(*Plan)
			check  func(t *testing.T, w measure.Window, connections uint64)
		}{
			{"keeps its connection", 0, predict, func(*Plan) {}, func(t *testing.T, w measure.Window, connections uint64) {
				if w.Done != w.Sent || w.Stale != 0 || connections != 4 {
					t.Error("want all done, on 4 connections")
				}
			}},
			{"stamps", 0, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(10 * time.Millisecond)
				predict(w, r)
			}, func(*Plan) {}, func(t *testing.T, w measure.Window, _ uint64) {
				for _, q := range []float64{0, 0.5, 1} {
					first, service, response := w.First.Quantile(q), w.Service.Quantile(q), w.Response.Quantile(q)
					if first < 10*time.Millisecond || service < first || response < service {
						t.Errorf("quantile %v: first %v, service %v, response %v", q, first, service, response)
					}
				}
				if p.protocol == experiment.HTTPS && (w.Connect.Quantile(0) < handshake || w.Response.Max() < handshake+10*time.Millisecond) {
					t.Errorf("connect %v at least, response %v at most: without the handshake", w.Connect.Quantile(0), w.Response.Max())
				}
			}},
			{"fresh", 0, predict, func(p *Plan) { p.Fresh = true }, func(t *testing.T, w measure.Window, connections uint64) {
				if w.Done != w.Sent || w.Stale != 0 || connections != w.Sent || w.Connect.Count() != w.Sent {
					t.Error("want a connection for every request")
				}
			}},
			{"closed idle", 50 * time.Millisecond, predict, func(p *Plan) { p.Wait = constant(150 * time.Millisecond) }, func(t *testing.T, w measure.Window, connections uint64) {
				if w.Done != w.Sent || w.Stale != w.Sent-4 || connections != w.Sent {
					t.Error("want all done, and every connection but the first instead of one closed idle")
				}
			}},
			{"late", 0, late, func(p *Plan) { p.Timeout, p.Ramp = 50*time.Millisecond, experiment.Ramp{stage(8, 300, 900)} }, func(t *testing.T, w measure.Window, _ uint64) {
				if n := w.Errors[measure.Timeout]; n == 0 || w.Done == 0 || n+w.Done != w.Sent || w.Response.Max() > 200*time.Millisecond || w.Stale != 0 {
					t.Error("want some done, the others out of time, and nobody's connection closed idle by the service")
				}
			}},
			{"broken off", 0, breaks, func(*Plan) {}, func(t *testing.T, w measure.Window, _ uint64) {
				if w.Errors[measure.Reset] != w.Sent {
					t.Error("want all reset")
				}
			}},
			{"other status", 0, predict, func(p *Plan) { p.Status = []int{201} }, func(t *testing.T, w measure.Window, _ uint64) {
				if w.Errors[measure.BadStatus] != w.Sent || w.Statuses[200] != w.Sent {
					t.Errorf("want another status for all, not %v", w.Statuses)
				}
			}},
			{"other content", 0, predict, func(p *Plan) { p.Text = "nothing" }, func(t *testing.T, w measure.Window, _ uint64) {
				if w.Errors[measure.BadContent] != w.Sent {
					t.Error("want other content for all")
				}
			}},
		} {
			t.Run(p.name+"/"+c.name, func(t *testing.T) {
				s := secure(t, p.protocol, p.major, c.idle, c.serve)
				w := briefly(t, s.address, func(plan *Plan) {
					plan.Protocol, plan.Insecure, plan.Timeout = p.protocol, true, 10*time.Second
					c.change(plan)
				})
				c.check(t, w, uint64(s.opened.Load()))
				if t.Failed() {
					t.Errorf("%d sent, %d done, errors %v, %d closed idle, %d connections", w.Sent, w.Done, w.Errors, w.Stale, s.opened.Load())
				}
				s.allClosed(t)
			})
		}
	}
}

// allClosed looks whether the load, which is over, has let go of its connections.
func (s *secured) allClosed(t *testing.T) {
	t.Helper()
	for range 100 {
		if s.open.Load() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d of %d connections are still open", s.open.Load(), s.opened.Load())
}

// Nobody could connect as they should: nothing is said of what was asked.
func TestHTTPSToACertificateThatNobodyTrustsIsRefused(t *testing.T) {
	for _, major := range []int{1, 2} {
		s := secure(t, experiment.HTTPS, major, 0, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
		w := briefly(t, s.address, func(p *Plan) { p.Protocol = experiment.HTTPS })
		if w.Errors[measure.Refused] != w.Sent {
			t.Errorf("HTTP/%d: %d sent, errors %v", major, w.Sent, w.Errors)
		}
		s.allClosed(t)
	}
}

func TestHTTPSAndH2CWhereNoAnswerComes(t *testing.T) {
	hangsUp := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	complains := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}
	goesAway := func(c net.Conn) {
		const settings, goAway = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"
		_, _ = io.WriteString(c, settings+goAway) // it has the request, but
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, _ = io.Copy(io.Discard, c)
	}
	for _, c := range []struct {
		name, protocol string
		serve          func(net.Conn)
		want, or       measure.Class // or: where it does so before the request has gone out
	}{
		{"HTTPS, it hangs up", experiment.HTTPS, hangsUp, measure.Refused, ""},
		{"HTTPS, it complains", experiment.HTTPS, complains, measure.Refused, ""},
		{"H2C, it hangs up", experiment.H2C, hangsUp, measure.Reset, measure.Refused},
		{"H2C, it goes away", experiment.H2C, goesAway, measure.Reset, measure.Refused},
		{"H2C, it complains", experiment.H2C, complains, measure.Protocol, measure.Refused},
	} {
		w := briefly(t, raw(t, c.serve), func(p *Plan) { p.Protocol = c.protocol })
		if w.Errors[c.want]+w.Errors[c.or] != w.Sent {
			t.Errorf("%s: %d sent, errors %v; want class %s", c.name, w.Sent, w.Errors, c.want)
		}
	}
}
