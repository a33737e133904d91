package locust

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

const (
	answerWithin = 30 * time.Second // of the page; to stop takes as long as the slowest of its workers
	idleWithin   = 30 * time.Second
	largestPage  = 16 << 20
)

// Page is a Locust cluster that somebody else runs, driven by the page of its
// master. Nothing of it is changed but that it runs a test, and one that runs
// already is left alone. The host in its form stays; see the package.
//
// What it tells are means over ten seconds, up to two seconds late: requests and
// failures a second, the median and the 95th percentile. A window's histogram
// has just these two times in it, so that no other quantile means anything.
// Nothing is known of the workers' machines but how busy their processes are.
type Page struct {
	URL            string
	User, Password string // both empty: none is asked for
	Client         *http.Client
	// Ready waits until the target is ready, as [sweep.Generator] says.
	Ready func(ctx context.Context, t measure.Target) error
	// Plan returns what to do with a fresh start of the service.
	Plan func(t measure.Target) Plan
}

// report is what the page tells, in the words of Locust 2.12 and in today's.
type report struct {
	State string `json:"state"`
	Users int    `json:"user_count"`
	Stats []struct {
		Rate   float64 `json:"current_rps"`
		Failed float64 `json:"current_fail_per_sec"`
	} `json:"stats"` // the last of them are all together
	Errors  []failure `json:"errors"`
	Workers []struct {
		State  string  `json:"state"`
		CPU    float64 `json:"cpu_usage"`
		Memory int64   `json:"memory_usage"`
	} `json:"workers"`

	P50 *float64 `json:"current_response_time_percentile_50"`
	P95 *float64 `json:"current_response_time_percentile_95"`
	Now struct {
		P50 *float64 `json:"response_time_percentile_0.5"`
		P95 *float64 `json:"response_time_percentile_0.95"`
	} `json:"current_response_time_percentiles"`
}

// Await makes sure that the cluster is idle, and waits until the target is ready.
func (p *Page) Await(ctx context.Context, t measure.Target) error {
	for began := time.Now(); ; {
		r, err := p.look(ctx)
		if err != nil {
			return err
		}
		idle := r.State == "ready" || r.State == "stopped"
		switch {
		case idle && len(r.Workers) == 0:
			return fmt.Errorf("the Locust master at %s has no workers", p.URL)
		case idle:
			return p.Ready(ctx, t)
		case time.Since(began) > idleWithin:
			return fmt.Errorf("the Locust master at %s is %s: a test is under way there, which isn't ours to stop", p.URL, brief(r.State))
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Run lets the cluster play the users, and stops it in the end.
func (p *Page) Run(ctx context.Context, t measure.Target) iter.Seq2[measure.Tick, error] {
	return func(yield func(measure.Tick, error) bool) {
		err := p.run(ctx, p.Plan(t), func(tick measure.Tick) bool { return yield(tick, nil) })
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		_, stopErr := p.ask(stopping, http.MethodGet, "/stop", nil)
		if err = errors.Join(err, stopErr); err != nil && !errors.Is(err, errLeft) {
			yield(measure.Tick{}, err)
		}
	}
}

// errLeft is that nobody wants to hear more.
var errLeft = errors.New("left")

func (p *Page) run(ctx context.Context, plan Plan, tell func(measure.Tick) bool) error {
	began, seconds := time.Now(), time.NewTicker(time.Second)
	defer seconds.Stop()
	stages, next := turns(plan.Ramp), 0
	var windows []measure.Window
	for length := plan.Ramp.Length(); ; {
		elapsed := time.Since(began)
		for ; next < len(stages) && stages[next].at <= elapsed; next++ {
			if err := p.swarm(ctx, plan.Host, stages[next]); err != nil {
				return err
			}
		}
		start := time.Duration(len(windows)) * time.Second
		if start >= length {
			return nil
		}
		select {
		case <-seconds.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r, err := p.look(ctx)
		if err != nil {
			return err
		}
		// A page that answers late tells of the seconds until then, too: it tells means.
		var told []measure.Window
		for now := time.Since(began); start < length && (told == nil || start+time.Second <= now); start += time.Second {
			w := r.window()
			w.Start, w.Length = start, min(time.Second, length-start)
			windows = append(windows, w)
			w.InFlight, w.Oldest = outstanding(windows, plan.Wait)
			told = append(told, w)
		}
		if !tell(measure.Tick{At: time.Since(began), Windows: told}) {
			return errLeft
		}
	}
}

// turn is from when on there shall be other users, and how fast they come or go.
type turn struct {
	at    time.Duration
	users int
	rate  float64 // users a second
}

// turns returns when the master of the cluster has to be told what.
func turns(r experiment.Ramp) []turn {
	var out []turn
	at, from := time.Duration(0), 0
	for _, s := range r {
		if s.Users != from {
			change := float64(max(s.Users-from, from-s.Users))
			out = append(out, turn{at, s.Users, change / max(s.Over.Std().Seconds(), 1)})
		}
		at, from = at+s.Over.Std()+s.Hold.Std(), s.Users
	}
	return out
}

func (p *Page) swarm(ctx context.Context, host string, t turn) error {
	said, err := p.ask(ctx, http.MethodPost, "/swarm", url.Values{
		"user_count": {strconv.Itoa(t.users)}, "spawn_rate": {strconv.FormatFloat(t.rate, 'f', 3, 64)}, "host": {host},
	})
	if err != nil {
		return err
	}
	var answer struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(said, &answer); err != nil || !answer.Success {
		return fmt.Errorf("the Locust master at %s doesn't start a test: %s", p.URL, brief(cmp.Or(answer.Message, string(said))))
	}
	return nil
}

func (p *Page) look(ctx context.Context) (r report, err error) {
	said, err := p.ask(ctx, http.MethodGet, "/stats/requests", nil)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(said, &r); err != nil {
		return r, fmt.Errorf("the page at %s isn't that of a Locust master: %w", p.URL, err)
	}
	return r, nil
}

func (p *Page) ask(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.URL, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("asking the Locust master: %w", err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p.User != "" || p.Password != "" {
		req.SetBasicAuth(p.User, p.Password)
	}
	resp, err := p.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the Locust master: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, largestPage))
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking the Locust master: %w", err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("the Locust master at %s wants a user and a password, or others: see generator.locust.auth", p.URL)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the Locust master at %s answers %s with %s", p.URL, path, brief(resp.Status))
	}
	return said, nil
}

// brief returns a text of somebody else's as a line of an error has it.
func brief(text string) string {
	const most, cut = 512, "…"
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len(cut)], "") + cut
	}
	return text
}

// window returns a second as the page tells of it.
func (r report) window() measure.Window {
	// Of the workers' hosts nothing is known, which is as if they were idle.
	e := &measure.Effort{HostIdle: 1}
	for _, w := range r.Workers {
		if w.State == "missing" {
			continue
		}
		e.Cores++
		e.CPU += w.CPU / 100
		e.Busy = max(e.Busy, min(1, w.CPU/100))
		e.Memory += experiment.Bytes(w.Memory)
	}
	w := measure.Window{Users: r.Users, Effort: e}
	if len(r.Stats) == 0 {
		return w
	}
	all := r.Stats[len(r.Stats)-1]
	w.Sent = uint64(max(0, all.Rate) + 0.5)
	failed := min(w.Sent, uint64(max(0, all.Failed)+0.5))
	w.Done = w.Sent - failed
	if failed > 0 {
		w.Errors = map[measure.Class]uint64{r.mostly(): failed}
	}
	p50, p95 := cmp.Or(r.P50, r.Now.P50), cmp.Or(r.P95, r.Now.P95)
	if p50 != nil && p95 != nil {
		half := (w.Sent + 1) / 2
		w.Response = histogram(map[float64]uint64{*p50: half})
		w.Response.Merge(histogram(map[float64]uint64{*p95: w.Sent - half}))
	}
	return w
}

// mostly returns what most failures of the test are.
func (r report) mostly() measure.Class {
	if len(r.Errors) == 0 {
		return measure.BadContent
	}
	most := slices.MaxFunc(r.Errors, func(a, b failure) int { return cmp.Compare(a.Occurrences, b.Occurrences) })
	class, _ := classify(unescaped(most.Error))
	return class
}

// Close does nothing: leaving Run ends the load.
func (p *Page) Close() error { return nil }
