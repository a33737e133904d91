package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"sweep/pkg/measure"
)

// Readiness is looked at this often, and must be seen this many times running.
const (
	lookEvery = 50 * time.Millisecond
	lookFor   = 5 * time.Second // the longest that one look may take
	inARow    = 3
)

// prober returns one look at the service: nil means that it is up.
func prober(plan Plan) func(context.Context) error {
	if plan.Ready.URL == "" {
		return func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", plan.Address)
			if err != nil {
				return fmt.Errorf("connecting: %w", err)
			}
			return conn.Close()
		}
	}
	probing := plan
	probing.Fresh = true
	client := &http.Client{
		Transport:     probing.transport((&net.Dialer{}).DialContext),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, plan.Ready.URL, nil)
		if err != nil {
			return fmt.Errorf("asking for readiness: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err //nolint:wrapcheck // says method and URL already
		}
		defer resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode >= 400 {
			return fmt.Errorf("GET %s answered %s", plan.Ready.URL, resp.Status)
		}
		return nil
	}
}

func await(ctx context.Context, within time.Duration, probe func(context.Context) error) error {
	deadline := time.Now().Add(within)
	last := error(nil)
	for seen := 0; time.Now().Before(deadline); {
		lookCtx, cancel := context.WithTimeout(ctx, lookFor)
		err := probe(lookCtx)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			if seen++; seen == inARow {
				return nil
			}
			continue
		}
		seen, last = 0, err
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if last == nil {
		return fmt.Errorf("%w within %s: it began to answer, but not %d times running", measure.ErrNotReady, within, inARow)
	}
	return fmt.Errorf("%w within %s: %w", measure.ErrNotReady, within, last)
}
