// Command calibration is a dozen services in one program, each of which fails
// for one reason, under a load that a formula tells. By them `make calibrate`
// finds out whether sweep names the right load and the right reason.
//
//	POST /predict  200 {"prediction":1}
//	GET  /health   200
//
// The environment variable MODE says which service it is, others what it is
// made of. C is its capacity in requests a second, Z how long users wait
// between an answer and the next request, L the response time that is asked
// for, N the users with whom it just holds: where requests are served first
// come, first served, N = C (Z + L).
//
//	MODE         made of                    behaves                                             capacity
//	cpu          COST                       each request takes so much CPU time                 C = CPUs / COST
//	lock         HELD                       one lock, held so long for each request             C = 1 / HELD
//	workers      WORKERS, TAKES             so many at a time, each so long                     C = WORKERS / TAKES
//	rate         RATE                       so many a second, evenly                            C = RATE
//	downstream   WORKERS, TAKES, PATIENCE   asks such an upstream; 504 after so long            C as of workers, N = C (Z + PATIENCE)
//	connections  EACH                       so much memory for each open connection             N = (limit - own) / EACH
//	leak         EACH                       so much memory for each request, for ever           (limit - own) / EACH requests
//	gc           EACH, ALLOCATES, LIMIT     so much live heap for each connection, so much      N = (0.92 LIMIT - own) / EACH
//	                                        garbage for each request; Go is told 0.95 LIMIT,
//	                                        and keeps 3 % of that free
//	backlog      BACKLOG, EVERY             accepts what waits once in so long; more than       of x that come meanwhile, E(x - BACKLOG - 1)+
//	                                        BACKLOG + 1 can't wait                              of E(x) are lost, x binomial
//	crash        CONCURRENT, TAKES          exits with 3 when so many are on their way at once  N = CONCURRENT (Z + TAKES) / TAKES
//	crash        AFTER                      exits with 3 at its so manieth request              AFTER requests
//	errors       ONE_IN                     one answer in so many is a 500                      none
//	sleepy       READY_AFTER                is unhealthy for so long; 0: for ever               none until then
//
// Durations are Go's (5ms), amounts of memory bytes. It is nothing to learn
// from how services are written.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	exitFailure = 1
	exitUsage   = 2
	exitCrash   = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, ":8000", os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run serves until ctx is done, or until the service crashes, and returns the
// exit status.
func run(ctx context.Context, address string, getenv func(string) string, stderr io.Writer) int {
	logger := log.New(stderr, "calibration: ", 0)
	s, err := newService(ctx, getenv)
	if err != nil {
		logger.Print(err)
		return exitUsage
	}
	listener, err := s.listen(ctx, address)
	if err != nil {
		logger.Print(err)
		return exitFailure
	}
	logger.Printf("%s listens on %s", getenv("MODE"), listener.Addr())
	server := &http.Server{Handler: s.handler(), ConnState: s.connection, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		_ = server.Close() // nobody waits for its last answers
		return 0
	case <-s.crashed:
		_ = server.Close() // a test goes on where a program would end
		return exitCrash
	case err := <-failed:
		logger.Print(err)
		return exitFailure
	}
}

// service is what sets one mode apart from a service that only answers.
type service struct {
	work       func(context.Context) error // what a request takes; an error is a wrong answer
	ready      func() bool
	listen     func(ctx context.Context, address string) (net.Listener, error)
	connection func(net.Conn, http.ConnState) // called as connections open and close
	crashed    chan struct{}                  // something comes when it has
}

// wrong is an answer with a status other than 200.
type wrong int

func (w wrong) Error() string { return http.StatusText(int(w)) }

func newService(ctx context.Context, getenv func(string) string) (*service, error) {
	s := &service{
		work:       func(context.Context) error { return nil },
		ready:      func() bool { return true },
		connection: func(net.Conn, http.ConnState) {},
		crashed:    make(chan struct{}, 1),
		listen: func(ctx context.Context, address string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", address)
		},
	}
	of := &settings{getenv: getenv}
	switch mode := getenv("MODE"); mode {
	case "cpu":
		s.work = newBurner(of.duration("COST")).burn
	case "lock":
		s.work = newWorkers(1, of.duration("HELD")).work
	case "workers":
		s.work = newWorkers(of.count("WORKERS"), of.duration("TAKES")).work
	case "rate":
		s.work = newBucket(of.count("RATE")).work
	case "downstream":
		s.work = newDownstream(ctx, newWorkers(of.count("WORKERS"), of.duration("TAKES")), of.duration("PATIENCE")).work
	case "connections":
		s.connection = newHoard(of.count("EACH")).connection
	case "leak":
		s.work = leak(of.count("EACH"))
	case "gc":
		s.work, s.connection = newGarbage(of.count("EACH"), of.count("ALLOCATES"), of.count("LIMIT"))
	case "backlog":
		s.listen = backlog{length: of.count("BACKLOG"), every: of.duration("EVERY")}.listen
	case "crash":
		s.work = s.crash(of)
	case "errors":
		s.work = oneIn(of.count("ONE_IN"))
	case "sleepy":
		s.ready = after(of.duration("READY_AFTER"))
	default:
		return nil, fmt.Errorf("MODE=%q is no mode", mode)
	}
	return s, of.fault
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /predict", func(w http.ResponseWriter, r *http.Request) {
		var status wrong
		err := s.work(r.Context())
		switch {
		case err == nil:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"prediction":1}`+"\n")
		case errors.As(err, &status):
			http.Error(w, err.Error(), int(status))
		default: // the client has left
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return mux
}
