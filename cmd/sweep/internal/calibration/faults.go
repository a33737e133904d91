package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// crash returns work that ends the program at the so manieth request, or when
// so many are on their way at once.
func (s *service) crash(of *settings) func(context.Context) error {
	var all, underway atomic.Int64
	if of.has("AFTER") {
		after := int64(of.count("AFTER"))
		return func(context.Context) error {
			if all.Add(1) == after {
				s.crashed <- struct{}{}
			}
			return nil
		}
	}
	concurrent, takes := int64(of.count("CONCURRENT")), of.duration("TAKES")
	return func(context.Context) error {
		if underway.Add(1) == concurrent {
			select {
			case s.crashed <- struct{}{}:
			default: // it has crashed already
			}
		}
		defer underway.Add(-1)
		time.Sleep(takes)
		return nil
	}
}

// oneIn returns work whose every n-th answer is wrong.
func oneIn(n int) func(context.Context) error {
	var all atomic.Int64
	return func(context.Context) error {
		if all.Add(1)%int64(n) == 0 {
			return wrong(http.StatusInternalServerError)
		}
		return nil
	}
}

// after returns whether so long has passed from now on; 0 never passes.
func after(wait time.Duration) func() bool {
	begun := time.Now()
	return func() bool { return wait > 0 && time.Since(begun) >= wait }
}

// backlog listens with a queue of so many connections and one, as Linux counts,
// and accepts all that wait in it once in so long. Who finds it full is not
// answered; Linux asks again after a second.
type backlog struct {
	length int
	every  time.Duration
}

func (b backlog) listen(_ context.Context, address string) (net.Listener, error) {
	at, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer func() { _ = file.Close() }() // the listener has one of its own
	name := &syscall.SockaddrInet4{Port: at.Port}
	copy(name.Addr[:], at.IP.To4())
	if err := errors.Join(syscall.Bind(fd, name), syscall.Listen(fd, b.length)); err != nil {
		return nil, err
	}
	listener, err := net.FileListener(file) // which doesn't listen anew, so that the queue stays so short
	if err != nil {
		return nil, err
	}
	return &lazy{TCPListener: listener.(*net.TCPListener), every: b.every, opens: time.Now()}, nil
}

// lazy is a listener that accepts for a moment once in so long.
type lazy struct {
	*net.TCPListener

	every time.Duration
	opens time.Time
}

// moment is long enough to accept a few dozen connections.
const moment = time.Millisecond

// Accept returns a connection, as soon as it likes to.
func (l *lazy) Accept() (net.Conn, error) {
	for {
		time.Sleep(time.Until(l.opens))
		if err := l.SetDeadline(time.Now().Add(moment)); err != nil { // not before now, however late it is
			return nil, err
		}
		c, err := l.TCPListener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		l.opens = l.opens.Add(l.every)
	}
}
