package locust

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// elsewhere is the page of a cluster that somebody else runs.
type elsewhere struct {
	state string
	tells string // the rest of what /stats/requests tells
	asked []string
	looks int
	slow  time.Duration // of the fifth look
	says  string        // instead of that a test has begun
}

func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(text))}, nil
	}
	if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
		return answer(http.StatusUnauthorized, "")
	}
	switch r.URL.Path {
	case "/swarm":
		e.state = "running"
		form, _ := io.ReadAll(r.Body)
		e.asked = append(e.asked, string(form))
		return answer(http.StatusOK, cmp.Or(e.says, `{"success": true}`))
	case "/stop":
		e.state = "stopped"
		e.asked = append(e.asked, "stop")
		return answer(http.StatusOK, `{"success": true}`)
	default:
		if e.looks++; e.looks == 5 {
			time.Sleep(e.slow)
		}
		return answer(http.StatusOK, fmt.Sprintf(`{"state": %q, %s}`, e.state, e.tells))
	}
}

const (
	tellsOld = `"user_count": 20, "stats": [{"current_rps": 7}, {"current_rps": 19.6, "current_fail_per_sec": 1.2}], "errors": [{"error": "&quot;timeout(&#x27;timed out&#x27;)&quot;", "occurrences": 3}],
		"current_response_time_percentile_50": 30, "current_response_time_percentile_95": 120, "workers": [{"state": "running", "cpu_usage": 95.5, "memory_usage": 7}]`
	tellsNew = `"user_count": 20, "stats": [{"current_rps": 19.6, "current_fail_per_sec": 1.2}], "errors": [{"error": "timeout(&#x27;timed out&#x27;)", "occurrences": 3}],
		"current_response_time_percentiles": {"response_time_percentile_0.5": 30, "response_time_percentile_0.95": 120}, "workers": [{"state": "running", "cpu_usage": 95.5, "memory_usage": 7}]`
)

func pageOf(e *elsewhere, ramp experiment.Ramp) *Page {
	return &Page{
		URL: "http://master:8089/", User: "ann", Password: "secret", Client: &http.Client{Transport: e},
		Ready: func(context.Context, measure.Target) error { return nil },
		Plan:  func(measure.Target) Plan { return Plan{Host: "http://api:8000", Ramp: ramp, Wait: time.Second} },
	}
}

func TestAPageIsDrivenByItsFormAndReadEverySecond(t *testing.T) {
	for name, tells := range map[string]string{"2.12": tellsOld, "today's": tellsNew} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				there := &elsewhere{state: "ready", tells: tells}
				s := driven(t, pageOf(there, append(slices.Clone(climb), experiment.Stage{Users: 10, Hold: experiment.Duration(2 * time.Second)})))
				want := []string{"host=http%3A%2F%2Fapi%3A8000&spawn_rate=2.000&user_count=20", "host=http%3A%2F%2Fapi%3A8000&spawn_rate=10.000&user_count=10", "stop"}
				if !slices.Equal(there.asked, want) {
					t.Errorf("asked %q", there.asked)
				}
				if len(s.Windows) != 17 {
					t.Fatalf("%d windows", len(s.Windows))
				}
				w := s.Windows[12]
				if w.Users != 20 || w.Sent != 20 || w.Done != 19 || w.Errors[measure.Timeout] != 1 || w.Effort.Busy != 0.955 {
					t.Errorf("got %+v", w)
				}
				if p50, p95 := w.Response.Quantile(0.5), w.Response.Quantile(0.95); p50 != 30*time.Millisecond || p95 != 120*time.Millisecond {
					t.Errorf("p50 %v, p95 %v", p50, p95)
				}
			})
		})
	}
}

// A page that answers late must not make the rest of the load late, nor what was
// seen earlier than it was.
func TestAPageThatAnswersLateKeepsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ramp := append(slices.Clone(climb), experiment.Stage{Users: 20, Hold: experiment.Duration(5 * time.Second)})
		s := driven(t, pageOf(&elsewhere{state: "ready", tells: tellsOld, slow: 3500 * time.Millisecond}, ramp))
		if n := time.Duration(len(s.Windows)) * time.Second; n != ramp.Length() || s.At > n+time.Second {
			t.Errorf("%d windows in %v", len(s.Windows), s.At)
		}
	})
}

func driven(t *testing.T, p *Page) *measure.Series {
	t.Helper()
	if err := p.Await(t.Context(), measure.Target{}); err != nil {
		t.Fatal(err)
	}
	var s measure.Series
	for tick, err := range p.Run(t.Context(), measure.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		s.Add(tick)
	}
	return &s
}

func TestATestOfSomebodyElsesIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := &elsewhere{state: "running", tells: tellsOld}
		if err := pageOf(there, climb).Await(t.Context(), measure.Target{}); err == nil || len(there.asked) > 0 {
			t.Errorf("%v, after it was asked %q", err, there.asked)
		}
	})
}

func TestAPasswordIsAskedForByItsKey(t *testing.T) {
	p := pageOf(&elsewhere{}, climb)
	p.Password = "wrong"
	if err := p.Await(t.Context(), measure.Target{}); err == nil || !strings.Contains(err.Error(), "generator.locust.auth") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
}

func TestALoadByPageThatIsLeftIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := &elsewhere{state: "ready", tells: tellsOld}
		for range pageOf(there, climb).Run(t.Context(), measure.Target{}) {
			break
		}
		if there.state != "stopped" {
			t.Errorf("it is %s", there.state)
		}
	})
}

// What a page says may be a whole document of a proxy before it.
func TestAnErrorQuotesAPageInALine(t *testing.T) {
	document := strings.Repeat("<p>no\r\n\tüberlast</p>\n", 1000)
	quoted, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]*elsewhere{
		"its answer":  {state: "ready", tells: tellsOld, says: document},
		"its message": {state: "ready", tells: tellsOld, says: `{"success": false, "message": ` + string(quoted) + `}`},
		"its state":   {state: document, tells: tellsOld},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := pageOf(there, climb)
			err := p.Await(t.Context(), measure.Target{})
			if err == nil {
				for _, err = range p.Run(t.Context(), measure.Target{}) {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "überlast") || len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\r\n") || !utf8.ValidString(err.Error()) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}
