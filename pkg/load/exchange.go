package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"sweep/pkg/measure"
)

// A client is one user's connection. It is not for use by several goroutines.
type client struct {
	plan   *Plan
	dial   func(ctx context.Context, address string) (net.Conn, error)
	conn   net.Conn
	forget func() bool // lets go of the watch that closes conn when the load ends
}

// stamps are the instants of one request, since the load began.
type stamps struct {
	due   time.Duration // when the user wanted to send it
	start time.Duration // when the generator began to
	send  time.Duration // when there was a connection, and sending began
	sent  time.Duration // when it was written
	first time.Duration // when the first byte of the answer came
	done  time.Duration // when the last one did, or when the request failed
}

// readers are shared by all users: one is needed only while a request is out.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }} //nolint:gochecknoglobals // a pool is shared by its nature

// exchange sends the request and reads the answer. It fills the stamps after
// start and returns the class of failure, empty for a right answer. stale says
// that the service had closed the idle connection, so that the request was
// sent once more on a fresh one: a race that any keep-alive client runs into.
func (c *client) exchange(ctx context.Context, now func() time.Duration, s *stamps) (class measure.Class, stale bool) {
	deadline := time.Now().Add(c.plan.Timeout)
	reused := c.conn != nil
	class, answered := c.attempt(ctx, deadline, now, s)
	if reused && !answered && class == measure.Reset {
		stale = true
		class, _ = c.attempt(ctx, deadline, now, s)
	}
	s.done = now()
	if class != "" && class != measure.BadStatus && class != measure.BadContent {
		c.close()
	}
	return class, stale
}

func (c *client) close() {
	if c.conn != nil {
		c.forget()
		_ = c.conn.Close() // nothing is lost: the connection is done with
		c.conn = nil
	}
}

// attempt makes one try. answered says that at least a byte of an answer came.
func (c *client) attempt(ctx context.Context, deadline time.Time, now func() time.Duration, s *stamps) (class measure.Class, answered bool) {
	if c.conn == nil {
		dialCtx, cancel := context.WithDeadline(ctx, deadline)
		conn, err := c.dial(dialCtx, c.plan.Address)
		cancel()
		if err != nil {
			return classify(err, measure.Refused), false
		}
		// A user that waits for an answer must not keep a load that has ended.
		c.conn, c.forget = conn, context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	s.send = now()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return c.broken(err), false
	}
	if _, err := c.conn.Write(c.plan.Request); err != nil {
		return c.broken(err), false
	}
	s.sent = now()
	r := readers.Get().(*bufio.Reader) //nolint:forcetypeassert // the pool holds nothing else
	r.Reset(c.conn)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	if _, err := r.Peek(1); err != nil {
		return c.broken(err), false
	}
	s.first = now()
	return c.read(r), true
}

// broken drops the connection and names why.
func (c *client) broken(err error) measure.Class {
	c.close()
	return classify(err, measure.Reset)
}

// maxBody is how much of an answer's body is kept to look for the expected text.
const maxBody = 1 << 20

// read takes one answer off the connection and holds it against what is expected.
func (c *client) read(r *bufio.Reader) measure.Class {
	resp, err := c.response(r) //nolint:bodyclose // the body is read to its end below; closing it does nothing more
	if err != nil {
		if isTransport(err) {
			return c.broken(err)
		}
		return measure.Protocol
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return c.broken(err)
	}
	// Bytes beyond the answer belong to no request: the connection is out of step.
	if resp.Close || r.Buffered() > 0 {
		c.close()
	}
	switch {
	case !slices.Contains(c.plan.Status, resp.StatusCode):
		return measure.BadStatus
	case c.plan.Text != "" && !bytes.Contains(body, []byte(c.plan.Text)):
		return measure.BadContent
	default:
		return ""
	}
}

// response reads the head of an answer, past the interim ones (1xx).
func (c *client) response(r *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: c.plan.Method})
		if err != nil || resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err //nolint:wrapcheck // classified by the caller
		}
	}
}

// isTransport tells a broken connection from an answer that isn't HTTP.
func isTransport(err error) bool {
	var netErr net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr)
}

// classify names a failure of the connection. What the generator's own side
// ran out of is never the service's fault.
func classify(err error, otherwise measure.Class) measure.Class {
	for _, own := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
	} {
		if errors.Is(err, own) {
			return measure.Own
		}
	}
	var netErr net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &netErr) && netErr.Timeout() {
		return measure.Timeout
	}
	return otherwise
}
