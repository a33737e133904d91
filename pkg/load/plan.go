// Package load is virtual users on a URL: each sends its request, waits, and
// sends again, on a connection of its own; or open arrivals, which wait for
// nobody. It runs in this process ([Run]), as an agent inside the service's
// network namespace ([Serve], [Remote]), or as several agents ([Fleet]), which a
// relay reaches on other machines ([Relay], [Join]).
//
// It measures and doesn't judge. What the service did and how late the
// generator itself was are kept apart by five stamps on every request: due,
// start, sent, first byte, done.
package load

import (
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
)

// Plan is all that a generator must know. It travels to an agent as JSON.
type Plan struct {
	Address  string          `json:"address"`            // host:port
	Protocol string          `json:"protocol,omitempty"` // see [experiment.Request]; empty is plain HTTP/1.1
	Insecure bool            `json:"insecure,omitempty"` // whether any certificate will do
	Fresh    bool            `json:"fresh,omitempty"`    // whether every request opens a connection
	Mute     bool            `json:"mute,omitempty"`     // whether users only open connections, and send nothing
	Inside   bool            `json:"inside,omitempty"`   // whether the load comes from the service's own network namespace
	Ready    Ready           `json:"ready"`
	Request  http1.Request   `json:"request"`
	Random   bool            `json:"random,omitempty"` // whether the feed's rows are taken at random
	Timeout  time.Duration   `json:"timeout"`
	Status   []int           `json:"status"`             // the right statuses
	Text     string          `json:"contains,omitempty"` // text that a right answer contains
	Ramp     experiment.Ramp `json:"ramp"`
	Open     bool            `json:"open,omitempty"` // whether the ramp's numbers are arrivals a second
	Wait     experiment.Wait `json:"wait"`
	Seed     int64           `json:"seed"`
	Segment  Segment         `json:"segment,omitzero"` // which of the users, or arrivals, are played
}

// Segment is a part of a load that several generators play together: of all
// users, in the order in which they come, every Of-th from Index on. Each user
// comes at the instant, waits as long and asks as often as if one generator
// played all. The zero value is the whole.
type Segment struct {
	Index int `json:"index"` // from 0
	Of    int `json:"of"`    // how many segments there are
}

// share returns which of how many crowds is the segment's own i-th of n.
func (s Segment) share(i, n int) (share, shares int) {
	of := max(1, s.Of)
	return s.Index + i*of, n * of
}

// of returns how many of the first n users are in the segment.
func (s Segment) of(n int) int {
	of := max(1, s.Of)
	return (n + of - 1 - s.Index) / of
}

// Ready is how to see that the service has started; see [experiment.Ready].
type Ready struct {
	URL    string        `json:"url,omitempty"` // empty: the address accepts connections
	Within time.Duration `json:"within"`
}

// leastWait is how long a service that is ready has to show it, however long its
// load took to get so far.
const leastWait = 5 * time.Second

// After returns r for a service that has been starting for some time.
func (r Ready) After(spent time.Duration) Ready {
	r.Within = max(r.Within-spent, min(r.Within, leastWait))
	return r
}

// NewPlan returns the experiment's plan for the service at address. The
// experiment must have the content of the files that it names; the error says
// which rows of its feed don't fit the request, and doesn't depend on address.
func NewPlan(e *experiment.Experiment, address string) (Plan, error) {
	request, err := http1.NewRequest(e.Request, address)
	if err != nil {
		return Plan{}, err //nolint:wrapcheck // says file and line
	}
	p := Plan{
		Address:  address,
		Protocol: e.Request.Protocol,
		Insecure: e.Request.Insecure,
		Fresh:    e.Request.Connections == experiment.Fresh,
		Ready:    Ready{Within: e.Service.Ready.Within.Std()},
		Request:  request,
		Random:   e.Request.Feed != nil && e.Request.Feed.Order == experiment.Random,
		Timeout:  e.Request.Timeout.Std(),
		Status:   e.Request.Expect.Status,
		Text:     e.Request.Expect.Contains,
		Ramp:     e.Users.Ramp(),
		Open:     e.Users.Open(),
		Wait:     e.Users.Wait,
		Seed:     e.Search.Seed,
	}
	if path := e.Service.Ready.Path; path != "" {
		p.Ready.URL = p.scheme() + "://" + address + path
	}
	return p, nil
}

// peak returns the most users of its segment that there are at a time, or of
// open load the most arrivals a second.
func (p *Plan) peak() int { return p.Segment.of(p.Ramp.Peak()) }

func (p *Plan) scheme() string {
	if p.Protocol == experiment.HTTPS {
		return experiment.HTTPS
	}
	return experiment.HTTP
}
