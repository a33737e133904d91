package dashboard

import (
	"cmp"
	"slices"
	"sync"
)

// An Event is something that a page is told.
type Event struct {
	ID   uint64 // from 1 on, one more with each event
	Name string // what the page listens for
	Data string // one line

	kept bool // stays when another scene begins
}

// The most that is remembered for pages that come, or come back, late.
const (
	mostKept  = 500  // of what stays
	mostShown = 7200 // of a scene, its beginning besides
)

// A stream holds the events that a page needs which comes late: those that
// stay, and those of the scene that is on.
type stream struct {
	mutex   sync.Mutex
	events  []Event // by ID
	last    uint64
	changed chan struct{} // closed at the next change
	ended   bool
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// begin forgets the scene that was on and begins another with an event.
func (s *stream) begin(name, data string) {
	s.add(Event{Name: name, Data: data}, func(events []Event) []Event {
		return slices.DeleteFunc(events, func(e Event) bool { return !e.kept })
	})
}

// show adds an event to the scene.
func (s *stream) show(name, data string) {
	s.add(Event{Name: name, Data: data}, func(events []Event) []Event {
		return forget(events, mostShown+1, 1, func(e Event) bool { return !e.kept })
	})
}

// keep adds an event that stays.
func (s *stream) keep(name, data string) {
	s.add(Event{Name: name, Data: data, kept: true}, func(events []Event) []Event {
		return forget(events, mostKept, 0, func(e Event) bool { return e.kept })
	})
}

// add makes room for an event and adds it, unless the stream has ended.
func (s *stream) add(e Event, room func([]Event) []Event) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended {
		return
	}
	s.last++
	e.ID = s.last
	s.events = append(room(s.events), e)
	s.wake()
}

// forget drops one event of a kind, the first after those that are spared, if
// there are as many as there may be.
func forget(events []Event, most, spared int, of func(Event) bool) []Event {
	n, victim := 0, -1
	for i, e := range events {
		if of(e) {
			if n == spared {
				victim = i
			}
			n++
		}
	}
	if n < most || victim < 0 {
		return events
	}
	return slices.Delete(events, victim, victim+1)
}

// end says that nothing comes any more.
func (s *stream) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.ended {
		s.ended = true
		s.wake()
	}
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// after returns the events after one, a channel that is closed once there are
// more, and whether there will be none. Who is from before the scene that is
// on gets that from its beginning.
func (s *stream) after(id uint64) (events []Event, more <-chan struct{}, ended bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	i, _ := slices.BinarySearchFunc(s.events, id+1, func(e Event, id uint64) int { return cmp.Compare(e.ID, id) })
	return slices.Clone(s.events[i:]), s.changed, s.ended
}
