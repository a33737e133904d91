package analysis

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// side is a run with these cells, all of them measured.
func side(cells ...Cell) Side {
	e := &experiment.Experiment{Name: "api", Users: experiment.Users{Target: 10000}, Objective: experiment.DefaultObjective(), Price: experiment.DefaultPrice()}
	for i := range cells {
		cells[i].Measured, cells[i].PriceHour = cells[i].Outcome != NotMeasured, e.Price.Of(cells[i].Trial.Limits)
	}
	return Side{Experiment: e, Surface: Surface{Experiment: e.Name, Target: 10000, Objective: e.Objective, Cells: cells}}
}

// between is a cell that carried low, and failed at high; 0: nothing is known.
func between(cpus experiment.CPUs, o Outcome, low, high int) Cell {
	c := Cell{Verdict: Verdict{Trial: experiment.Trial{Limits: experiment.Limits{CPU: cpus * 1e9, Memory: experiment.GiB}, Replicate: 1}, Outcome: o}}
	if low > 0 {
		c.LastPass = &Level{Users: low}
	}
	if high > 0 {
		c.FirstFail = &Level{Users: high}
	}
	return c
}

func TestRatiosComeFromBothEndsOfBothBrackets(t *testing.T) {
	none := math.Inf(1)
	for name, c := range map[string]struct {
		a, b      Cell
		low, high float64 // 0, 0: none
		change    Relation
	}{
		"apart":            {between(1, Breached, 4000, 5000), between(1, Breached, 6000, 8000), 1.2, 2, More},
		"less":             {between(1, Breached, 4000, 5000), between(1, OOMKilled, 2000, 3000), 0.4, 0.75, Less},
		"overlap":          {between(1, Breached, 4000, 5000), between(1, Breached, 4500, 5500), 0.9, 1.375, NoMore},
		"touch":            {between(1, Breached, 4000, 5000), between(1, Breached, 5000, 6000), 1, 1.5, NoMore},
		"now it passes":    {between(1, Breached, 4000, 5000), between(1, Passed, 10000, 0), 2, none, More},
		"it passed before": {between(1, Passed, 10000, 0), between(1, Breached, 4000, 5000), 0, 0.5, Less},
		"both pass":        {between(1, Passed, 10000, 0), between(1, Passed, 10000, 0), 0, 0, NoMore},
		"nothing carried":  {between(1, Crashed, 0, 100), between(1, Breached, 400, 500), 4, none, More},
		"not any more":     {between(1, Breached, 400, 500), between(1, Crashed, 0, 100), 0, 0.25, Less},
		"never ready":      {between(1, Breached, 400, 500), between(1, NotReady, 0, 0), 0, 0, ""},
		"generator":        {between(1, Breached, 400, 500), between(1, GeneratorLimited, 600, 0), 1.2, none, More},
		"not measured":     {between(1, Breached, 400, 500), between(1, NotMeasured, 0, 0), 0, 0, ""},
		"failed its hold":  {between(1, Breached, 400, 500), between(1, Breached, 600, 600), 1.2, 1.5, More},
	} {
		got := Compare(side(c.a), side(c.b)).Pairs[0]
		var low, high float64
		if r := got.Ratio; r != nil {
			low, high = r.Low, none
			if r.High != nil {
				high = *r.High
			}
		}
		if low != c.low || high != c.high || got.Relation() != c.change {
			t.Errorf("%s: %v to %v, %q; want %v to %v, %q", name, low, high, got.Relation(), c.low, c.high, c.change)
		}
	}
}

// Wherever in their brackets the failure points are, the quotient is within the
// ratio; and a change that is told is one.
func TestRatiosHoldWhereverTheFailurePointsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (Cell, float64) {
			low := rapid.IntRange(1, 10000).Draw(t, name+" low")
			high := rapid.IntRange(low+1, 20000).Draw(t, name+" high")
			return between(1, Breached, low, high), rapid.Float64Range(float64(low), float64(high)).Draw(t, name+" true")
		}
		a, x := draw("A")
		b, y := draw("B")
		p := Compare(side(a), side(b)).Pairs[0]
		const rounding = 1e-9
		if q := y / x; q < p.Ratio.Low-rounding || q > *p.Ratio.High+rounding {
			t.Fatalf("%v isn't between %v and %v", q, p.Ratio.Low, *p.Ratio.High)
		}
		if c := p.Relation(); c == More && y <= x || c == Less && y >= x {
			t.Fatalf("%q of %v to %v", c, x, y)
		}
		back := Compare(side(b), side(a)).Pairs[0].Relation()
		if want := map[Relation]Relation{More: Less, Less: More, NoMore: NoMore}[p.Relation()]; back != want {
			t.Fatalf("the other way round %q, want %q", back, want)
		}
	})
}

func TestCellsOfOneRunAlone(t *testing.T) {
	c := Compare(side(between(1, Breached, 400, 500), between(2, Passed, 10000, 0)), side(between(2, Breached, 400, 500), between(4, Passed, 10000, 0)))
	var in []string
	for _, p := range c.Pairs {
		word := ""
		if p.A != nil {
			word += "A"
		}
		if p.B != nil {
			word += "B"
		}
		in = append(in, word)
		if (p.Ratio != nil) != (word == "AB") || p.Turned() != (word == "AB") {
			t.Errorf("%s in %s: %+v", p.Limits, word, p.Ratio)
		}
	}
	if !slices.Equal(in, []string{"A", "AB", "B"}) {
		t.Error(in)
	}
	if want := "Neither run names a least configuration that carries 10,000 users. Of 1 configuration in both, B carries more on 0 and less on 1; 1 ended otherwise."; c.Sentence != want {
		t.Errorf("%s\nwant %s", c.Sentence, want)
	}
}

func TestTheSentenceNamesBothMinimalConfigurations(t *testing.T) {
	least := func(s Side, cpus experiment.CPUs) Side {
		l := experiment.Limits{CPU: cpus * 1e9, Memory: experiment.GiB}
		s.Surface.Minimal = &Minimal{Limits: l, PriceHour: s.Experiment.Price.Of(l)}
		return s
	}
	dear := side()
	dear.Experiment.Price.CPUHour = 1
	for want, sides := range map[string][2]Side{
		"The least that carries 10,000 users is 2 CPU / 1G in A and 1 CPU / 1G in B, which costs 47.4% less.": {least(side(), 2), least(side(), 1)},
		"The least that carries 10,000 users is 1 CPU / 1G in A and 2 CPU / 1G in B, which costs 90.1% more.": {least(side(), 1), least(side(), 2)},
		"The least that carries 10,000 users is 1 CPU / 1G in A and 2 CPU / 1G in B.":                         {least(dear, 1), least(side(), 2)},
		"1 CPU / 1G is the least that carries 10,000 users in both.":                                          {least(side(), 1), least(side(), 1)},
		"1 CPU / 1G is the least that carries 10,000 users in A; B names none.":                               {least(side(), 1), side()},
		"1 CPU / 1G is the least that carries 10,000 users in B; A names none.":                               {side(), least(side(), 1)},
	} {
		if got := Compare(sides[0], sides[1]).Sentence; got != want+" No configuration is in both." {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// Runs that were made alike are not set apart; each thing that isn't alike is.
func TestWhatSetsRunsApart(t *testing.T) {
	full := func() Side {
		s := side(between(1, Passed, 10000, 0))
		s.Ceiling = 50000
		s.Manifest = measure.Manifest{
			Run: "1", Question: "abc", Version: "v1", Image: "x:1", ImageID: "sha256:0123456789abcdef", Blueprint: "b",
			Host:     measure.Host{Engine: "28.0", API: "1.48", OS: "Debian", Kernel: "6.8", Architecture: "x86_64", CPUs: 8, Memory: 16 * experiment.GiB, CgroupVersion: "2"},
			Examined: []measure.Examination{{Runtime: "runc", CgroupDriver: "systemd"}},
		}
		return s
	}
	alike := full()
	alike.Manifest.Run, alike.Manifest.Seed, alike.Ceiling = "2", 7, 58000
	alike.Manifest.Host.Warnings = []string{"swap"}
	if got := Compare(full(), alike).Apart; len(got) > 0 {
		t.Errorf("runs that were made alike are set apart: %+v", got)
	}
	rate := experiment.Rate(10000)
	for what, change := range map[string]func(*Side){
		"experiment": func(s *Side) { s.Surface.Experiment = "other" },
		"question":   func(s *Side) { s.Manifest.Question = "def" },
		"target":     func(s *Side) { s.Experiment.Users.Rate = &rate },
		"objective":  func(s *Side) { s.Surface.Objective.P99 = nil },
		"host":       func(s *Side) { s.Manifest.Host.CPUs = 4 },
		"engine":     func(s *Side) { s.Manifest.Examined[0].Runtime = "crun" },
		"image":      func(s *Side) { s.Manifest.ImageID = "sha256:fedc" },
		"container":  func(s *Side) { s.Manifest.Blueprint = "c" },
		"placement":  func(s *Side) { s.Manifest.Placement = measure.Placement{Service: []int{0}, Generator: []int{1}} },
		"version":    func(s *Side) { s.Manifest.Version = "v2" },
		"ceiling":    func(s *Side) { s.Ceiling = 30000 },
		"price":      func(s *Side) { s.Experiment.Price.CPUHour = 1 },
	} {
		b := full()
		change(&b)
		got := Compare(full(), b)
		if len(got.Apart) != 1 || !strings.HasPrefix(got.Apart[0].What, what) || got.Apart[0].A == got.Apart[0].B {
			t.Errorf("%s: %+v", what, got.Apart)
		}
		if what == "target" && got.Pairs[0].Ratio != nil {
			t.Error("users are compared with requests a second")
		}
	}
	older := full()
	older.Manifest.Examined = nil
	if got := Compare(full(), older).Apart; len(got) > 0 {
		t.Errorf("what an older run doesn't tell sets it apart: %+v", got)
	}
}
