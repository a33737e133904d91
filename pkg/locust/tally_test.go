package locust

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/measure"
)

func TestWhatIsDealtOutIsWhatThereWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.MapOfN(rapid.Float64Range(0, 1000), rapid.Uint64Range(0, 300), 0, 30).Draw(t, "counts")
		room := rapid.SliceOfN(rapid.Uint64Range(0, 500), 0, 5).Draw(t, "room")
		dealt, all := deal(counts, room), map[float64]uint64{}
		for i, place := range dealt {
			if got := sum(slices.Collect(maps.Values(place))); got > room[i] {
				t.Fatalf("place %d has room for %d, and got %d", i, room[i], got)
			}
			for key, n := range place {
				all[key] += n
			}
		}
		want := sum(slices.Collect(maps.Values(counts)))
		if got := sum(slices.Collect(maps.Values(all))); got != min(want, sum(room)) {
			t.Fatalf("of %d with room for %d, %d were dealt", want, sum(room), got)
		}
		for key, n := range all {
			if n > counts[key] {
				t.Fatalf("%v was dealt %d times, and there were %d", key, n, counts[key])
			}
		}
	})
}

// The largest report that is believed must not keep the master for long either.
func TestTheLargestReportIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.MapOfN(rapid.Float64Range(0, mostKey), rapid.Uint64Range(mostCounted-9, mostCounted), 1, 300)
		seconds := rapid.MapOfN(rapid.Map(rapid.IntRange(0, 1000), func(n int) float64 { return float64(n) }), rapid.Uint64Range(mostCounted-9, mostCounted), 1, mostSeconds)
		s := statistics{Total: entry{Times: counts.Draw(t, "times"), PerSecond: seconds.Draw(t, "seconds"), Failed: seconds.Draw(t, "failed")}}
		tally := newTally(0)
		tally.add(s)
		for at, n := range s.Total.PerSecond {
			w := tally.take(int(at))
			if w.Sent != n || w.Pending() != 0 || w.Failed() != min(n, s.Total.Failed[at]) || w.Response.Max() < 0 {
				t.Fatalf("of %d requests, %d of them failed: %+v", n, s.Total.Failed[at], w)
			}
		}
	})
}

func TestEverySecondGetsItsShareOfTheSlow(t *testing.T) {
	counts := map[float64]uint64{10: 270}
	for ms := range 30 { // each slow one took another time
		counts[1000+float64(ms)] = 1
	}
	for i, place := range deal(counts, []uint64{60, 120, 120}) {
		if fast := place[10]; fast != []uint64{54, 108, 108}[i] {
			t.Errorf("second %d got %d fast ones", i, fast)
		}
	}
}

func TestASecondIsWhatAllWorkersToldOfIt(t *testing.T) {
	tally := newTally(1000)
	report := func(at float64, ok, failed uint64) statistics {
		return statistics{
			Total: entry{
				Times:     numbers{20: ok, 1500: failed},
				PerSecond: numbers{at: ok + failed}, Failed: numbers{at: failed},
			},
			Errors: map[string]failure{"a": {Error: "ConnectionRefusedError(111, 'Connection refused')", Occurrences: count(failed)}},
		}
	}
	tally.add(report(999, 5, 0)) // before the load
	tally.add(report(1002, 90, 0))
	tally.add(report(1002, 95, 5))
	w := tally.take(2)
	if w.Start != 2*time.Second || w.Sent != 190 || w.Done != 185 || w.Errors[measure.Refused] != 5 || w.Response.Count() != 190 || w.Response.Max() != 1500*time.Millisecond {
		t.Errorf("got %+v", w)
	}
	if again := tally.take(2); again.Sent != 0 {
		t.Errorf("taken twice: %+v", again)
	}
	tally.add(report(1001, 1, 0))
	if late := tally.late(2); len(late) != 1 || late[0].Sent != 1 || late[0].Start != time.Second {
		t.Errorf("late: %+v", late)
	}
}

func TestTheCrowdDependsOnNothingButItsNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var classes []Class
		for i, share := range rapid.SliceOfN(rapid.Float64Range(0.01, 1), 1, 4).Draw(t, "shares") {
			classes = append(classes, Class{Name: string(rune('A' + i)), Share: share})
		}
		total := 0.0
		for _, c := range classes {
			total += c.Share
		}
		for i := range classes {
			classes[i].Share /= total
		}
		workers := rapid.IntRange(1, 5).Draw(t, "workers")
		wandering, straight := newCrowd(classes, workers), newCrowd(classes, workers)
		n := 0
		for _, n = range rapid.SliceOfN(rapid.IntRange(0, 300), 1, 6).Draw(t, "numbers") {
			wandering.become(n)
		}
		straight.become(n)
		least, most := n, 0
		for i := range workers {
			if !maps.Equal(wandering.worker(i), straight.worker(i)) {
				t.Fatalf("worker %d has %v on the way, and %v at once", i, wandering.worker(i), straight.worker(i))
			}
			users := 0
			for _, k := range straight.worker(i) {
				users += k
			}
			least, most = min(least, users), max(most, users)
		}
		if most-least > 1 {
			t.Fatalf("workers have from %d to %d users", least, most)
		}
		for i, c := range classes {
			if off := float64(straight.of[i]) - c.Share*float64(n); off > float64(len(classes)) || off < -float64(len(classes)) {
				t.Fatalf("of %d users %d are %s, whose share is %v", n, straight.of[i], c.Name, c.Share)
			}
		}
	})
}

func TestWhoHasHadNoAnswerForLongerThanItWaitsIsAsking(t *testing.T) {
	second := func(users int, done uint64) measure.Window { return measure.Window{Users: users, Done: done} }
	for name, test := range map[string]struct {
		windows []measure.Window
		wait    time.Duration
		out     int
		oldest  time.Duration
	}{
		"all are answered":             {[]measure.Window{second(10, 0), second(10, 10), second(10, 10)}, time.Second, 0, 0},
		"none is, for two seconds":     {[]measure.Window{second(10, 10), second(10, 10), second(10, 0), second(10, 0)}, time.Second, 10, time.Second},
		"four of ten are":              {[]measure.Window{second(10, 10), second(10, 4), second(10, 4)}, time.Second, 6, time.Second},
		"they may be waiting":          {[]measure.Window{second(10, 10), second(10, 10), second(10, 0), second(10, 0)}, 5 * time.Second, 0, 0},
		"those who have just come ask": {[]measure.Window{second(0, 0), second(0, 0), second(50, 0)}, time.Second, 0, 0},
	} {
		if out, oldest := outstanding(test.windows, test.wait); out != test.out || oldest != test.oldest {
			t.Errorf("%s: %d, the oldest for %v", name, out, oldest)
		}
	}
}
