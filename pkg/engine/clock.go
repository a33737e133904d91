package engine

import "time"

// clockReadings is how often an engine's clock is read when we connect.
const clockReadings = 3

// A reading is what an engine's clock said to a question.
type reading struct {
	sent   time.Time     // by our clock
	trip   time.Duration // until the answer was here
	engine time.Time     // somewhere in between
}

// ahead returns by how much an engine's clock is ahead of ours, from the
// reading with the shortest trip. Where the engine's time lies between question
// and answer the clocks can't be told apart, and on one machine they are the
// same: then it is nothing.
func ahead(readings []reading) time.Duration {
	var best time.Duration
	shortest := time.Duration(-1)
	for _, r := range readings {
		if shortest >= 0 && r.trip >= shortest {
			continue
		}
		shortest = r.trip
		best = r.engine.Sub(r.sent.Add(r.trip / 2))
		if best.Abs() <= r.trip/2 {
			best = 0
		}
	}
	return best
}

// ours parses a time of the engine's and returns it by our clock. Engine times
// that are only compared with one another need no translation.
func (e *Engine) ours(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	return t.Add(-e.ahead), err
}
