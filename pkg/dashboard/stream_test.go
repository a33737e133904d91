package dashboard

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// told returns the names of what a page gets that has seen everything up to id.
func told(s *stream, id uint64) (names []string, last uint64) {
	events, _, _ := s.after(id)
	last = id
	for _, e := range events {
		names, last = append(names, e.Name), e.ID
	}
	return names, last
}

func TestWhoComesLateGetsTheSceneAndWhatStays(t *testing.T) {
	s := newStream()
	s.keep("log", "")
	s.begin("first", "")
	s.show("second 1", "")
	if got, _ := told(s, 0); !slices.Equal(got, []string{"log", "first", "second 1"}) {
		t.Errorf("got %v", got)
	}
	_, seen := told(s, 0)
	s.show("second 2", "")
	if got, _ := told(s, seen); !slices.Equal(got, []string{"second 2"}) {
		t.Errorf("who was away for a second gets %v", got)
	}
	s.begin("next", "")
	s.keep("log", "")
	if got, _ := told(s, seen); !slices.Equal(got, []string{"next", "log"}) {
		t.Errorf("who was away for a scene gets %v", got)
	}
	if got, _ := told(s, 0); !slices.Equal(got, []string{"log", "next", "log"}) {
		t.Errorf("who comes now gets %v", got)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	s := newStream()
	s.begin("trial", "")
	for i := range 2 * mostShown {
		s.show("second", strconv.Itoa(i))
	}
	for i := range 2 * mostKept {
		s.keep("log", strconv.Itoa(i))
	}
	events, _, _ := s.after(0)
	if len(events) != 1+mostShown+mostKept {
		t.Errorf("%d events are remembered", len(events))
	}
	if events[0].Name != "trial" {
		t.Error("how the scene began is forgotten")
	}
	if last := events[len(events)-1]; last.Data != strconv.Itoa(2*mostKept-1) {
		t.Errorf("the last is %v", last)
	}
}

// TestNoPageMissesWhatItNeeds holds a page that comes and goes at any time
// against one that was there all the time: both know the same of the scene that
// is on, and of what stays.
func TestNoPageMissesWhatItNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStream()
		var scene, kept []string // of the one that was there
		var seen uint64          // by the one that comes and goes
		var itsScene, itsKept []string
		for i := range rapid.IntRange(0, 60).Draw(t, "events") {
			data := strconv.Itoa(i)
			switch rapid.SampledFrom([]string{"begin", "show", "keep"}).Draw(t, "kind") {
			case "begin":
				s.begin("begin", data)
				scene = []string{data}
			case "show":
				s.show("show", data)
				scene = append(scene, data)
			case "keep":
				s.keep("keep", data)
				kept = append(kept, data)
			}
			if rapid.Bool().Draw(t, "away") {
				continue
			}
			events, _, _ := s.after(seen)
			for _, e := range events {
				seen = e.ID
				switch e.Name {
				case "begin":
					itsScene = []string{e.Data}
				case "show":
					itsScene = append(itsScene, e.Data)
				case "keep":
					itsKept = append(itsKept, e.Data)
				}
			}
			if !slices.Equal(itsScene, scene) || !slices.Equal(itsKept, kept) {
				t.Fatalf("it knows %v and %v, not %v and %v", itsScene, itsKept, scene, kept)
			}
		}
	})
}
