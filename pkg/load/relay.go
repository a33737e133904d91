package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Agents on other machines can't be attached to: an engine gives the standard
// streams of its own containers alone. So one agent that can, the relay, listens
// on a network that all of them share, and they come to it. Nothing of that
// network has to be reachable from where sweep runs.
//
//	sweep  <-- stdin, stdout, in pieces -->  Relay  <-- TLS -->  Join   agent
//	Gather                                          <-- TLS -->  Join   agent
//
// The end of the relay's stdin is its end, and so that of all agents.

const (
	shakeWithin = 10 * time.Second // how long two ends may take to prove themselves
	writeWithin = 2 * time.Second  // how long an agent may take nothing of what it is told: less than others may hear nothing meanwhile
	joinWithin  = 2 * time.Minute  // how long an agent looks for its relay
	joinEvery   = 200 * time.Millisecond

	noProtocol = "tls: no application protocol" // the alert of RFC 7301, for which crypto/tls has no exported type
)

// Relay is the relay: it passes on what is said between sweep, on in and out,
// and the agents of the same build that come to l with the run's key. It returns
// when in ends, and closes l.
func Relay(ctx context.Context, key Key, build string, l net.Listener, in io.Reader, out io.Writer) error {
	config, err := key.config(build)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &relay{out: pieces{out: out}, agents: map[uint16]net.Conn{}}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer r.close()
	defer l.Close() //nolint:errcheck // nothing is lost with it
	defer cancel()
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // in has ended
			}
			serving.Go(func() { r.serve(ctx, tls.Server(conn, config)) })
		}
	})
	return r.obey(in)
}

type relay struct {
	out pieces

	mu     sync.Mutex
	agents map[uint16]net.Conn
	next   uint16
	over   bool
}

// serve passes on what an agent says. One without the key isn't heard.
func (r *relay) serve(ctx context.Context, conn *tls.Conn) {
	defer conn.Close() //nolint:errcheck // nothing is lost with it
	shaking, cancel := context.WithTimeout(ctx, shakeWithin)
	defer cancel()
	if watch(conn.NetConn()) != nil || conn.HandshakeContext(shaking) != nil {
		return
	}
	number, ok := r.add(conn)
	if !ok {
		return
	}
	defer r.remove(number)
	if r.out.write(piece{kind: pieceOpen, stream: number}) != nil {
		return // sweep is gone: in ends, too
	}
	_, _ = io.Copy(r.out.on(number), conn) // however it ends, it has ended
	_ = r.out.write(piece{kind: pieceEnd, stream: number})
}

func (r *relay) add(conn net.Conn) (number uint16, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number = r.next
	if _, taken := r.agents[number]; taken || r.over {
		return 0, false
	}
	r.agents[number] = conn
	r.next++
	return number, true
}

func (r *relay) remove(number uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.agents, number)
}

func (r *relay) agent(number uint16) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.agents[number]
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, conn := range r.agents {
		_ = conn.Close()
	}
}

// obey tells agents what sweep tells them, until that ends. An agent that takes
// nothing of it doesn't keep it from the others for long.
func (r *relay) obey(in io.Reader) error {
	var buf [mostBytes]byte
	for {
		p, err := readPiece(in, &buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		conn := r.agent(p.stream)
		if conn == nil {
			continue // it has just gone, which sweep is told
		}
		_ = conn.SetWriteDeadline(time.Now().Add(writeWithin)) // else writing fails
		if _, err := conn.Write(p.text); err != nil || p.kind == pieceEnd {
			_ = conn.Close() // which ends what serves it
		}
	}
}

// Join is an agent that comes to the relay at address (host:port), which must be
// of the same build, with the run's key, and is then told what to do there; see [Serve].
func Join(ctx context.Context, key Key, build, address string) error {
	config, err := key.config(build)
	if err != nil {
		return err
	}
	conn, err := findRelay(ctx, config, address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all is said
	return Serve(ctx, conn, conn)
}

// findRelay connects to a relay, which may not have begun to listen.
func findRelay(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	for {
		conn, err := dialRelay(ctx, config, address)
		switch {
		case err == nil:
			return conn, nil
		case strings.Contains(err.Error(), noProtocol):
			return nil, fmt.Errorf("the relay at %s is of another build of sweep than this %q; give the machines that make the load an image of the same", address, config.NextProtos[0])
		}
		select {
		case <-time.After(joinEvery):
		case <-ctx.Done():
			return nil, fmt.Errorf("no relay at %s within %s: %w", address, joinWithin, err)
		}
	}
}

func dialRelay(ctx context.Context, config *tls.Config, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, shakeWithin)
	defer cancel()
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what it did
	}
	conn := tls.Client(plain, config)
	if err := errors.Join(watch(plain), conn.HandshakeContext(ctx)); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return conn, nil
}
