package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sweep/pkg/analysis"
	"sweep/pkg/experiment"
	"sweep/pkg/measure"
	"sweep/pkg/report/reporttest"
	"sweep/pkg/store"
	"sweep/pkg/sweep"
)

// An acted sweep is told to a live page as if it ran: two cells, of which the
// first gets slow.
type acted struct {
	*livePage

	run    *store.Run
	trial  experiment.Trial
	series measure.Series
	number int
}

func newActed(t *testing.T) *acted {
	t.Helper()
	e, err := experiment.Parse("q.yaml", []byte(reported), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	run, err := store.Create(t.TempDir(), e, measure.Manifest{Schema: store.ManifestSchema, Run: "20261123T101500Z", Host: measure.Host{CPUs: 8}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Close() })
	a := &acted{livePage: newLivePage(e, run), run: run}
	if err := a.start(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *acted) tell(p sweep.Phase, change func(*sweep.Progress)) {
	progress := sweep.Progress{Trial: a.trial, Number: a.number, Of: 2, Phase: p, TimeLeft: time.Minute}
	if change != nil {
		change(&progress)
	}
	a.observe(progress)
}

func (a *acted) begin(cpus experiment.CPUs) {
	a.number++
	a.trial = experiment.Trial{Limits: experiment.Limits{CPU: cpus * 1e9, Memory: 200 * experiment.MiB}, Replicate: 1}
	a.series = measure.Series{}
	a.tell(sweep.Starting, nil)
	a.tell(sweep.Booting, nil)
}

// seconds plays seconds of a load of a hundred users more each, whose answers take
// so long.
func (a *acted) seconds(n int, took time.Duration) {
	for range n {
		i := len(a.series.Windows)
		users := 100 * (i + 1)
		h := measure.NewHistogram(measure.Bucket{Value: took, Count: uint64(users)})
		tick := measure.Tick{At: time.Duration(i+1) * time.Second, Windows: []measure.Window{{
			Start: time.Duration(i) * time.Second, Length: time.Second, Users: users, Sent: uint64(users), Done: uint64(users),
			Service: h, Response: h, First: h, Usage: &measure.Usage{CPU: 0.1 * float64(i+1), Memory: 50 * experiment.MiB},
		}}}
		a.series.Add(tick)
		a.tell(sweep.Loading, func(p *sweep.Progress) { p.Series, p.Tick = &a.series, &tick })
	}
}

func (a *acted) record(t *testing.T) {
	t.Helper()
	r := measure.Result{Schema: measure.Schema, Trial: a.trial, Ready: true, Loaded: time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC), Series: a.series}
	if err := a.run.Put(r); err != nil {
		t.Fatal(err)
	}
	a.tell(sweep.Stopping, nil)
	a.tell(sweep.Recorded, func(p *sweep.Progress) { p.Result, p.Verdict = &r, analysis.Judge(a.experiment, r) })
}

// A tunnel is a way to a server that can be cut.
type tunnel struct {
	net.Listener

	mutex sync.Mutex
	open  []net.Conn
}

func newTunnel(t *testing.T, to string) *tunnel {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tn := &tunnel{Listener: l}
	t.Cleanup(func() { l.Close(); tn.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp4", to)
			if err != nil {
				near.Close()
				continue
			}
			tn.mutex.Lock()
			tn.open = append(tn.open, near, far)
			tn.mutex.Unlock()
			go io.Copy(near, far)
			go io.Copy(far, near)
		}
	}()
	return tn
}

func (tn *tunnel) cut() {
	tn.mutex.Lock()
	defer tn.mutex.Unlock()
	for _, c := range tn.open {
		c.Close()
	}
	tn.open = nil
}

// shownSeconds are those that the page has drawn of the first line: the users.
const shownSeconds = `(document.querySelector(".overlay path")?.getAttribute("d").match(/[ML]/g).length ?? 0)`

// rows are the configurations and how each ended.
const rows = `[...document.querySelectorAll("table.cells tbody tr")].map((r) => r.cells[0].textContent + ": " + r.cells[1].textContent)`

func TestTheLivePageFillsWhileTheSweepRuns(t *testing.T) {
	a := newActed(t)
	host, path, _ := strings.Cut(strings.TrimPrefix(a.server.URL(), "http://"), "/")
	way := newTunnel(t, host)
	url := fmt.Sprintf("http://%s/%s", way.Addr(), path)
	b := reporttest.NewBrowser(t)

	b.Look(t, url, 1280, "light")
	b.Until(t, `document.querySelector(".which").textContent.includes("Waiting")`)
	a.begin(1)
	b.Until(t, `document.querySelector(".which").textContent === "Trial 1 of 2: 1 CPU / 200M ramps to 1,000 users"`)
	b.Until(t, rows+`.some((r) => r.includes("1 CPU / 200M") && r.includes("running now"))`)
	a.seconds(5, 100*time.Millisecond)
	b.Until(t, shownSeconds+" === 5")

	way.cut() // as a machine does that goes to sleep
	a.seconds(2, 100*time.Millisecond)
	b.Until(t, shownSeconds+" === 7")
	b.Until(t, `document.querySelector(".link").textContent === ""`)
	b.Look(t, url, 1280, "dark") // anew
	b.Until(t, shownSeconds+" === 7")
	if words := reporttest.Ask[string](t, b, `document.querySelector(".words").textContent`); !strings.Contains(words, "700/1,000 users") {
		t.Errorf("it reads %q", words)
	}

	a.seconds(2, 2*time.Second)
	a.record(t)
	a.begin(2)
	b.Until(t, rows+`.some((r) => r.startsWith("1 CPU / 200M: p99 breached"))`)
	b.Until(t, `document.querySelector(".story.shown figure svg")`) // what is looked at has its pictures
	a.seconds(10, 100*time.Millisecond)
	for _, width := range reporttest.Widths() {
		for _, scheme := range []string{"light", "dark"} {
			b.Look(t, url, width, scheme)
			b.Until(t, shownSeconds+" === 10")
			b.Check(t, fmt.Sprintf("live, %d %s", width, scheme), width)
			b.Shoot(t, fmt.Sprintf("live-%d-%s", width, scheme))
		}
	}
	a.seconds(5, 100*time.Millisecond)
	a.record(t)
	if err := a.end(t.Context(), nil); err != nil {
		t.Error(err)
	}
	b.Until(t, `document.querySelector(".phase").textContent.startsWith("Done.")`)
	b.Until(t, `document.querySelector("h1").textContent.startsWith("2 CPU / 200M is the least of 2")`)
	if log := reporttest.Ask[[]string](t, b, `[...document.querySelectorAll(".log li")].map((e) => e.textContent)`); len(log) != 4 {
		t.Errorf("the log says %q", log)
	}
	unexpected := slices.DeleteFunc(b.Said(t), func(s string) bool { return strings.Contains(s, "ERR_") }) // of the way that was cut
	if len(unexpected) > 0 {
		t.Errorf("the console says %q", unexpected)
	}
}

func TestASweepWithoutALivePageTellsNobody(t *testing.T) {
	var none *livePage
	if err := errors.Join(none.start(t.Context(), io.Discard), none.end(context.Background(), nil)); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(100, func() { none.observe(sweep.Progress{}) }); n > 0 {
		t.Errorf("it allocates %g times a second", n)
	}
}

func TestTheLivePageSaysHowASweepWasStopped(t *testing.T) {
	for want, end := range map[string]func(*acted) error{
		"Interrupted": func(a *acted) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return a.end(ctx, context.Canceled)
		},
		"sweep stopped: the engine is gone": func(a *acted) error {
			return a.end(context.Background(), errors.New("the engine is gone"))
		},
	} {
		a := newActed(t)
		a.begin(1)
		b := reporttest.NewBrowser(t)
		b.Look(t, a.server.URL(), 1280, "light")
		b.Until(t, `document.querySelector(".which").textContent.startsWith("Trial 1")`)
		if err := end(a); err != nil {
			t.Error(err)
		}
		b.Until(t, fmt.Sprintf(`document.querySelector(".phase").textContent.startsWith(%q)`, want))
	}
}
