package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// workers serve so many requests at a time, first come, first served: that is
// how Go serves those who wait to receive from a channel. What goes round is
// when each worker is free. A request begins then, or when it came, not when
// its goroutine got to run, so that late wake-ups don't add up.
type workers struct {
	free  chan time.Time
	takes time.Duration
}

func newWorkers(n int, takes time.Duration) workers {
	w := workers{free: make(chan time.Time, n), takes: takes}
	for range n {
		w.free <- time.Time{}
	}
	return w
}

func (w workers) work(ctx context.Context) error {
	came := time.Now()
	select {
	case free := <-w.free:
		done := later(free, came).Add(w.takes)
		time.Sleep(time.Until(done)) // also where the client leaves: work that was begun is done
		w.free <- done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bucket lets requests pass one by one, evenly, in the order in which they
// came.
type bucket struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

func newBucket(rate int) *bucket { return &bucket{every: time.Second / time.Duration(rate)} }

func (b *bucket) work(context.Context) error {
	b.mu.Lock()
	at := later(b.next, time.Now())
	b.next = at.Add(b.every)
	b.mu.Unlock()
	time.Sleep(time.Until(at))
	return nil
}

// downstream asks another service for each answer. That one is in the same
// container, but what lies between them is HTTP and sockets.
type downstream struct {
	client *http.Client
	url    string
	fault  error
}

func newDownstream(ctx context.Context, upstream workers, patience time.Duration) downstream {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return downstream{fault: fmt.Errorf("start the upstream: %w", err)}
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upstream.work(r.Context()) == nil {
			_, _ = io.WriteString(w, "1")
		}
	})}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return downstream{
		url:    "http://" + listener.Addr().String(),
		client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1000}},
	}
}

func (d downstream) work(ctx context.Context) error {
	if d.fault != nil {
		return d.fault
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return wrong(http.StatusGatewayTimeout)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return wrong(http.StatusGatewayTimeout)
	}
	return nil
}

// burner takes CPU time, one request after the other. What the process spent
// besides, on reading the request and answering it, is part of the cost, so
// that in the end each request has cost exactly so much.
type burner struct {
	cost time.Duration
	turn chan time.Duration // what the process will have spent by the end of the request before; 0: there was none
}

func newBurner(cost time.Duration) burner {
	b := burner{cost, make(chan time.Duration, 1)}
	b.turn <- 0
	return b
}

func (b burner) burn(ctx context.Context) error {
	select {
	case spent := <-b.turn:
		if spent == 0 {
			spent = cpuTime()
		}
		spent += b.cost
		for cpuTime() < spent { // asking is work enough
		}
		b.turn <- spent
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpuTime returns what this process has spent, all threads together.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err) // it knows no other error than a bad argument
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
