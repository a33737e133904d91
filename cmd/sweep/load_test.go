package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sweepLoad runs the verb in this process.
func sweepLoad(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(t.Context(), append([]string{"sweep", "load"}, args...), console{in: strings.NewReader(""), out: &out, err: &errs})
	return outcome{code, out.String(), errs.String()}
}

// service counts what it is asked by path and body.
type service struct {
	mu    sync.Mutex
	asked map[string]int
}

func newService(t *testing.T) (url string, s *service) {
	s = &service{asked: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.asked[r.Method+" "+r.URL.String()+" "+string(body)]++
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"prediction": 1}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, s
}

func TestLoadSaysWhatItSaw(t *testing.T) {
	url, s := newService(t)
	dir := t.TempDir()
	hlog, csv := filepath.Join(dir, "load.hlog"), filepath.Join(dir, "load.csv")
	o := sweepLoad(t, url+"/predict", "--users", "20", "--ramp", "1s", "--hold", "1s", "--wait", "100ms", "--body", `{"x": 1}`,
		"--contains", "prediction", "--json", "--hlog", hlog, "--csv", csv)
	if o.code != 0 {
		t.Fatalf("exit %d: %s", o.code, o.err)
	}
	var got struct {
		Schema     string
		Users      int
		Requests   int
		Throughput float64
		Errors     map[string]int
		Response   map[string]float64 `json:"response_ms"`
		Hold       *struct{ Seconds float64 }
		Generator  map[string]float64
		Valid      *bool
	}
	if err := json.Unmarshal([]byte(o.out), &got); err != nil {
		t.Fatal(err)
	}
	asked := s.asked[`POST /predict {"x": 1}`]
	if got.Schema != "sweep.load/v1" || got.Users != 20 || asked < 100 || got.Requests != asked || len(got.Errors) != 0 ||
		got.Response["p99"] <= 0 || got.Hold == nil || got.Hold.Seconds != 1 || got.Generator["max_rss_bytes"] < 1<<20 || got.Valid == nil {
		t.Errorf("the service was asked %d times; the summary says %s", asked, o.out)
	}
	for file, want := range map[string]string{hlog: "#[Histogram log format version 1.3]", csv: "Timestamp,User Count,"} {
		if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %v, %.40s", file, err, text)
		}
	}
	if people := sweepLoad(t, url, "--users", "5", "--ramp", "0", "--hold", "1s"); people.code != 0 || !strings.Contains(people.out, "no errors") || !strings.Contains(people.err, "5/5 users") {
		t.Errorf("for people:\n%s%s", people.out, people.err)
	}
}

func TestLoadTakesRowsOfAFeed(t *testing.T) {
	url, s := newService(t)
	feed := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(feed, []byte("id,size\n1,10\n2,20\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := sweepLoad(t, url+"/items/{{id}}", "--feed", feed, "--body", `{"size": {{size}}}`, "--rate", "50/s", "--ramp", "0", "--hold", "1s", "--quiet")
	if o.code != 0 {
		t.Fatalf("exit %d: %s", o.code, o.err)
	}
	one, two := s.asked[`POST /items/1 {"size": 10}`], s.asked[`POST /items/2 {"size": 20}`]
	if one+two != 50 || one != two {
		t.Errorf("asked %v", s.asked)
	}
}

func TestLoadGoesOnlyWhereItMay(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "load takes one URL"},
		{"127.0.0.1:80", "is no URL to load; write one such as http://127.0.0.1:8000/predict"},
		{"ftp://127.0.0.1/", "is no URL to load"},
		{"http://192.0.2.1/", "is not this machine. If you answer for it, say so: --allow-host 192.0.2.1"},
		{"http://127.0.0.1/ --users 0", "--users 0: must be from 1 to"},
		{"http://127.0.0.1/ --rate 5", `--rate: "5" is not a rate`},
		{"http://127.0.0.1/ --ramp 0 --hold 0", "a load takes some time"},
		{"http://127.0.0.1/ --header nonsense", "write 'NAME: VALUE'"},
		{"http://127.0.0.1/ --feed /nonexistent", "--feed: open /nonexistent"},
		{"http://127.0.0.1/ --usrs 5", "flag provided but not defined: -usrs"},
	} {
		if o := sweepLoad(t, strings.Fields(c.args)...); o.code != exitUsage || !strings.Contains(o.err, c.want) || o.out != "" {
			t.Errorf("sweep load %s: exit %d, %s; want %s", c.args, o.code, o.err, c.want)
		}
	}
}

func TestLoadRefusesARowThatDoesNotFit(t *testing.T) {
	feed := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(feed, []byte("id\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := sweepLoad(t, "http://127.0.0.1:1/{{name}}", "--feed", feed); o.code != exitUsage || !strings.Contains(o.err, "name") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}
