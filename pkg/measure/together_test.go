package measure_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/measure"
)

// deltas draws what a generator may tell of a second: counts, of this second's
// requests and of earlier ones, and its state.
func deltas(second int) *rapid.Generator[[]measure.Window] {
	return rapid.Custom(func(t *rapid.T) []measure.Window {
		var ws []measure.Window
		for range rapid.IntRange(0, 3).Draw(t, "deltas") {
			h := histograms().Draw(t, "response")
			ws = append(ws, measure.Window{
				Start: time.Duration(rapid.IntRange(0, second).Draw(t, "due")) * time.Second,
				Sent:  rapid.Uint64Range(0, 9).Draw(t, "sent"), Done: h.Count(), Response: h, Lag: histograms().Draw(t, "lag"),
				Errors: map[measure.Class]uint64{measure.Timeout: rapid.Uint64Range(0, 9).Draw(t, "timeouts")},
			})
		}
		return append(ws, measure.Window{
			Start: time.Duration(second) * time.Second, Length: time.Second,
			Users: rapid.IntRange(0, 99).Draw(t, "users"), InFlight: rapid.IntRange(0, 9).Draw(t, "in flight"),
			Oldest: time.Duration(rapid.IntRange(0, 9).Draw(t, "oldest")) * time.Second,
			Effort: &measure.Effort{CPU: float64(rapid.IntRange(0, 9).Draw(t, "cores"))},
		})
	})
}

// whole says the same as one generator's report: all counts, and one state.
func whole(parts ...measure.Tick) measure.Tick {
	all := measure.Tick{At: parts[0].At}
	state := measure.Window{Effort: &measure.Effort{}}
	for _, part := range parts {
		last := len(part.Windows) - 1
		w := part.Windows[last]
		state.Start, state.Length = w.Start, w.Length
		state.Users, state.InFlight, state.Oldest = state.Users+w.Users, state.InFlight+w.InFlight, max(state.Oldest, w.Oldest)
		state.Effort.CPU += w.Effort.CPU
		all.Windows = append(all.Windows, part.Windows[:last]...)
	}
	all.Windows = append(all.Windows, state)
	return all
}

func TestGeneratorsTogetherTellWhatOneWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var one, many measure.Series
		generators := rapid.IntRange(1, 5).Draw(t, "generators")
		for second := range rapid.IntRange(1, 4).Draw(t, "seconds") {
			var parts []measure.Tick
			for range generators {
				parts = append(parts, measure.Tick{At: time.Duration(second+1) * time.Second, Windows: deltas(second).Draw(t, "windows")})
			}
			one.Add(whole(parts...))
			many.Add(measure.Together(rapid.Permutation(parts).Draw(t, "order")...))
		}
		for i := range many.Windows {
			many.Windows[i].Late = 0 // of which one generator says nothing
		}
		if want, got := text(t, one), text(t, many); want != got {
			t.Fatalf("one generator tells\n%s\nand %d together\n%s", want, generators, got)
		}
	})
}

func text(t *rapid.T, s measure.Series) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheWorstGeneratorSpeaksForAll(t *testing.T) {
	lag := func(ms, n int) measure.Histogram {
		return measure.NewHistogram(measure.Bucket{Value: time.Duration(ms) * time.Millisecond, Count: uint64(n)})
	}
	part := func(h measure.Histogram, e *measure.Effort) measure.Tick {
		return measure.Tick{At: time.Second, Windows: []measure.Window{{Lag: h}, {Length: time.Second, Effort: e}}}
	}
	all := measure.Together(
		part(lag(1, 100_000), &measure.Effort{CPU: 0.2, Cores: 1, Busy: 0.2, Turn: time.Millisecond, HostIdle: 0.9}),
		part(lag(300, 100), &measure.Effort{CPU: 0.9, Cores: 2, Busy: 0.9, Turn: time.Second, HostIdle: 0.1, Throttled: new(0.5)}),
		part(lag(900, 99), nil), // it tells nothing of itself, and of too few requests
	)
	w := all.Windows[0]
	if got := *w.Effort; w.Late != 300*time.Millisecond || got.CPU != 1.1 || got.Cores != 3 || got.Busy != 0.9 || got.Turn != time.Second || got.HostIdle != 0.1 || *got.Throttled != 0.5 {
		t.Errorf("%v late, %+v", w.Late, got)
	}
	if p99 := w.Lag.Quantile(0.99); p99 != time.Millisecond || len(all.Windows) != 1 {
		t.Errorf("of all requests together: %v late, in %d windows", p99, len(all.Windows))
	}
}

func TestTogetherIsAsLateAsTheEarliest(t *testing.T) {
	ats := []time.Duration{5 * time.Second, 3 * time.Second, 4 * time.Second}
	var ticks []measure.Tick
	for _, at := range ats {
		ticks = append(ticks, measure.Tick{At: at})
	}
	if got := measure.Together(ticks...); got.At != slices.Min(ats) || len(got.Windows) != 0 {
		t.Errorf("got %+v", got)
	}
}
