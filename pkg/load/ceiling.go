package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// ceilingUsers keep a generator busy without a wait.
const ceilingUsers = 64

// Ceiling returns how many of the plan's requests a second the generator can
// make at most in the place where it is, measured for a second against a
// service of its own that does nothing but answer. A real one beside it may
// leave it less CPU: only what is well under the ceiling can be relied on.
func Ceiling(ctx context.Context, plan Plan) (float64, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding the generator's ceiling: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing is lost with it
	plan.Request = plan.Request.Only(0)
	go answerAll(l, len(plan.Request.Fixed()), nullAnswer(&plan))
	plan.Address, plan.Protocol, plan.Fresh, plan.Open = l.Addr().String(), experiment.HTTP, false, false
	plan.Wait = experiment.Wait{}
	plan.Ramp = experiment.Ramp{{Users: ceilingUsers, Hold: experiment.Duration(time.Second)}}
	var s measure.Series
	for tick, err := range Run(ctx, plan) {
		if err != nil {
			return 0, fmt.Errorf("finding the generator's ceiling: %w", err)
		}
		s.Add(tick)
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return float64(s.Windows[0].Done) / s.Windows[0].Length.Seconds(), nil
}

// reach is the share of its ceiling up to which the generator is relied on:
// beyond it, what looks like the service's latency may be its own.
const reach = 0.8

// Demand returns the most requests a second that the plan can ask for: of open
// arrivals the rate, of users as many as there are in every wait, as if they
// were answered at once. It is +Inf where users don't wait.
func (p *Plan) Demand() float64 {
	if p.Open {
		return float64(p.peak())
	}
	return float64(p.peak()) / p.Wait.Mean().Seconds()
}

// Reaches returns an error where the plan may ask for more than can be relied
// on from a generator with this ceiling. Users who don't wait ask for as much
// as there is, which no ceiling can be held against.
func (p *Plan) Reaches(ceiling float64) error {
	demand := p.Demand()
	if demand <= reach*ceiling || math.IsInf(demand, 1) {
		return nil
	}
	return fmt.Errorf("the load asks for up to %.0f requests/s, but the generator makes at most %.0f here, and is relied on up to %.0f %% of that: "+
		"ask for fewer users, or let them wait longer, or give the generator a machine with more cores", demand, ceiling, 100*reach)
}

// nullAnswer is a right answer to the plan's request.
func nullAnswer(plan *Plan) []byte {
	var b bytes.Buffer
	status := plan.Status[0]
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(plan.Text), plan.Text)
	return b.Bytes()
}

// answerAll answers requests of one length until its listener is closed.
func answerAll(l net.Listener, length int, answer []byte) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() { // ends when the user hangs up
			defer conn.Close() //nolint:errcheck // likewise
			for request := make([]byte, length); ; {
				if _, err := io.ReadFull(conn, request); err != nil {
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}
