package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
)

// itself is what Go and the kernel take for a connection: the stack of its
// goroutine, two buffers, a socket.
const itself = 24 << 10

// pages returns so many bytes of memory that the garbage collector knows
// nothing of, each page of it written to.
func pages(n int) ([]byte, error) {
	memory, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	for i := 0; i < n; i += os.Getpagesize() {
		memory[i] = 1
	}
	return memory, nil
}

// hoard keeps memory for each open connection.
type hoard struct {
	each int
	mu   sync.Mutex
	of   map[net.Conn][]byte
}

func newHoard(each int) *hoard { return &hoard{each: max(1, each-itself), of: map[net.Conn][]byte{}} }

func (h *hoard) connection(c net.Conn, state http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch state {
	case http.StateNew:
		if memory, err := pages(h.each); err == nil {
			h.of[c] = memory
		}
	case http.StateClosed, http.StateHijacked:
		if memory, ok := h.of[c]; ok {
			_ = syscall.Munmap(memory)
			delete(h.of, c)
		}
	case http.StateActive, http.StateIdle:
	}
}

// leak returns work that keeps memory for ever.
func leak(each int) func(context.Context) error {
	return func(context.Context) error {
		if _, err := pages(each); err != nil {
			return errors.Join(wrong(http.StatusInsufficientStorage), err)
		}
		return nil
	}
}

// node is a live object with a pointer in it, so that there is something to
// mark.
type node struct {
	next *node
	_    [56]byte
}

const nodeSize = 64

// garbage keeps live objects for each connection, and leaves rubbish with each
// request. The nearer what lives comes to the limit, the sooner the collector
// runs again, until it runs all the time.
type garbage struct {
	each, allocates int
	mu              sync.Mutex
	live            map[net.Conn]*node
}

func newGarbage(each, allocates, limit int) (work func(context.Context) error, connection func(net.Conn, http.ConnState)) {
	debug.SetMemoryLimit(int64(limit) / 20 * 19)
	g := &garbage{each: max(1, each-itself), allocates: allocates, live: map[net.Conn]*node{}}
	return g.work, g.connection
}

func (g *garbage) connection(c net.Conn, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateNew:
		g.live[c] = chain(g.each / nodeSize)
	case http.StateClosed, http.StateHijacked:
		delete(g.live, c)
	case http.StateActive, http.StateIdle:
	}
}

func (g *garbage) work(context.Context) error {
	for last := chain(g.allocates / nodeSize); last != nil; last = last.next { // used, so that it isn't left out
		if last.next == last {
			return wrong(http.StatusInternalServerError)
		}
	}
	return nil
}

func chain(n int) *node {
	var first *node
	for range n {
		first = &node{next: first}
	}
	return first
}
