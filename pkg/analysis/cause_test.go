package analysis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// late returns the ramp's windows, of which those from second 6 on are too
// late, though nothing is short.
func late() []measure.Window {
	ws := ramp()
	for i := 6; i < len(ws); i++ {
		ws[i] = second(i, crowd(i), crowd(i), 2*time.Second)
	}
	for i := range ws {
		ws[i].Usage = usage(0.5, 0.1, 100)
	}
	return ws
}

// usage is that of a service of which all is told: CPUs, share of periods in
// which it was stopped, MiB.
func usage(cpu, throttled, mib float64) *measure.Usage {
	memory := experiment.Bytes(mib * float64(experiment.MiB))
	return &measure.Usage{CPU: cpu, Throttled: &throttled, Memory: memory, Anonymous: new(memory - experiment.MiB), Faults: new(0.0), Pressure: &measure.Pressure{}}
}

// from changes the windows from second i on.
func from(ws []measure.Window, i int, change func(i int, w *measure.Window)) []measure.Window {
	for ; i < len(ws); i++ {
		change(i, &ws[i])
	}
	return ws
}

func saturate(_ int, w *measure.Window) { w.Usage.CPU, w.Usage.Throttled = 0.99, new(0.8) }

func thrash(_ int, w *measure.Window) {
	w.Usage.Memory, w.Usage.Faults = 199*experiment.MiB, new(5000.0)
}

// capped answers four hundred a second, however many ask.
func capped(i int, w *measure.Window) {
	took := time.Duration(crowd(i)-400)*time.Second/400 + 20*time.Millisecond
	*w = second(i, crowd(i), 400, took)
	w.Usage = usage(0.3, 0, 100)
}

func fill(_ int, w *measure.Window) { w.Usage.Memory = 199 * experiment.MiB }

// misanswer makes half of the answers wrong, with these statuses in turn.
func misanswer(statuses ...int) func(int, *measure.Window) {
	return func(_ int, w *measure.Window) {
		w.Done /= 2
		n := w.Sent - w.Done
		w.Answered, w.Errors, w.Statuses = w.Done, map[measure.Class]uint64{measure.BadStatus: n}, map[int]uint64{}
		for i := range n {
			w.Statuses[statuses[i%uint64(len(statuses))]]++
		}
	}
}

func untold(_ int, w *measure.Window) {
	w.Usage.Anonymous, w.Usage.Faults, w.Usage.Pressure = nil, nil, nil
}

func TestCauseOfABreach(t *testing.T) {
	for _, c := range []struct {
		name     string
		windows  []measure.Window
		label    analysis.Label
		evidence []string // parts of it
	}{
		{"nothing is short", late(), analysis.CauseUnknown, []string{"CPU 0.50 of 1 used, stopped in 10 % of periods", "working set 100 of 200 MiB"}},
		{
			"nothing is told",
			from(late(), 0, func(_ int, w *measure.Window) { w.Usage = nil }),
			analysis.CauseUnknown,
			[]string{"the engine told nothing"},
		},
		{
			"thrashing, which costs CPU",
			from(from(late(), 4, thrash), 5, saturate),
			analysis.CauseMemory,
			[]string{"working set 199 of 200 MiB, 5,000 major page faults/s, from 4 s on", "CPU 0.99 of 1 used, stopped in 80 % of periods, from 5 s on"},
		},
		{
			"stalled for memory",
			from(from(late(), 4, fill), 4, func(_ int, w *measure.Window) { w.Usage.Pressure = &measure.Pressure{Memory: 0.2} }),
			analysis.CauseMemory,
			[]string{"stalled for memory 20 % of the time"},
		},
		{"memory at its limit, of an engine that tells no more", from(from(late(), 4, fill), 0, untold), analysis.CauseMemory, []string{"199 of 200 MiB, from 4 s on"}},
		{"page cache fills what there is", from(late(), 0, fill), analysis.CauseUnknown, []string{"199 of 200 MiB"}},
		{"page cache fills what there is, and CPU is short", from(from(late(), 0, fill), 5, saturate), analysis.CauseCPU, []string{"CPU 0.99 of 1"}},
		{
			"requests that wait for CPU pile up in memory",
			from(from(late(), 3, saturate), 7, thrash),
			analysis.CauseCPU,
			[]string{"CPU 0.99 of 1 used, stopped in 80 % of periods, from 3 s on", "major page faults/s, from 7 s on"},
		},
		{"both are short, but whether it thrashes isn't told", from(from(from(late(), 4, fill), 5, saturate), 0, untold), analysis.CauseUnknown, []string{"199 of 200 MiB, from 4 s on", "from 5 s on"}},
		{
			"garbage collection",
			from(from(late(), 0, func(i int, w *measure.Window) { w.Usage = usage(0.0008*float64(w.Sent), 0, 180) }), 6, saturate),
			analysis.CauseMemory,
			[]string{"1.8 times as much as at half the load, while memory was 90 % full"},
		},
		{
			"thrashing makes answers as expensive as garbage collection does",
			from(from(from(late(), 0, func(i int, w *measure.Window) { w.Usage = usage(0.0008*float64(w.Sent), 0, 180) }), 6, saturate), 6, thrash),
			analysis.CauseMemory,
			[]string{"major page faults/s, from 6 s on; CPU 0.99 of 1 used, stopped in 80 % of periods, from 6 s on"},
		},
		{
			"garbage collection, and then thrashing",
			from(from(from(late(), 0, func(i int, w *measure.Window) { w.Usage = usage(0.0008*float64(w.Sent), 0, 180) }), 4, saturate), 7, thrash),
			analysis.CauseMemory,
			[]string{"garbage collection, from 4 s on; working set 199 of 200 MiB, 5,000 major page faults/s, from 7 s on"},
		},
		{
			"garbage collection, and thrashing in the last second",
			from(from(from(late(), 0, func(i int, w *measure.Window) { w.Usage = usage(0.0007*float64(w.Sent), 0, 180) }), 7, saturate), 8, thrash),
			analysis.CauseMemory,
			[]string{"garbage collection, from 7 s on", "5,000 major page faults/s"},
		},
		{
			"CPU used up while all was well, until thrashing broke it",
			from(from(late(), 2, saturate), 7, func(i int, w *measure.Window) {
				thrash(i, w)
				w.Done, w.Answered, w.Service, w.Response = 0, 3, measure.Histogram{}, measure.Histogram{}
			})[:9],
			analysis.CauseMemory,
			[]string{"5,000 major page faults/s, from 7 s on", "CPU 0.99 of 1 used, stopped in 80 % of periods, from 2 s on", "answers fell from 500/s to 3/s as it began to thrash"},
		},
		{
			"CPU used up while all was well, until something broke it that may be thrashing",
			from(from(from(late(), 2, saturate), 7, func(i int, w *measure.Window) {
				thrash(i, w)
				w.Done, w.Answered, w.Service, w.Response = 0, 3, measure.Histogram{}, measure.Histogram{}
			}), 0, untold)[:9],
			analysis.CauseUnknown,
			[]string{"199 of 200 MiB, from 7 s on", "CPU 0.99 of 1 used, stopped in 80 % of periods, from 2 s on"},
		},
		{
			"as expensive as ever",
			from(from(late(), 0, func(i int, w *measure.Window) { w.Usage = usage(min(1, 0.0014*float64(w.Sent)), 0, 180) }), 6, saturate),
			analysis.CauseCPU,
			[]string{"CPU 0.99 of 1"},
		},
		{
			"as much CPU as the host has",
			from(late(), 5, func(_ int, w *measure.Window) { w.Usage.CPU, w.Effort.HostIdle = 0.95, 0.01 }),
			analysis.CauseCPU,
			[]string{"CPU 0.95 of 1"},
		},
		{
			"as much CPU as it wants",
			from(late(), 5, func(_ int, w *measure.Window) { w.Usage.CPU = 0.92 }),
			analysis.CauseUnknown,
			[]string{"CPU 0.92 of 1"},
		},
		{
			"no engine tells how often it was stopped",
			from(from(late(), 5, saturate), 0, func(_ int, w *measure.Window) { w.Usage.Throttled = nil }),
			analysis.CauseCPU,
			[]string{"CPU 0.99 of 1 used, from 5 s on"},
		},
		{
			"short of CPU at the start alone",
			from(from(late(), 0, saturate), 2, func(_ int, w *measure.Window) { w.Usage = usage(0.5, 0.1, 100) }),
			analysis.CauseUnknown, nil,
		},
		{"short of CPU when all was over", from(late(), 10, saturate), analysis.CauseUnknown, nil},
		{
			"short of CPU for one second",
			from(from(late(), 5, saturate), 6, func(_ int, w *measure.Window) { w.Usage = usage(0.5, 0.1, 100) }),
			analysis.CauseUnknown, nil,
		},
		{
			"stopped often, though it uses little",
			from(late(), 6, func(i int, w *measure.Window) {
				w.Usage = usage(0.4, 0.5, 100)
				w.Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: 600}, measure.Bucket{Value: 2 * time.Second, Count: 100})
			}),
			analysis.CauseBursts,
			[]string{"stopped in 50 % of periods though it used little"},
		},
		{
			"the accept queue is full",
			from(late(), 5, func(_ int, w *measure.Window) {
				w.Network = &measure.Network{ListenOverflows: 10, ListenDrops: 12, Retransmits: 20}
			}),
			analysis.CauseBacklog,
			[]string{"its accept queue was full for 40 connections, and 48 were dropped", "CPU 0.50 of 1"},
		},
		{
			"the accept queue was full, but the CPU was short",
			from(late(), 5, func(i int, w *measure.Window) {
				saturate(i, w)
				w.Network = &measure.Network{ListenOverflows: 10}
			}),
			analysis.CauseCPU, nil,
		},
		{
			"connections are tried again",
			from(late(), 6, func(_ int, w *measure.Window) {
				w.Connect = measure.NewHistogram(measure.Bucket{Value: time.Millisecond, Count: 80}, measure.Bucket{Value: 1010 * time.Millisecond, Count: 15}, measure.Bucket{Value: 3050 * time.Millisecond, Count: 5})
			}),
			analysis.CauseBacklog,
			[]string{"60 of 300 connections took whole seconds"},
		},
		{
			"connections are slow",
			from(late(), 6, func(_ int, w *measure.Window) {
				w.Connect = measure.NewHistogram(measure.Bucket{Value: 1300 * time.Millisecond, Count: 15}, measure.Bucket{Value: 2700 * time.Millisecond, Count: 15})
			}),
			analysis.CauseUnknown, nil,
		},
		{
			"four hundred answers a second, however many ask",
			from(late(), 4, capped),
			analysis.CauseConcurrency,
			[]string{"400 answers/s though the load grew from", "takes 20ms at low load, so about 8 at a time", "whether its accept queue was full isn't known"},
		},
		{
			"twice what was measured of four workers who take 20 ms each",
			from(late(), 4, func(i int, w *measure.Window) {
				answers := []int{194, 196, 192, 192}[min(i-4, 3)] * 2
				took := []int{220, 800, 1300, 1600}[min(i-4, 3)]
				*w = second(i, crowd(i), answers, time.Duration(took)*time.Millisecond)
				w.Usage = usage(0.05, 0, 7)
			})[:8],
			analysis.CauseConcurrency,
			[]string{"so about 8 at a time"},
		},
		{
			"four hundred answers a second, and then ever fewer",
			from(late(), 4, func(i int, w *measure.Window) {
				n := max(50, 1000-120*i)
				*w = second(i, crowd(i), n, 2*time.Second)
				w.Usage = usage(0.3, 0, 100)
			}),
			analysis.CauseUnknown, nil,
		},
		{
			"wrong answers",
			from(ramp(), 6, func(i int, w *measure.Window) {
				w.Done /= 2
				w.Errors = map[measure.Class]uint64{measure.BadStatus: w.Sent - w.Done}
			}),
			analysis.CauseApplication,
			[]string{"wrong answers while CPU and memory were idle: 750 with a wrong status that wasn't recorded"},
		},
		{
			"wrong answers of a generator that tells their statuses",
			from(ramp(), 6, misanswer(500, 404)),
			analysis.CauseApplication,
			[]string{"idle: 375 with status 404, 375 with status 500"},
		},
		{"what it asks is slow", from(ramp(), 6, misanswer(504, 504, 502, 500)), analysis.CauseDownstream, []string{"502 answers: 187, 504 answers: 376 of 750 failures, while CPU and memory were idle"}},
		{"what it asks is slow, but so is the CPU", from(from(ramp(), 6, misanswer(504)), 5, saturate), analysis.CauseCPU, nil},
		{"some of what failed was asked of another", from(ramp(), 6, misanswer(500, 500, 504)), analysis.CauseApplication, []string{"249 with status 504"}},
		{
			"four hundred answers a second, however many ask, and 504 to the rest",
			from(late(), 4, func(i int, w *measure.Window) {
				if capped(i, w); i > 6 {
					w.Sent += 20
					w.Errors, w.Statuses = map[measure.Class]uint64{measure.BadStatus: 20}, map[int]uint64{504: 20}
				}
			}),
			analysis.CauseDownstream,
			[]string{"504 answers: 60 of 60 failures"},
		},
		{
			"four hundred answers a second, however many ask, and 503 to the rest",
			from(late(), 4, func(i int, w *measure.Window) {
				if capped(i, w); i > 6 {
					w.Sent += 20
					w.Errors, w.Statuses = map[measure.Class]uint64{measure.BadStatus: 20}, map[int]uint64{503: 20}
				}
			}),
			analysis.CauseConcurrency,
			[]string{"takes 20ms at low load, so about 8 at a time", "503 answers: 60 of 60 failures"},
		},
		{
			"it sheds load",
			from(ramp(), 6, func(i int, w *measure.Window) {
				w.Done, w.Answered = 600, 600
				w.Sent, w.Errors, w.Statuses = 700, map[measure.Class]uint64{measure.BadStatus: 100}, map[int]uint64{503: 100}
			}),
			analysis.CauseConcurrency,
			[]string{"503 answers: 200 of 200 failures", "right answers went on, 600/s that take 20ms: it turns away what is more, or something behind it does"},
		},
		{"it says that it can't, and hardly answers any more", from(ramp(), 6, func(i int, w *measure.Window) {
			misanswer(503)(i, w)
			w.Done, w.Answered = 20, 20
			w.Errors[measure.BadStatus], w.Statuses[503] = w.Sent-20, w.Sent-20
		}), analysis.CauseDownstream, []string{"503 doesn't say who is overloaded"}},
		{
			"late answers, and some that blame another",
			from(late(), 6, func(_ int, w *measure.Window) {
				w.Done--
				w.Errors, w.Statuses = map[measure.Class]uint64{measure.BadStatus: 1}, map[int]uint64{504: 1}
			}),
			analysis.CauseUnknown, nil,
		},
		{
			"four hundred answers a second, some late, and how often it was stopped isn't told",
			from(late(), 4, func(i int, w *measure.Window) {
				capped(i, w)
				w.Usage.Throttled = nil
				w.Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: 300}, measure.Bucket{Value: 2 * time.Second, Count: 100})
			}),
			analysis.CauseUnknown, nil,
		},
		{
			"late answers, and a wrong one",
			from(late(), 6, func(i int, w *measure.Window) {
				w.Done--
				w.Errors = map[measure.Class]uint64{measure.BadStatus: 1}
			}),
			analysis.CauseUnknown, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := analysis.Judge(question(), result(c.windows, measure.Exit{}))
			if v.Outcome != analysis.Breached || v.Cause == nil {
				t.Fatalf("got %s, %+v", v.Outcome, v.Cause)
			}
			if v.Cause.Label != c.label {
				t.Errorf("got %s, want %s: %q", v.Cause.Label, c.label, v.Cause.Evidence)
			}
			for _, part := range c.evidence {
				if !strings.Contains(strings.Join(v.Cause.Evidence, "; "), part) {
					t.Errorf("%q isn't in %q", part, v.Cause.Evidence)
				}
			}
		})
	}
}

// leaking returns 40 seconds in which memory grows by 2 MiB a second, 30 of
// them with constant users, at whose end answers get late.
func leaking() (*experiment.Experiment, []measure.Window) {
	e := question()
	e.Users.Hold = experiment.Duration(30 * time.Second)
	var ws []measure.Window
	for i := range 40 {
		took := 20 * time.Millisecond
		if i > 36 {
			took = 2 * time.Second
		}
		w := second(i, crowd(i), crowd(i), took)
		w.Usage = usage(0.5, 0, 60+2*float64(i))
		ws = append(ws, w)
	}
	return e, ws
}

func TestMemoryThatGrowsThoughUsersDoNotIsALeak(t *testing.T) {
	e, ws := leaking()
	r := result(ws, measure.Exit{})
	r.Series.At = 40 * time.Second
	v := analysis.Judge(e, r)
	if v.Cause == nil || v.Cause.Label != analysis.CauseLeak || !strings.Contains(v.Cause.Evidence[0], "memory grew by 2.00 MiB/s over 26 s though the load didn't: full 34.5s later") {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
	r.Exit = measure.Exit{Died: true, Code: 137, OOMKilled: true, OOMKills: 1, At: r.Loaded.Add(39500 * time.Millisecond)}
	r.Series.Windows[37], r.Series.Windows[38] = second(37, 1000, 1000, time.Millisecond), second(38, 1000, 1000, time.Millisecond)
	v = analysis.Judge(e, r)
	if v.Cause.Label != analysis.CauseOOM || !strings.Contains(strings.Join(v.Cause.Evidence, "; "), "memory grew by 2.00 MiB/s") {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
}

// On a ramp users grow too, so that nothing is steady.
func TestAKillTellsWithWhatMemoryGrew(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory func(i int) float64 // MiB
		told   string              // "": nothing
	}{
		{"requests", func(i int) float64 { return 10 + 0.05*50*float64(i+1)*float64(i+2) }, "memory grew by 51 KiB with each request so far, rather than with users, as a leak does"},
		{"users", func(i int) float64 { return 10 + 0.2*float64(crowd(i)) }, "memory grew by 205 KiB with each user"},
		{"neither", func(i int) float64 { return 10 + 90*float64(min(i, 2)) }, ""},
		{"hardly", func(i int) float64 { return 100 + 0.005*float64(crowd(i)) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ws := from(ramp()[:9], 0, func(i int, w *measure.Window) { w.Usage = usage(0.5, 0, min(199, c.memory(i))) })
			r := result(ws, measure.Exit{Died: true, Code: 137, OOMKilled: true, OOMKills: 1})
			r.Exit.At = r.Loaded.Add(8500 * time.Millisecond)
			v := analysis.Judge(question(), r)
			told := strings.Join(v.Cause.Evidence, "; ")
			if v.Cause.Label != analysis.CauseOOM || !strings.Contains(told, c.told) || strings.Contains(told, "grew") != (c.told != "") {
				t.Errorf("got %s: %q", v.Cause.Label, told)
			}
		})
	}
}

func TestAShortLeakLooksNotFarAhead(t *testing.T) {
	e, ws := leaking()
	for i := range ws {
		ws[i].Usage = usage(0.5, 0, 60+0.05*float64(i)) // full 46 minutes later
	}
	r := result(ws, measure.Exit{})
	r.Series.At = 40 * time.Second
	if v := analysis.Judge(e, r); v.Cause.Label != analysis.CauseUnknown {
		t.Errorf("got %+v", v.Cause)
	}
}

func TestALeakThatFillsMemoryIsNamedForIt(t *testing.T) {
	e, ws := leaking()
	from(ws, 37, thrash)
	for i := range 37 {
		ws[i].Usage = usage(0.5, 0, 120+2*float64(i))
	}
	r := result(ws, measure.Exit{})
	r.Series.At = 40 * time.Second
	v := analysis.Judge(e, r)
	if told := strings.Join(v.Cause.Evidence, "; "); v.Cause.Label != analysis.CauseLeak || !strings.Contains(told, "memory grew by 2.00 MiB/s") || !strings.Contains(told, "5,000 major page faults/s, from 37 s on") {
		t.Errorf("got %s: %q", v.Cause.Label, told)
	}
	for i := range 37 { // which would have filled it a minute later
		ws[i].Usage = usage(0.5, 0, 20+2*float64(i))
	}
	if v := analysis.Judge(e, r); v.Cause.Label != analysis.CauseMemory {
		t.Errorf("got %s: %q", v.Cause.Label, v.Cause.Evidence)
	}
}

func TestMemoryThatGoesUpAndDownIsNoLeak(t *testing.T) {
	e, ws := leaking()
	for i := range ws {
		ws[i].Usage = usage(0.5, 0, 100+10*float64(i%7))
	}
	r := result(ws, measure.Exit{})
	r.Series.At = 40 * time.Second
	if v := analysis.Judge(e, r); v.Cause == nil || v.Cause.Label != analysis.CauseUnknown {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
}

func TestAKillThatSparedTheServiceIsDated(t *testing.T) {
	ws := from(late(), 5, func(_ int, w *measure.Window) { w.Usage.OOMKills = 2 })
	v := analysis.Judge(question(), result(ws, measure.Exit{OOMKills: 2}))
	if v.Cause.Label != analysis.CauseOOM || v.Cause.Evidence[0] != "out-of-memory events: 2, the first at 5 s" {
		t.Errorf("got %s, %+v", v.Outcome, v.Cause)
	}
}

func TestExitCodesOfSignalsAreNamed(t *testing.T) {
	for code, want := range map[int]string{3: "exit code 3 at", 134: "134 (aborted) at", 137: "(killed from outside, without", 139: "(segmentation fault) at"} {
		r := result(ramp()[:8], measure.Exit{Died: true, Code: code})
		r.Exit.At = r.Loaded.Add(7400 * time.Millisecond)
		if v := analysis.Judge(question(), r); v.Cause.Label != analysis.CauseCrash || !strings.Contains(v.Cause.Evidence[0], want) {
			t.Errorf("exit code %d: %+v", code, v.Cause)
		}
	}
}

// usages draws what a service may have used, with or without what engines
// don't always tell.
func usages(t *rapid.T) *measure.Usage {
	one := func(name string, of ...float64) float64 { return rapid.SampledFrom(of).Draw(t, name) }
	u := usage(one("cpu", 0.3, 0.8, 0.95), one("throttled", 0, 0.5), one("memory", 100, 175, 199))
	u.Faults, u.Pressure.Memory = new(one("faults", 0, 5000)), one("pressure", 0, 0.5)
	return u
}

// forget takes away some of what is known.
func forget(t *rapid.T, ws []measure.Window) []measure.Window {
	ws = slices.Clone(ws)
	often := rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "often")
	for i := range ws {
		drop := func(what string) bool { return rapid.IntRange(0, 3).Draw(t, what) < often }
		if drop("usage") {
			ws[i].Usage = nil
			continue
		}
		u := *ws[i].Usage
		if drop("throttled") {
			u.Throttled = nil
		}
		if drop("faults") {
			u.Faults = nil
		}
		if drop("pressure") {
			u.Pressure = nil
		}
		ws[i].Usage = &u
	}
	return ws
}

// resources are the causes that say that the limits grant too little.
var resources = []analysis.Label{analysis.CauseMemory, analysis.CauseCPU, analysis.CauseBursts}

func drawn(t *rapid.T) []measure.Window {
	ws := late()
	for i := range ws {
		ws[i].Usage = usages(t)
		if i >= 4 && rapid.Bool().Draw(t, "uneven") {
			ws[i].Response = measure.NewHistogram(measure.Bucket{Value: 20 * time.Millisecond, Count: ws[i].Done - 50}, measure.Bucket{Value: 2 * time.Second, Count: 50})
		}
	}
	return ws
}

func TestWhatIsNotKnownNeverSpeaksForAnotherResource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := drawn(t)
		all := analysis.Judge(question(), result(ws, measure.Exit{})).Cause
		few := analysis.Judge(question(), result(forget(t, ws), measure.Exit{})).Cause
		if slices.Contains(resources, all.Label) && slices.Contains(resources, few.Label) && few.Label != all.Label {
			t.Fatalf("%s %q became %s %q", all.Label, all.Evidence, few.Label, few.Evidence)
		}
	})
}

func TestWithoutUsageNoResourceIsToBlame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := drawn(t)
		for i := range ws {
			ws[i].Usage = nil
			if rapid.Bool().Draw(t, "network") {
				ws[i].Network = &measure.Network{ListenOverflows: rapid.Uint64Range(0, 2).Draw(t, "overflows")}
			}
		}
		if got := analysis.Judge(question(), result(ws, measure.Exit{})).Cause; slices.Contains(resources, got.Label) {
			t.Fatalf("%s: %q", got.Label, got.Evidence)
		}
	})
}
