package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// clients is a wire of net/http clients, one a user: for HTTPS and HTTP/2, and
// where there is no epoll. It costs some ten times as much as sockets.
type clients struct {
	*clock
	settle func(user int32, s stamps, class measure.Class, status int, stale bool)

	plan   *Plan
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	users  []*client
	ended  chan *call
	calls  sync.WaitGroup
	expect []byte
}

// client is a user's connection.
type client struct {
	transport *http.Transport
	dialled   *dialled
	call      *call // the request that is out
	kept      bool  // whether there is an idle connection, for all that the service has said
}

// dialled is the connection of a transport, which by itself keeps that of an
// HTTP/2 request that is given up, for others that nobody will send.
type dialled struct {
	via func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	conn net.Conn // the last: those before it were done with
	over bool
}

func (d *dialled) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.via(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		_ = conn.Close() // nothing is lost: nobody waits for it any more
		return nil, net.ErrClosed
	}
	d.conn = conn
	return conn, nil
}

// close closes the connection, even one that is yet to come about.
func (d *dialled) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.conn != nil {
		_ = d.conn.Close() // likewise
	}
}

// call is a request that is out. Its goroutine writes what it sees into it,
// and then hands it over.
type call struct {
	user      int32
	transport *http.Transport
	cancel    context.CancelFunc
	stamps
	class  measure.Class
	status int  // of the answer; 0: none came
	tries  int  // connections that it was sent on
	fresh  bool // whether the last of them had to be opened
	keep   bool // whether the service keeps that one open
}

func newClients(plan *Plan, c *clock, dial func(context.Context, string, string) (net.Conn, error)) *clients {
	return &clients{clock: c, plan: plan, dial: dial, ended: make(chan *call), expect: []byte(plan.Text)}
}

// close returns once no goroutine is left. Every user must have been hung up on.
func (c *clients) close() {
	go func() {
		for range c.ended { // those that were given up
		}
	}()
	c.calls.Wait()
	close(c.ended)
}

// send implements [wire].
func (c *clients) send(user int32, row int) {
	for int(user) >= len(c.users) {
		c.users = append(c.users, &client{})
	}
	u := c.users[user]
	if u.transport == nil {
		u.dialled = &dialled{via: c.dial}
		u.transport = c.plan.transport(u.dialled.dial)
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // hangUp is what ends it
	u.call = &call{user: user, transport: u.transport, cancel: cancel}
	call := u.call
	c.calls.Go(func() {
		call.class = c.exchange(ctx, call, row)
		call.done = time.Since(c.began)
		cancel()
		c.ended <- call
	})
}

// transport returns a client that has one connection and speaks the plan's
// protocol.
func (p *Plan) transport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	t := &http.Transport{
		DialContext: dial, DisableCompression: true, DisableKeepAlives: p.Fresh,
		MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: p.Insecure},
	}
	if p.Protocol == experiment.H2C {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// exchange sends the request and reads the answer. It returns the class of
// failure, empty for a right answer.
func (c *clients) exchange(ctx context.Context, call *call, row int) measure.Class {
	ctx = httptrace.WithClientTrace(ctx, c.trace(call))
	req, err := c.request(ctx, row)
	if err != nil {
		return measure.Own
	}
	resp, err := call.transport.RoundTrip(req)
	if err != nil {
		return failure(err, call)
	}
	defer resp.Body.Close()
	call.status, call.keep = resp.StatusCode, !resp.Close && !c.plan.Fresh
	found, err := contains(resp.Body, c.expect)
	switch {
	case err != nil:
		return failure(err, call)
	case !right(c.plan.Status, resp.StatusCode):
		return measure.BadStatus
	case !found:
		return measure.BadContent
	default:
		return ""
	}
}

// trace takes the stamps. A request that finds its idle connection closed is
// sent again on a fresh one by net/http itself.
func (c *clients) trace(call *call) *httptrace.ClientTrace {
	var began time.Duration
	return &httptrace.ClientTrace{
		GetConn: func(string) { began = time.Since(c.began) },
		GotConn: func(info httptrace.GotConnInfo) {
			call.tries++
			call.send = time.Since(c.began)
			if call.fresh = !info.Reused; call.fresh {
				call.connect = max(1, call.send-began)
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { call.sent = time.Since(c.began) },
		GotFirstResponseByte: func() { call.first = time.Since(c.began) },
	}
}

func (c *clients) request(ctx context.Context, row int) (*http.Request, error) {
	r := &c.plan.Request
	body := r.Body.Append(nil, r.Row(row))
	url := c.plan.scheme() + "://" + c.plan.Address + string(r.Path.Append(nil, r.Row(row)))
	req, err := http.NewRequestWithContext(ctx, r.Method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err //nolint:wrapcheck // only that there is one counts
	}
	for _, h := range r.Headers {
		value := string(h.Value.Append(nil, r.Row(row)))
		switch name := http.CanonicalHeaderKey(h.Name); name {
		case "Host":
			req.Host = value
		case "Connection": // net/http's own business
		default:
			req.Header[name] = []string{value}
		}
	}
	// An empty list is not sent, but lets net/http send a POST again.
	if req.Header.Get("Idempotency-Key") == "" {
		req.Header["Idempotency-Key"] = []string{}
	}
	return req, nil
}

// step implements [wire].
func (c *clients) step(ctx context.Context, until time.Duration) error {
	timer := time.NewTimer(until - c.now)
	defer timer.Stop()
	from := c.now
	select {
	case call := <-c.ended:
		c.waited(from)
		if u := c.users[call.user]; u.call == call { // else it was given up
			stale := u.kept && call.fresh
			u.call, u.kept = nil, call.keep
			c.settle(call.user, call.stamps, call.class, call.status, stale)
		}
	case <-timer.C:
		c.waited(from)
	case <-ctx.Done():
	}
	return nil
}

// hangUp implements [wire].
func (c *clients) hangUp(user int32) {
	if int(user) >= len(c.users) {
		return
	}
	u := c.users[user]
	if u.call != nil {
		u.call.cancel()
		u.call = nil
	}
	if u.transport != nil {
		u.transport.CloseIdleConnections()
		u.dialled.close()
		u.transport, u.kept = nil, false
	}
}

// contains reads a body to its end, and reports whether text is in it.
func contains(body io.Reader, text []byte) (bool, error) {
	found := len(text) == 0
	buffer := make([]byte, 0, 32<<10)
	for {
		n, err := body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		found = found || bytes.Contains(buffer, text)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return found, err //nolint:wrapcheck // classified by the caller
		}
		// What may be the beginning of text is kept.
		if keep := len(text) - 1; len(buffer) > keep {
			copy(buffer, buffer[len(buffer)-max(0, keep):])
			buffer = buffer[:max(0, keep)]
		}
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
	}
}
