package experiment_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
)

// TestRoundTrip checks that Parse reads back what YAML writes, whatever the
// texts are, and that neither step changes the digest.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := experiments().Draw(t, "experiment")
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := experiment.Parse("x.yaml", text, environment)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := equal(e, back); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
		if e.Digest() != back.Digest() {
			t.Fatalf("the digest of the same experiment is %s, then %s", e.Digest(), back.Digest())
		}
	})
}

// placements draws where service and generator run.
func placements(t *rapid.T) *rapid.Generator[experiment.Placement] {
	var apart experiment.Placement
	if err := apart.UnmarshalText([]byte("separate")); err != nil {
		t.Fatal(err)
	}
	return rapid.SampledFrom([]experiment.Placement{{}, apart})
}

// experiments draws experiments as Parse returns them: valid, with the
// defaults filled in.
func experiments() *rapid.Generator[*experiment.Experiment] {
	return rapid.Custom(func(t *rapid.T) *experiment.Experiment {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~\n\t$]{0,40}`), rapid.SampledFrom(awkward))
		value := rapid.Custom(func(t *rapid.T) experiment.Value {
			s := text.Draw(t, "text")
			v := experiment.Value{Written: strings.ReplaceAll(s, "${", "$${"), Resolved: s}
			if rapid.Bool().Draw(t, "has variable") {
				v.Written, v.Resolved = v.Written+" ${TOKEN}", v.Resolved+" s3cret"
			}
			return v
		})
		header := rapid.StringMatching("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}")
		e := &experiment.Experiment{
			Version: experiment.Version,
			Name:    rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,63}`).Draw(t, "name"),
			Service: experiment.Service{
				Image: text.Filter(func(s string) bool { return s != "" }).Draw(t, "image"),
				Port:  rapid.IntRange(1, 65535).Draw(t, "port"),
				Env:   rapid.MapOfN(variables(), value, 0, 3).Draw(t, "env"),
				Ready: experiment.Ready{Within: duration(1).Draw(t, "within")},
			},
			Request: experiment.Request{
				Method: rapid.SampledFrom([]string{"GET", "POST", "DELETE"}).Draw(t, "method"),
				Path:   rapid.StringMatching(`/([!-z|}~]|\{[!-z]){0,20}`).Draw(t, "path"),
				Headers: rapid.MapOfN(header, value.Filter(func(v experiment.Value) bool {
					return strings.IndexFunc(v.Resolved, isControl) < 0
				}), 0, 3).Filter(distinct).Draw(t, "headers"),
				Body:        value.Draw(t, "body"),
				Connections: rapid.SampledFrom([]string{"keep-alive", "fresh"}).Draw(t, "connections"),
				Protocol:    rapid.SampledFrom([]string{"http", "https", "h2c"}).Draw(t, "protocol"),
				Timeout:     duration(1).Draw(t, "timeout"),
				Expect: experiment.Expect{
					Status:   rapid.SliceOfN(rapid.IntRange(100, 599), 1, 3).Draw(t, "status"),
					Contains: text.Draw(t, "contains"),
				},
			},
			Placement: placements(t).Draw(t, "placement"),

			Matrix: matrices().Draw(t, "matrix"),
			Users:  loads().Draw(t, "users"),
			Search: experiment.Search{
				Strategy: "exhaustive", Repeats: 1, Seed: rapid.Int64().Draw(t, "seed"),
				Preset:    rapid.SampledFrom([]string{"quick", "standard", "certify"}).Draw(t, "preset"),
				Precision: experiment.Share(rapid.IntRange(5, 500).Draw(t, "precision")) / 1000,
			},
			Price: experiment.Price{
				CPUHour: rapid.Float64Range(0, 1e6).Draw(t, "cpu_hour"),
				GiBHour: rapid.Float64Range(0, 1e-6).Draw(t, "gib_hour"),
			},
		}
		if rapid.Bool().Draw(t, "has images") {
			withImages(t, e, text.Filter(func(s string) bool { return s != "" }))
		}
		for name := range e.Matrix.Env {
			delete(e.Service.Env, name)
		}
		for _, l := range e.Matrix.List {
			for name := range l.Env.Map() {
				delete(e.Service.Env, name)
			}
		}
		e.Request.Insecure = e.Request.Protocol == "https" && rapid.Bool().Draw(t, "insecure")
		if rapid.Bool().Draw(t, "has feed") {
			feed(t, &e.Request)
		}
		p95 := rapid.Custom(func(t *rapid.T) experiment.Duration {
			return experiment.Duration(rapid.Int64Range(1, int64(e.Request.Timeout)).Draw(t, "p95"))
		})
		e.Objective.P95 = rapid.Ptr(p95, true).Draw(t, "p95")
		e.Objective.Errors = rapid.Ptr(shares(), e.Objective.P95 != nil).Draw(t, "errors")
		return e
	})
}

// withImages draws images into the matrix, instead of the service's.
func withImages(t *rapid.T, e *experiment.Experiment, image *rapid.Generator[string]) {
	e.Service.Image = ""
	if len(e.Matrix.List) == 0 {
		e.Matrix.Images = rapid.SliceOfNDistinct(image, 1, 3, rapid.ID).Draw(t, "images")
	}
	for i := range e.Matrix.List {
		e.Matrix.List[i].Image = image.Draw(t, "image")
	}
}

// feed draws a feed, and texts that use it.
func feed(t *rapid.T, r *experiment.Request) {
	r.Feed = &experiment.Feed{
		File:   rapid.StringMatching(`[ -~]{0,10}\.(jsonl|ndjson|csv|CSV)`).Draw(t, "file"),
		Order:  rapid.SampledFrom([]string{"sequential", "random"}).Draw(t, "order"),
		SHA256: rapid.StringMatching(`([0-9a-f]{64})?`).Draw(t, "sha256"),
	}
	if strings.Contains(r.Body.Written, "{{") {
		r.Body = experiment.Value{}
	}
	for name, value := range r.Headers {
		if strings.Contains(value.Written, "{{") {
			delete(r.Headers, name)
		}
	}
	r.Path += rapid.SampledFrom([]string{"{{a}}", "/{{ json a b }}?x={{c}}"}).Draw(t, "fields")
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// distinct reports whether headers differ by more than the case of their names.
func distinct(headers map[string]experiment.Value) bool {
	seen := map[string]bool{}
	for name := range headers {
		seen[strings.ToLower(name)] = true
	}
	return len(seen) == len(headers)
}

// awkward texts are those that YAML writers get wrong.
var awkward = []string{
	"", "~", "null", "true", "1", "0x1", "1e3", "-", "- a", "a: b", "a #b", "#", "{", "[", "'", `"`, `\`, "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "?", ":", ",",
	" a", "a ", "a\n", "\na", "a\n\n", "a\nb ", " a\nb", "a\n b\n", "\t", "\ta\n", "\r", "a\r\nb", "\u0085", "\u2028", "\ufeff", "\x00", "\x7f", "\u00a0", "---", "...", "<<", "=",
	"${", "$${", "$$${x}", "}", "2001-01-01", "1_000", ".inf", ".nan", "yes", "\U0001F600", "日本", "a\x1bb",
}

func duration(least int64) *rapid.Generator[experiment.Duration] {
	return rapid.Map(rapid.Int64Range(least, int64(24*time.Hour)), func(n int64) experiment.Duration { return experiment.Duration(n) })
}

func shares() *rapid.Generator[experiment.Share] {
	return rapid.Map(rapid.IntRange(0, 1e8), func(n int) experiment.Share { return experiment.Share(float64(n) / 1e8) })
}

func cpus() *rapid.Generator[experiment.CPUs] {
	return rapid.Map(rapid.Int64Range(1e7, 1e18), func(n int64) experiment.CPUs { return experiment.CPUs(n) })
}

func memory() *rapid.Generator[experiment.Bytes] {
	return rapid.Map(rapid.Int64Range(int64(experiment.MinMemory), 1<<44), func(n int64) experiment.Bytes { return experiment.Bytes(n) })
}

func limits() *rapid.Generator[experiment.Limits] {
	return rapid.Custom(func(t *rapid.T) experiment.Limits {
		return experiment.Limits{
			CPU: cpus().Draw(t, "cpus"), Memory: memory().Draw(t, "memory"),
			Env: experiment.VariablesOf(rapid.MapOfN(variables(), settable(), 0, 2).Draw(t, "env")),
		}
	})
}

func variables() *rapid.Generator[string] {
	return rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_.-]{0,8}`)
}

// settable draws values that a cell can set.
func settable() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~$]{0,50}`), rapid.SampledFrom(append(awkward, "${cpus}", "1", "10", "2"))).
		Filter(func(s string) bool { return strings.IndexFunc(s, isControl) < 0 })
}

func matrices() *rapid.Generator[experiment.Matrix] {
	return rapid.Custom(func(t *rapid.T) experiment.Matrix {
		if rapid.Bool().Draw(t, "list") {
			return experiment.Matrix{List: rapid.SliceOfNDistinct(limits(), 1, 4, rapid.ID).Draw(t, "cells")}
		}
		m := experiment.Matrix{
			CPUs:   rapid.SliceOfNDistinct(cpus(), 2, 3, rapid.ID).Draw(t, "cpus"),
			Memory: rapid.SliceOfNDistinct(memory(), 1, 3, rapid.ID).Draw(t, "memory"),
		}
		m.Env = rapid.MapOfN(variables(), rapid.SliceOfNDistinct(settable(), 1, 3, rapid.ID), 0, 2).Draw(t, "env")
		cells := m.Cells()
		m.Exclude = rapid.SliceOfNDistinct(rapid.SampledFrom(cells), 0, len(cells)-1, rapid.ID).Draw(t, "exclude")
		return m
	})
}

func loads() *rapid.Generator[experiment.Users] {
	return rapid.Custom(func(t *rapid.T) experiment.Users {
		u := experiment.Users{Target: rapid.IntRange(1, 1_000_000).Draw(t, "target"), From: "service"}
		switch rapid.IntRange(0, 2).Draw(t, "shape") {
		case 0:
			u.Stages = ramps(1, 1_000_000).Draw(t, "stages")
			u.Target = max(1, u.Ramp().Peak())
			u.Stages = append(u.Stages, experiment.Stage{Users: u.Target, Over: 1})
		case 1:
			u.Stairs = &experiment.Stairs{
				Step: rapid.IntRange((u.Target+998)/999, u.Target).Draw(t, "step"), From: rapid.IntRange(1, u.Target).Draw(t, "from"),
				Over: duration(0).Draw(t, "over") / 1000, Hold: duration(1000).Draw(t, "hold") / 1000,
			}
		default:
			u.RampOver, u.Hold = duration(1).Draw(t, "ramp"), duration(1).Draw(t, "hold")
		}
		if rapid.Bool().Draw(t, "open") {
			opened(&u)
			return u
		}
		switch rapid.IntRange(0, 2).Draw(t, "wait") {
		case 0:
			u.Wait.Constant = rapid.Ptr(duration(0), false).Draw(t, "constant")
		case 1:
			u.Wait.Pacing = rapid.Ptr(duration(0), false).Draw(t, "pacing")
		default:
			u.Wait.Between = rapid.SliceOfN(duration(0), 2, 2).Draw(t, "between")
			slices.Sort(u.Wait.Between)
		}
		return u
	})
}

// opened makes a rate of a number of users.
func opened(u *experiment.Users) {
	rate := func(n int) *experiment.Rate {
		r := experiment.Rate(n)
		return &r
	}
	u.Rate = rate(u.Target)
	for i := range u.Stages {
		u.Stages[i].Rate = rate(u.Stages[i].Users)
	}
}

// ramps draws ramps of up to three stages and the given number of users, each
// stage of least nanoseconds at the least.
func ramps(least int64, users int) *rapid.Generator[experiment.Ramp] {
	return rapid.Map(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) experiment.Stage {
		return experiment.Stage{
			Users: rapid.IntRange(0, users).Draw(t, "users"),
			Over:  duration(least).Draw(t, "over"),
			Hold:  duration(0).Draw(t, "hold"),
		}
	}), 1, 3), func(stages []experiment.Stage) experiment.Ramp { return stages })
}

// TestUnits checks that every unit reads what it writes.
func TestUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, cpus().Draw(t, "cpus"))
		roundTrip(t, experiment.Bytes(rapid.Int64Range(1, 1<<53).Draw(t, "memory")))
		roundTrip(t, experiment.Duration(rapid.Int64Min(0).Draw(t, "duration")))
		roundTrip(t, shares().Draw(t, "share"))
		roundTrip(t, experiment.Rate(rapid.IntRange(0, 1<<31-1).Draw(t, "rate")))
	})
}

func roundTrip[T interface {
	comparable
	fmt.Stringer
	MarshalText() ([]byte, error)
}, P interface {
	*T
	UnmarshalText([]byte) error
}](t *rapid.T, v T) {
	text, err := v.MarshalText()
	if err != nil || string(text) != v.String() {
		t.Fatalf("%v writes %q, %v", v, text, err)
	}
	var back T
	if err := P(&back).UnmarshalText(text); err != nil || back != v {
		t.Fatalf("%q reads as %v, %v", text, back, err)
	}
}

// TestRampAgrees checks the two descriptions of a ramp against each other: the
// users that came less those that went are as many as Users says, to within
// the one whose instant it is.
func TestRampAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ramp := ramps(0, 300).Draw(t, "ramp")
		instants := []time.Duration{0, ramp.Length()} // and those at which someone comes or goes
		for c := range ramp.Changes {
			instants = append(instants, c.At, max(0, c.At-1))
		}
		at := rapid.OneOf(rapid.SampledFrom(instants), rapid.Map(rapid.Int64Range(0, int64(ramp.Length())), func(n int64) time.Duration { return time.Duration(n) })).Draw(t, "at")
		present, last := 0, time.Duration(0)
		active := map[int]bool{}
		for c := range ramp.Changes {
			if c.At < last {
				t.Fatalf("%v is before %v", c.At, last)
			}
			if last = c.At; last > at {
				break
			}
			if active[c.User] == !c.Leave {
				t.Fatalf("user %d comes or goes twice", c.User)
			}
			active[c.User] = !c.Leave
			if present++; c.Leave {
				present -= 2
			}
		}
		users, done := ramp.Users(at)
		if diff := users - present; diff < -1 || diff > 1 {
			t.Fatalf("at %v there are %d users, but %d came and stayed", at, users, present)
		}
		if users < 0 || users > ramp.Peak() {
			t.Fatalf("%d users, but the peak is %d", users, ramp.Peak())
		}
		if done != (at == ramp.Length()) {
			t.Fatalf("done is %v at %v of %v", done, at, ramp.Length())
		}
	})
}

// TestArrivalsFollowTheRate checks the instants of open load against the
// integral of the rate, which is k - 1/2 at the k-th of them, to the nanosecond
// at which they are rounded. From that follow the count in any span, to within
// one, and the gaps, 1/rate.
func TestArrivalsFollowTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]int64{1, 1e3, 1e6}).Draw(t, "scale") // from seconds at 1/s to microseconds at 1e6/s
		ramp := rapid.Map(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) experiment.Stage {
			length := rapid.Int64Range(0, 100*int64(time.Second)/scale)
			return experiment.Stage{
				Users: int(rapid.Int64Range(0, scale).Draw(t, "rate")),
				Over:  experiment.Duration(length.Draw(t, "over")), Hold: experiment.Duration(length.Draw(t, "hold")),
			}
		}), 1, 4), func(s []experiment.Stage) experiment.Ramp { return s }).Draw(t, "ramp")
		k, last := 0, time.Duration(0)
		for at := range ramp.Arrivals {
			k++
			want := float64(k) - 0.5
			if early, late := integral(ramp, at-1), integral(ramp, at+1); early > want+1e-9 || late < want-1e-9 {
				t.Fatalf("arrival %d is at %v, where the integral is %v to %v", k, at, early, late)
			}
			if at < last || at > ramp.Length() {
				t.Fatalf("%v after %v of %v", at, last, ramp.Length())
			}
			last = at
		}
		if whole := integral(ramp, ramp.Length()); math.Abs(float64(k)-whole) > 0.5+1e-9 {
			t.Fatalf("%d arrivals of %v", k, whole)
		}
	})
}

// integral returns how many arrivals a ramp of rates makes up to an instant.
func integral(r experiment.Ramp, at time.Duration) (sum float64) {
	from := 0
	for _, s := range r {
		for _, p := range []struct {
			from, to int
			over     experiment.Duration
		}{{from, s.Users, s.Over}, {s.Users, s.Users, s.Hold}} {
			if at <= 0 || p.over == 0 {
				continue
			}
			t, over := min(at, p.over.Std()).Seconds(), p.over.Std().Seconds()
			sum += float64(p.from)*t + float64(p.to-p.from)*t*t/over/2
			at -= p.over.Std()
		}
		from = s.Users
	}
	return sum
}

// TestArrivalsAreMany checks the largest load that a file may ask for: seven
// days from 0 to a million a second and back.
func TestArrivalsAreMany(t *testing.T) {
	half := 84 * time.Hour
	ramp := experiment.Ramp{{Users: 1_000_000, Over: experiment.Duration(half)}, {Users: 0, Over: experiment.Duration(half)}}
	n := 0
	allocated := testing.AllocsPerRun(1, func() {
		n = 0
		for at := range ramp.Arrivals {
			if n++; n == 1 && at != 549_909_083*time.Nanosecond { // the root of half / 1e6
				t.Errorf("the first is at %v", at)
			}
			if n == 1_000_000 {
				break
			}
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func BenchmarkArrivals(b *testing.B) {
	ramp := experiment.Ramp{{Users: 1_000_000, Over: experiment.Duration(time.Hour)}}
	for range ramp.Arrivals {
		if !b.Loop() {
			return
		}
	}
}

// TestWithin checks the laws of a partial order.
func TestWithin(t *testing.T) {
	few := rapid.Custom(func(t *rapid.T) experiment.Limits { // so few that they are often comparable
		return experiment.Limits{
			CPU: experiment.CPUs(rapid.IntRange(1, 3).Draw(t, "cpus")), Memory: experiment.Bytes(rapid.IntRange(1, 3).Draw(t, "memory")),
			Image: rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "image"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := few.Draw(t, "a"), few.Draw(t, "b"), few.Draw(t, "c")
		switch {
		case !a.Within(a):
			t.Fatal("not reflexive")
		case a.Within(b) && b.Within(a) && a != b:
			t.Fatal("not antisymmetric")
		case a.Within(b) && b.Within(c) && !a.Within(c):
			t.Fatal("not transitive")
		case a.Within(b) && a.Setting() != b.Setting():
			t.Fatal("across settings")
		}
	})
}

// TestCells checks that the cells of axes are their product less what is
// excluded, in order, each once.
func TestCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := matrices().Draw(t, "matrix")
		cells := m.Cells()
		if want := len(m.CPUs)*len(m.Memory)*settings(m) - len(m.Exclude) + len(m.List); len(cells) != want {
			t.Fatalf("%d cells, not %d", len(cells), want)
		}
		for i, cell := range cells {
			if slices.Contains(m.Exclude, cell) {
				t.Fatalf("%v is excluded", cell)
			}
			if i > 0 && (cell.Within(cells[i-1]) || cells[i-1].Compare(cell) >= 0) {
				t.Fatalf("%v comes after %v", cell, cells[i-1])
			}
		}
	})
}

func settings(m experiment.Matrix) int {
	n := 1
	for _, values := range m.Env {
		n *= len(values)
	}
	return n
}
