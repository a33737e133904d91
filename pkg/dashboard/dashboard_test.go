package dashboard

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func started(t *testing.T, page Page) *Server {
	t.Helper()
	s, err := Start(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.http.Close() })
	return s
}

func plain(w io.Writer, view string) error {
	_, err := io.WriteString(w, "view "+view)
	return err
}

// ask asks with headers, Host among them, and returns the status and what came.
func ask(t *testing.T, method, url string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWhoIsLetIn(t *testing.T) {
	s := started(t, plain)
	_, port, _ := strings.Cut(s.host, ":")
	wrong := strings.Replace(s.URL(), s.token, strings.Repeat("A", len(s.token)), 1)
	for name, c := range map[string]struct {
		method, url string
		headers     []string
		want        int
	}{
		"with the token":        {"GET", s.URL(), nil, 200},
		"by its other name":     {"GET", s.URL(), []string{"Host", "localhost:" + port}, 200},
		"through a tunnel":      {"GET", s.URL(), []string{"Host", "127.0.0.1:8080"}, 200},
		"from its own page":     {"GET", s.URL(), []string{"Origin", "http://" + s.host, "Sec-Fetch-Site", "same-origin"}, 200},
		"without a token":       {"GET", "http://" + s.host + "/", nil, 404},
		"with another":          {"GET", wrong, nil, 404},
		"events, with another":  {"GET", wrong + "events", nil, 404},
		"with a part of it":     {"GET", "http://" + s.host + "/" + s.token[:5] + "/", nil, 404},
		"what isn't there":      {"GET", s.URL() + "x", nil, 404},
		"by a name made to fit": {"GET", s.URL(), []string{"Host", "evil.example:" + port}, 403},
		"from another origin":   {"GET", s.URL(), []string{"Origin", "http://evil.example"}, 403},
		"from another port":     {"GET", s.URL(), []string{"Origin", "http://127.0.0.1:1"}, 403},
		"from another site":     {"GET", s.URL(), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"to change something":   {"POST", s.URL(), nil, 405},
		"to look at the head":   {"HEAD", s.URL(), nil, 405},
		"to ask what it may":    {"OPTIONS", s.URL(), nil, 405},
	} {
		if got, _ := ask(t, c.method, c.url, c.headers...); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

func TestThePageIsMadeAsAsked(t *testing.T) {
	s := started(t, plain)
	if _, text := ask(t, "GET", s.URL()+"?view=cell-2"); text != "view cell-2" {
		t.Errorf("got %q", text)
	}
	s = started(t, func(io.Writer, string) error { return errors.New("no results") })
	if status, text := ask(t, "GET", s.URL()); status != 500 || !strings.Contains(text, "no results") {
		t.Errorf("a page that can't be made: %d %q", status, text)
	}
}

// A reader reads events as a browser does.
type reader struct {
	lines *bufio.Scanner
	close func() error
}

func read(t *testing.T, s *Server, last string) reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return reader{bufio.NewScanner(resp.Body), resp.Body.Close}
}

// next returns the next n events: id, name and data of each.
func (r reader) next(n int) []string {
	var out []string
	event := ""
	for len(out) < n && r.lines.Scan() {
		switch line := r.lines.Text(); {
		case line == "" && event != "":
			out, event = append(out, strings.TrimSpace(event)), ""
		default:
			if name, value, ok := strings.Cut(line, ": "); ok && name != "retry" {
				event += " " + value
			}
		}
	}
	return out
}

func TestEventsComeInOrderAndGoOnWhereAPageStopped(t *testing.T) {
	s := started(t, plain)
	s.Begin("trial", "a")
	r := read(t, s, "")
	s.Show("second", "1")
	if got := r.next(2); !slices.Equal(got, []string{"1 trial a", "2 second 1"}) {
		t.Errorf("got %q", got)
	}
	r.close()
	s.Show("second", "2")
	s.Keep("log", "said")
	if got := read(t, s, "2").next(2); !slices.Equal(got, []string{"3 second 2", "4 log said"}) {
		t.Errorf("who comes back gets %q", got)
	}
	if got := read(t, s, "nonsense").next(1); !slices.Equal(got, []string{"1 trial a"}) {
		t.Errorf("who can't say where it stopped gets %q", got)
	}
}

func TestClosingTellsTheEndAndWaitsForPagesToFetchIt(t *testing.T) {
	s := started(t, plain)
	r := read(t, s, "")
	closed := make(chan error)
	go func() { closed <- s.Close(t.Context(), "end", "done") }()
	if got := r.next(1); !slices.Equal(got, []string{"1 end done"}) {
		t.Errorf("got %q", got)
	}
	if status, _ := ask(t, "GET", s.URL()); status != 200 {
		t.Errorf("the page at the end: %d", status)
	}
	r.close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("it is served after Close")
	}
}

func TestNobodyHoldsUpTheEnd(t *testing.T) {
	s := started(t, plain)
	read(t, s, "").next(0) // and doesn't go
	began := time.Now()
	if err := s.Close(t.Context(), "end", ""); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*linger {
		t.Errorf("it took %s", took)
	}
}

// TestNobodyIsWaitedFor tells thousands of events while a page reads none.
func TestNobodyIsWaitedFor(t *testing.T) {
	s := started(t, plain)
	read(t, s, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Begin("trial", "")
		for range 5 * mostShown {
			s.Show("second", strings.Repeat("x", 1000))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("telling waits for a reader")
	}
}
