// Command predictor is the service whose resource needs a sweep measures: an
// HTTP API around one small neural network, embedded in the program.
//
//	POST /predict  {"features":[distance_km,items,hour]}
//	               200 {"prediction":34.21,"unit":"minutes"}
//	GET  /health   200 {"status":"ok"}
//
// The environment variable WORKERS, a decimal number of cores rounded up, sets
// how many predictions are evaluated at once; the default is GOMAXPROCS.
//
// It is a realistic thing to put under load, not a product: it has no TLS, no
// authentication, no metrics and no way to load another model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"sweep/cmd/predictor/model"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program: it serves until ctx is done and returns the exit status,
// having said on stderr why it is not 0.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	logger := log.New(stderr, "predictor: ", 0)
	cfg, err := configure(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		logger.Print(err)
		return exitUsage
	}
	if err := start(ctx, cfg, logger); err != nil {
		logger.Print(err)
		return exitFailure
	}
	return 0
}

type config struct {
	listen  string
	workers int
}

// configure reads the command line and the environment. It writes to help only
// when asked for help, and then returns flag.ErrHelp.
func configure(args []string, getenv func(string) string, help io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("predictor", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run reports the error, once
	flags.StringVar(&cfg.listen, "listen", ":8000", "`address` to serve on")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(help)
		flags.Usage()
	}
	if err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	cfg.workers, err = parseWorkers(getenv("WORKERS"))
	return cfg, err
}

// maxWorkers is beyond any machine the service meets; a larger number is a
// mistake, say a memory size in the wrong variable.
const maxWorkers = 1024

// parseWorkers turns a number of cores, such as "0.5", into a number of
// evaluators. An empty string means as many as Go will run at once, which
// respects the container's CPU limit.
func parseWorkers(s string) (int, error) {
	if s == "" {
		return runtime.GOMAXPROCS(0), nil
	}
	cores, err := strconv.ParseFloat(s, 64)
	if err != nil || !(0 < cores && cores <= maxWorkers) { // written so that NaN fails
		return 0, fmt.Errorf("WORKERS=%q: want a decimal number above 0 and up to %d", s, maxWorkers)
	}
	return int(math.Ceil(cores)), nil
}

func start(ctx context.Context, cfg config, logger *log.Logger) error {
	network, err := model.Load()
	if err != nil {
		return fmt.Errorf("load model: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		return err // says "listen" and the address itself
	}
	logger.Printf("listening on %s, %d workers", listener.Addr(), cfg.workers)
	return serve(ctx, listener, newHandler(newPool(network, cfg.workers)))
}

// shutdownGrace is how long requests in progress may take to finish once the
// service is told to stop.
const shutdownGrace = 4 * time.Second

// serve answers requests until ctx is done, then lets those in progress finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler,
		// Generous, because a starved container reads late what its clients
		// sent in time. For the same reason there is no WriteTimeout: a long
		// wait for an evaluator is a result to measure, not a fault to hide.
		ReadHeaderTimeout: 30 * time.Second,
		ReadTimeout:       time.Minute,
		// Users pause between requests and keep their connection meanwhile.
		IdleTimeout: 5 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shut down: %w", errors.Join(err, server.Close()))
	}
	return nil
}
