// Package load is virtual users on a URL: each sends its request, waits, and
// sends again, on a connection of its own. It runs in this process ([Run]) or
// as an agent inside the service's network namespace ([Serve], [Remote]).
//
// It measures and doesn't judge. What the service did and how late the
// generator itself was are kept apart by five stamps on every request: due,
// start, sent, first byte, done.
package load

import (
	"bytes"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"sweep/pkg/experiment"
)

// Plan is all that a generator must know. It travels to an agent as JSON.
type Plan struct {
	Address string          `json:"address"` // host:port
	Ready   Ready           `json:"ready"`
	Method  string          `json:"method"`
	Request []byte          `json:"request"` // the whole request as it goes over the wire
	Timeout time.Duration   `json:"timeout"`
	Status  []int           `json:"status"`             // the right statuses
	Text    string          `json:"contains,omitempty"` // text that a right answer contains
	Ramp    experiment.Ramp `json:"ramp"`
	Wait    experiment.Wait `json:"wait"`
	Seed    int64           `json:"seed"`
}

// Ready is how to see that the service has started; see [experiment.Ready].
type Ready struct {
	URL    string        `json:"url,omitempty"` // empty: the address accepts connections
	Within time.Duration `json:"within"`
}

// NewPlan returns the experiment's plan for the service at address. The body
// is the experiment's, or the one in its body file.
func NewPlan(e *experiment.Experiment, address string, body []byte) Plan {
	p := Plan{
		Address: address,
		Ready:   Ready{Within: e.Service.Ready.Within.Std()},
		Method:  e.Request.Method,
		Request: render(e.Request, address, body),
		Timeout: e.Request.Timeout.Std(),
		Status:  e.Request.Expect.Status,
		Text:    e.Request.Expect.Contains,
		Ramp:    e.Users.Ramp(),
		Wait:    e.Users.Wait,
		Seed:    e.Search.Seed,
	}
	if path := e.Service.Ready.Path; path != "" {
		p.Ready.URL = "http://" + address + path
	}
	return p
}

// render writes a request once, as it is sent every time.
func render(r experiment.Request, address string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Path)
	sent := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, r.Headers[name].Resolved)
		sent[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	for _, h := range []struct{ name, value string }{
		{"Host", address}, {"User-Agent", "sweep"}, {"Accept", "*/*"},
	} {
		if !sent[h.name] {
			fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
		}
	}
	if len(body) > 0 || !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, strings.ToUpper(r.Method)) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
