package draft

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/experiment"
)

// read parses a file as sweep does; a service of a Compose file may be refused
// as long as sweep has none.
func read(t interface{ Fatalf(string, ...any) }, text string) *experiment.Experiment {
	e, err := experiment.Parse("drafted.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if faults, ok := errors.AsType[experiment.Faults](err); ok && len(faults) == 1 && faults[0].Path == "service.compose" {
		before, after, _ := strings.Cut(text, "  compose:")
		_, after, _ = strings.Cut(after, "\n")
		return read(t, before+"  image: x\n"+after)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return e
}

func TestWrite(t *testing.T) {
	const cpu = experiment.CPUs(1_000_000_000)
	host := experiment.Limits{CPU: 4 * cpu, Memory: 3000 * experiment.MiB}
	predict := Request{Method: "POST", Path: "/predict", Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"it's":"${HOME}"}`}
	for _, c := range []struct {
		name  string
		facts Facts
		want  []string
	}{
		{"all is known", Facts{
			Name: "api", Container: "api", Running: true, Port: 8000, Others: []int{9090}, Ready: "/health", Document: "/openapi.json", Request: predict,
			Answer: Answer{200, `{"prediction": 1}`}, Used: 78 * experiment.MiB, Host: host,
		}, []string{
			"\n  container: api ", "\n  port: 8000 ", "it has 9090 too", "ready: {path: /health, within: 60s}", "headers: {Content-Type: application/json}",
			`body: '{"it''s":"$${HOME}"}'`, "expect: {status: [200], contains: prediction}", "cpus: [0.5, 1, 2]", "memory: [128M, 256M]", "it uses 78 MiB now", "Sent once: POST /predict answered 200",
		}},
		{"it has limits", Facts{
			Name: "api", Container: "api", Running: true, Port: 80, Request: Request{Method: "GET", Path: "/"}, Answer: Answer{204, ""},
			Limits: experiment.Limits{CPU: 2500 * cpu / 1000, Memory: 2 * experiment.GiB}, Host: host,
		}, []string{"cpus: [1.25, 2.5]", "memory: [1G, 2G]", "shows no OpenAPI", "within: 60s}", "status: [204]}"}},
		{"more than the host has", Facts{
			Name: "api", Container: "api", Running: true, Port: 80, Request: Request{Method: "GET", Path: "/"}, Answer: Answer{200, "ok"},
			Used: 2500 * experiment.MiB, Host: host,
		}, []string{"memory: [3000M]"}},
		{"a wrong answer", Facts{
			Name: "api", Container: "api", Running: true, Port: 80, HTTPS: true, Document: "/openapi.json", Request: predict, Answer: Answer{422, "bad ${x}\nmore"}, Host: host,
		}, []string{"MEND THIS: sent once, POST /predict answered 422: bad ${x}\n", "expect: {status: [200]}", "protocol: https", "insecure: true"}},
		{"no key", Facts{
			Name: "api", Container: "api", Running: true, Port: 80, Document: "/openapi.json", Request: predict, Answer: Answer{401, ""}, Host: host,
		}, []string{`# headers: {Authorization: "Bearer ${TOKEN}"}`, "answered 401: nothing"}},
		{"no request in its document", Facts{
			Name: "api", Container: "api", Running: true, Port: 80, Document: "/openapi.json", Undecided: "no", Request: Request{Method: "GET", Path: "/"}, Answer: Answer{0, "refused"},
		}, []string{"has no request for a load: no.", "got no answer: refused"}},
		{"nothing runs", Facts{
			Name: "api", Compose: &experiment.Compose{File: "../a b.yaml", Service: "api"}, Port: 80, Request: predict,
		}, []string{"compose: {file: '../a b.yaml', service: api}", "MEND THIS: nothing runs", "memory: [200M, 500M]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := Write(c.facts)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			e := read(t, text)
			if r := e.Request; r.Method != c.facts.Request.Method || r.Body.Resolved != c.facts.Request.Body {
				t.Errorf("asks %+v", r)
			}
		})
	}
}

// Whatever was seen, the file can be read and asks what was sent.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		f := Facts{
			Name: Name(text.Draw(t, "name")), Container: rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9_.-]{0,9}`).Draw(t, "container"), Running: rapid.Bool().Draw(t, "running"),
			Port: rapid.IntRange(1, 65535).Draw(t, "port"), Ready: rapid.SampledFrom([]string{"", "/", "/health"}).Draw(t, "ready"),
			HTTPS: rapid.Bool().Draw(t, "https"), Document: rapid.SampledFrom([]string{"", "/openapi.json"}).Draw(t, "document"), Undecided: text.Draw(t, "undecided"),
			Request: Request{Method: "POST", Path: "/a?b=%20{c}&d='#:", Headers: map[string]string{"X-Key": rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "header")}, Body: encoded(text.Draw(t, "body"))},
			Answer:  Answer{rapid.SampledFrom([]int{0, 200, 401, 500}).Draw(t, "status"), rapid.SampledFrom([]string{`{"x y": 1}`, text.Draw(t, "answer")}).Draw(t, "body")},
			Limits:  experiment.Limits{CPU: experiment.CPUs(rapid.Int64Range(0, 9e9).Draw(t, "cpus")), Memory: experiment.Bytes(rapid.Int64Range(0, 1<<34).Draw(t, "memory"))},
			Used:    experiment.Bytes(rapid.Int64Range(0, 1<<40).Draw(t, "used")),
			Host:    experiment.Limits{CPU: experiment.CPUs(rapid.Int64Range(1, 8).Draw(t, "host") * 1e9), Memory: experiment.Bytes(rapid.Int64Range(1<<27, 1<<38).Draw(t, "host memory"))},
		}
		e := read(t, Write(f))
		if e.Request.Body.Resolved != f.Request.Body || e.Request.Path != f.Request.Path || e.Request.Headers["X-Key"].Resolved != f.Request.Headers["X-Key"] || e.Service.Container != f.Container {
			t.Fatalf("%+v\n%s", e, Write(f))
		}
		for _, l := range e.Matrix.Cells() {
			if !l.Within(f.Host) {
				t.Fatalf("%s is more than %s", l, f.Host)
			}
		}
	})
}
