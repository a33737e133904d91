package measure_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/measure"
)

func histograms() *rapid.Generator[measure.Histogram] {
	return rapid.Custom(func(t *rapid.T) measure.Histogram {
		return measure.NewHistogram(rapid.SliceOf(rapid.Custom(func(t *rapid.T) measure.Bucket {
			return measure.Bucket{
				Value: time.Duration(rapid.Int64Range(0, 1e8).Draw(t, "µs")) * time.Microsecond,
				Count: rapid.Uint64Range(0, 1000).Draw(t, "count"),
			}
		})).Draw(t, "buckets")...)
	})
}

func TestHistogramMergesExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := histograms().Draw(t, "a"), histograms().Draw(t, "b")
		limit := time.Duration(rapid.Int64Range(0, 1e11).Draw(t, "limit"))
		ab, ba := a, b
		ab.Merge(b)
		ba.Merge(a)
		if !slices.Equal(ab.Buckets(), ba.Buckets()) {
			t.Fatal("merging depends on the order")
		}
		if ab.Count() != a.Count()+b.Count() || ab.Above(limit) != a.Above(limit)+b.Above(limit) {
			t.Fatal("merging loses or invents durations")
		}
	})
}

func TestQuantileAndAboveSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histograms().Filter(func(h measure.Histogram) bool { return h.Count() > 0 }).Draw(t, "h")
		q := rapid.Float64Range(0.01, 1).Draw(t, "q")
		v := h.Quantile(q)
		if share := 1 - float64(h.Above(v))/float64(h.Count()); share < q-1e-9 {
			t.Fatalf("only %v are within the %v-quantile %v", share, q, v)
		}
		if share := 1 - float64(h.Above(v-1))/float64(h.Count()); share >= q+1e-9 {
			t.Fatalf("%v is not the least value: %v are below it", v, share)
		}
	})
}

func TestHistogramSurvivesTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histograms().Draw(t, "h")
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back measure.Histogram
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.Buckets(), back.Buckets()) {
			t.Fatalf("%v came back as %v", h.Buckets(), back.Buckets())
		}
	})
}

func FuzzHistogramJSON(f *testing.F) {
	f.Add([]byte(`"AQE="`))
	f.Add([]byte(`"AQ=="`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var h measure.Histogram
		_ = json.Unmarshal(text, &h) // must not panic
		h.Quantile(0.5)
	})
}

func TestSeriesKeepsEverySecond(t *testing.T) {
	var s measure.Series
	s.Add(measure.Tick{At: time.Second, Windows: []measure.Window{{Start: 0, Length: time.Second, Sent: 5, Done: 3, Users: 5}}})
	s.Add(measure.Tick{At: 4 * time.Second, Windows: []measure.Window{
		{Start: 0, Done: 1, Errors: map[measure.Class]uint64{measure.Timeout: 1}}, // late answers to the first second
		{Start: 3 * time.Second, Length: time.Second, Sent: 2, Users: 9},
	}})
	if len(s.Windows) != 4 || s.At != 4*time.Second {
		t.Fatalf("%d windows until %v", len(s.Windows), s.At)
	}
	if w := s.Windows[0]; w.Done != 4 || w.Pending() != 0 || w.Failed() != 1 || w.Users != 5 {
		t.Errorf("first second: %+v", w)
	}
	if w := s.Windows[2]; w.Start != 2*time.Second || w.Sent != 0 {
		t.Errorf("a second without requests: %+v", w)
	}
	if first, last := s.Windows[0].Answered, s.Windows[3].Answered; first != 3 || last != 1 {
		t.Errorf("answers by the second in which they came: %d and %d, want 3 and 1", first, last)
	}
	if w := s.Last(); w.Users != 9 || w.Pending() != 2 {
		t.Errorf("last: %+v", w)
	}
}

func TestUsageIsWhatWasUsedBetween(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	n := func(v uint64) *uint64 { return &v }
	before := measure.Counters{Read: at, CPU: 10 * time.Second, Periods: n(100), Throttled: n(10)}
	after := measure.Counters{Read: at.Add(2 * time.Second), CPU: 11 * time.Second, Periods: n(120), Throttled: n(15), Memory: 7}
	u := after.Since(before)
	if u.CPU != 0.5 || *u.Throttled != 0.25 || u.Memory != 7 {
		t.Errorf("got %+v", u)
	}
	after.Throttled = nil
	if u = after.Since(before); u.Throttled != nil {
		t.Errorf("what the engine doesn't tell came out as %v", *u.Throttled)
	}
	if after.Since(after) != nil {
		t.Error("no time passed, yet something was used")
	}
}

func TestFaultsAndPressureAreSharesOfTheTime(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	before := measure.Counters{Read: at, Faults: new(uint64(100)), Stalls: &measure.Stalls{CPU: time.Second, Memory: time.Second}}
	after := measure.Counters{Read: at.Add(2 * time.Second), Faults: new(uint64(700)), Stalls: &measure.Stalls{CPU: 2 * time.Second, Memory: 1200 * time.Millisecond}}
	u := after.Since(before)
	if *u.Faults != 300 || u.Pressure.CPU != 0.5 || u.Pressure.Memory < 0.099 || u.Pressure.Memory > 0.101 || u.Pressure.IO != 0 {
		t.Errorf("got %v faults/s, %+v", *u.Faults, *u.Pressure)
	}
	before.Faults, before.Stalls = nil, nil
	if u = after.Since(before); u.Faults != nil || u.Pressure != nil {
		t.Errorf("what wasn't known before came out as %v, %v", u.Faults, u.Pressure)
	}
}

func TestCountsAreSummedAndNeverShared(t *testing.T) {
	one := measure.Window{Errors: map[measure.Class]uint64{measure.BadStatus: 3}, Statuses: map[int]uint64{503: 2, 504: 1}}
	all := one
	all.Merge(measure.Window{Errors: map[measure.Class]uint64{measure.BadStatus: 1}, Statuses: map[int]uint64{504: 1}})
	all.Merge(measure.Window{Errors: map[measure.Class]uint64{measure.Timeout: 1}})
	if all.Errors[measure.BadStatus] != 4 || all.Failed() != 5 || !maps.Equal(all.Statuses, map[int]uint64{503: 2, 504: 2}) {
		t.Errorf("got %v, %v", all.Errors, all.Statuses)
	}
	if one.Errors[measure.BadStatus] != 3 || one.Statuses[504] != 1 {
		t.Errorf("a window that was merged changed: %v, %v", one.Errors, one.Statuses)
	}
	if none := (measure.Window{}); json.Unmarshal([]byte(`{"errors": {"status": 3}}`), &none) != nil || none.Statuses != nil {
		t.Errorf("of a file that tells no statuses: %v", none.Statuses)
	}
}

func TestNetworkIsSummedButNeverMadeUp(t *testing.T) {
	var w measure.Window
	for i, n := range []*measure.Network{nil, {ListenOverflows: 1, ListenDrops: 2, Retransmits: 3}, nil, {ListenOverflows: 10, ListenDrops: 20, Retransmits: 30}} {
		w.Merge(measure.Window{Start: time.Duration(i) * time.Second, Length: time.Second, Network: n})
		if (w.Network != nil) != (i > 0) {
			t.Errorf("after %d windows: %+v", i+1, w.Network)
		}
	}
	if *w.Network != (measure.Network{ListenOverflows: 11, ListenDrops: 22, Retransmits: 33}) {
		t.Errorf("got %+v", *w.Network)
	}
}

// What is decoded by hand is what encoding/json makes of it, whatever it is.
func FuzzDecode(f *testing.F) {
	h := measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: 3}, measure.Bucket{Value: time.Second, Count: 1})
	text, err := json.Marshal(measure.Result{Schema: measure.Schema, NotReady: `says "no" \ {[`, Series: measure.Series{At: time.Second, Windows: []measure.Window{
		{Length: time.Second, Errors: map[measure.Class]uint64{measure.Reset: 2}, Connect: h, Response: h, Usage: &measure.Usage{CPU: 0.5}}, {Start: time.Second},
	}}, Warnings: []string{"]}"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte(","), []byte(" ,\n\t")))
	f.Add(text[:len(text)-20])
	f.Add(append(text, '}'))
	for _, odd := range []string{
		`{}`, `null`, `{,}`, `{"series":null}`, `{"series":{"windows":null}}`, `{"series":{"windows":[{"first":null},null]}}`, `{"series":{"windows":[,]}}`,
		`{"Series":{"windows":[{"FIRST":"AQE="}]}}`, `{"series":{"windows":[{"first":"AQ\u003d="}]}}`, `{"took":{"load":1},"ready":true}`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want measure.Result
		wantErr := json.Unmarshal(text, &want)
		got, err := measure.Decode(text)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, want %v", err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}
