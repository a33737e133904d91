// Package load is virtual users on a URL: each sends its request, waits, and
// sends again, on a connection of its own; or open arrivals, which wait for
// nobody. It runs in this process ([Run]) or as an agent inside the service's
// network namespace ([Serve], [Remote]).
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
}

// Ready is how to see that the service has started; see [experiment.Ready].
type Ready struct {
	URL    string        `json:"url,omitempty"` // empty: the address accepts connections
	Within time.Duration `json:"within"`
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

func (p *Plan) scheme() string {
	if p.Protocol == experiment.HTTPS {
		return experiment.HTTPS
	}
	return experiment.HTTP
}
