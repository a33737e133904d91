package load

import (
	"context"
	"iter"

	"sweep/pkg/measure"
)

// Local is a generator whose users are played by this process. It shares its
// cores with whatever else the process does, and knows nothing of the service's
// network namespace.
type Local struct {
	// Plan returns what to do with a fresh start of the service.
	Plan func(t measure.Target) Plan
}

// Await waits until it sees that the target is ready.
func (l *Local) Await(ctx context.Context, t measure.Target) error { return Await(ctx, l.Plan(t)) }

// Run plays the users.
func (l *Local) Run(ctx context.Context, t measure.Target) iter.Seq2[measure.Tick, error] {
	return Run(ctx, l.Plan(t))
}

// Close does nothing: leaving Run ends the load.
func (l *Local) Close() error { return nil }

// Ceiling returns how many of the plan's requests a second this process can
// make at most; see [Ceiling].
func (l *Local) Ceiling(ctx context.Context) (float64, error) {
	return Ceiling(ctx, l.Plan(measure.Target{Address: loopback}))
}

// loopback stands for any address where none is asked.
const loopback = "127.0.0.1:1"
