package locust

import (
	"testing"
	"testing/synctest"
	"time"

	"sweep/pkg/locust/zmtp"
	"sweep/pkg/measure"
)

// TestAnswersThatAreToldLateAreNotOut tells of ten users who are each answered
// once a second, of most of them only after their second has been told.
func TestAnswersThatAreToldLateAreNotOut(t *testing.T) {
	const users, early = 10, 2
	w := &worker{}
	r := &run{master: &master{}, plan: Plan{Wait: time.Second}, tally: newTally(0), players: []*worker{w}, began: time.Unix(0, 0)}
	answer := func(second int, n uint64) { r.tally.second(int64(second)).Merge(measure.Window{Sent: n, Done: n}) }
	var s measure.Series
	for n := range 6 {
		answer(n, early)
		if n > 0 {
			answer(n-1, users-early)
		}
		end := r.began.Add(time.Duration(n+1) * time.Second)
		w.told = end
		r.ended = append(r.ended, second{
			Window: measure.Window{Start: time.Duration(n) * time.Second, Length: time.Second}, users: map[*worker]int{w: users},
		})
		if err := r.tell(end, func(t measure.Tick) error { s.Add(t); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range s.Windows {
		if w.Oldest > 0 { // those of the last second may be out, and no others
			t.Errorf("second %d: %d are said to be out, the oldest for %s", i, w.InFlight, w.Oldest)
		}
		if i < 5 && w.Done != users {
			t.Errorf("second %d: %d are answered", i, w.Done)
		}
	}
}

// TestAMasterThatStoodStillHearsBeforeItLooks freezes a master for six seconds.
func TestAMasterThatStoodStillHearsBeforeItLooks(t *testing.T) {
	const thaw = 6 * time.Second
	frozen := time.Unix(1000, 0)
	m := &master{looked: frozen}
	hungUp := map[string]bool{}
	for _, id := range []string{"alive", "silent"} {
		m.workers = append(m.workers, &worker{id: id, conn: &zmtp.Conn{}, deaf: true, hangUp: func() { hungUp[id] = true }, beat: frozen})
	}
	beats, err := decode(encode(heartbeatKind, heartbeat{}, "alive"))
	if err != nil {
		t.Fatal(err)
	}
	m.look(frozen.Add(thaw))
	if len(hungUp) > 0 {
		t.Errorf("%v before they were heard", hungUp)
	}
	m.hear(heard{from: m.workers[0].conn, at: frozen.Add(thaw - time.Second), message: beats})
	m.look(frozen.Add(thaw + step))
	if hungUp["alive"] || !hungUp["silent"] {
		t.Errorf("%v is lost", hungUp)
	}
}

// TestWhoListensSlowlyLosesNoWorker keeps the master waiting for its reader, for
// six seconds from the end of the fifth on.
func TestWhoListensSlowlyLosesNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clusterOf(t, climb, &fake{}, &fake{})
		s := load(t, c, after(5*time.Second, func() { time.Sleep(46 * step) }))
		if len(s.Windows) != 15 || c.broken {
			t.Fatalf("%d windows, broken: %v", len(s.Windows), c.broken)
		}
		for i, w := range s.Windows[5:] {
			stood, asked := i < 6, uint64(10) // nobody else came meanwhile
			if !stood {
				asked = 20
			}
			if w.Done != asked || w.Effort.Turn > time.Second != stood {
				t.Errorf("second %d: %d of %d are answered, and a turn took %v", i+5, w.Done, asked, w.Effort.Turn)
			}
		}
	})
}
