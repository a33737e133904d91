package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/experiment"
)

// Bounds on what an agent reads of an answer, and how long it waits for one.
const (
	askedWithin = 10 * time.Second
	maxAnswer   = 2 << 20 // bytes: descriptions of big services have a megabyte
)

// Ask is one request whose answer is read, not measured.
type Ask struct {
	Method   string            `json:"method"`
	Address  string            `json:"address"` // host:port
	Path     string            `json:"path"`
	Protocol string            `json:"protocol"` // as in a request of an experiment; of https any certificate is taken
	Headers  map[string]string `json:"headers,omitempty"`
	Body     string            `json:"body,omitempty"`
}

// Answer is what came back. Redirects are not followed.
type Answer struct {
	Status int    `json:"status"` // 0 where Failed says why there is none
	Body   string `json:"body"`   // its first 2 MiB
	Failed string `json:"failed,omitempty"`
}

// Looker looks at a service through an agent in its network namespace. It is
// not for concurrent use.
type Looker struct{ agent *session }

// NewLooker returns a looker that talks to an agent over conn, and closes it.
func NewLooker(conn io.ReadWriteCloser) *Looker {
	return &Looker{&session{conn: conn, decoder: json.NewDecoder(conn)}}
}

// Ports returns the TCP ports that something listens on, ascending. Of Docker's
// own name server it doesn't tell.
func (l *Looker) Ports(ctx context.Context) ([]int, error) {
	f, err := l.agent.ask(ctx, order{Ports: true}, silence)
	return f.Ports, err
}

// Ask sends one request and returns its answer. The error is that of the
// instrument; what the service does is in the answer.
func (l *Looker) Ask(ctx context.Context, a Ask) (Answer, error) {
	f, err := l.agent.ask(ctx, order{Ask: &a}, silence)
	if err != nil {
		return Answer{}, err
	}
	if f.Answer == nil {
		return Answer{}, errTurn
	}
	return *f.Answer, nil
}

// Close ends the agent. It is safe to call again.
func (l *Looker) Close() error { return l.agent.close() }

// look carries out orders to look at the service until there are no more.
func look(ctx context.Context, o order, orders <-chan order, out *sender) error {
	for more := true; more; o, more = receive(ctx, orders) {
		var f frame
		switch {
		case o.Ports:
			f.Ports = listening(os.ReadFile)
		case o.Ask != nil:
			f.Answer = new(asked(ctx, *o.Ask))
		default:
			f.Failed = "the agent that looks at a service was told to do something else"
		}
		if err := out.send(f); err != nil {
			return err
		}
	}
	return nil
}

// asked sends one request, on a connection of its own.
func asked(ctx context.Context, a Ask) Answer {
	ctx, cancel := context.WithTimeout(ctx, askedWithin)
	defer cancel()
	scheme := "http"
	if a.Protocol == experiment.HTTPS {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, a.Method, scheme+"://"+a.Address+a.Path, strings.NewReader(a.Body))
	if err != nil {
		return Answer{Failed: err.Error()}
	}
	for name, value := range a.Headers {
		req.Header.Set(name, value)
	}
	plan := Plan{Protocol: a.Protocol, Insecure: true, Fresh: true}
	resp, err := plan.transport((&net.Dialer{}).DialContext).RoundTrip(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return Answer{Failed: fmt.Sprintf("no answer within %s", askedWithin)}
	}
	if err != nil {
		return Answer{Failed: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return Answer{Failed: fmt.Sprintf("status %d, and then: %v", resp.StatusCode, err)}
	}
	return Answer{Status: resp.StatusCode, Body: string(body)}
}

// listening returns the ports on which the kernel says that somebody listens.
// Nothing is known where it doesn't say.
func listening(read func(string) ([]byte, error)) []int {
	var ports []int
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := read(name)
		if err != nil {
			continue // without IPv6 there is one of them
		}
		ports = append(ports, parseListening(string(text))...)
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// parseListening reads /proc/net/tcp, whose lines have the local address and the
// state as the second and fourth fields:
//
//	0: 00000000:1F40 00000000:0000 0A ...
func parseListening(text string) []int {
	const (
		listens    = "0A"
		nameServer = "0B00007F" // 127.0.0.11, where Docker answers for names
	)
	var ports []int
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != listens {
			continue
		}
		host, port, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil && host != nameServer {
			ports = append(ports, int(n))
		}
	}
	return ports
}
