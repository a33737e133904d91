package http1_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sweep/pkg/experiment"
	"sweep/pkg/load/http1"
)

func literals(headers map[string]string) map[string]experiment.Value {
	out := map[string]experiment.Value{}
	for name, value := range headers {
		out[name] = experiment.Literal(value)
	}
	return out
}

// feed returns a feed that has been read.
func feed(t testing.TB, file, content string) *experiment.Feed {
	t.Helper()
	f := &experiment.Feed{File: file}
	if err := f.Take([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return f
}

func request(t testing.TB, r experiment.Request) http1.Request {
	t.Helper()
	out, err := http1.NewRequest(r, "127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFixed checks requests without a feed byte by byte.
func TestFixed(t *testing.T) {
	for _, c := range []struct {
		name string
		r    experiment.Request
		want string
	}{
		{"GET", experiment.Request{Method: "GET", Path: "/?a={{b}}"}, "GET /?a={{b}} HTTP/1.1\nHost: 127.0.0.1:80\nUser-Agent: sweep\nAccept: */*\n\n"},
		{"POST without a body", experiment.Request{Method: "POST", Path: "/"}, "POST / HTTP/1.1\nHost: 127.0.0.1:80\nUser-Agent: sweep\nAccept: */*\nContent-Length: 0\n\n"},
		{"GET with a body", experiment.Request{Method: "GET", Path: "/", Body: experiment.Literal("x")}, "GET / HTTP/1.1\nHost: 127.0.0.1:80\nUser-Agent: sweep\nAccept: */*\nContent-Length: 1\n\nx"},
		{"fresh", experiment.Request{Method: "GET", Path: "/", Connections: experiment.Fresh}, "GET / HTTP/1.1\nHost: 127.0.0.1:80\nUser-Agent: sweep\nAccept: */*\nConnection: close\n\n"},
		{
			"headers",
			experiment.Request{
				Method: "PUT", Path: "/", Headers: literals(map[string]string{"x-b": "2", "accept": "a/b", "HOST": "h", "X-A": "1"}), Body: experiment.Literal(`{"é": "{{a}}"}`),
			},
			"PUT / HTTP/1.1\nHOST: h\nX-A: 1\naccept: a/b\nx-b: 2\nUser-Agent: sweep\nContent-Length: 15\n\n{\"é\": \"{{a}}\"}",
		},
	} {
		r := request(t, c.r)
		want := strings.Replace(c.want, "\n\n", "\r\n\r\n", 1)
		head, body, _ := strings.Cut(want, "\r\n\r\n")
		want = strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
		if diff := cmp.Diff(want, string(r.Append(nil, 7))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if string(r.Fixed()) != want || r.Rows() != 0 {
			t.Errorf("%s: fixed is %q of %d rows", c.name, r.Fixed(), r.Rows())
		}
	}
}

// TestRows checks what each row of a feed becomes: path, header, body.
func TestRows(t *testing.T) {
	const jsonLines = `{"id": "a/b c", "user": "ü", "list": [1, {"x": 2}], "n": 1.50, "none": null}

{"id": "&+%", "user": "x\ty", "list": "a\"<b>", "n": 12345678901234567890, "none": true, "more": 1}
`
	const csv = "\ufeffid,user,list\r\na/b c,ü,\"1,2\"\r\n&+%,\"x\ty\",\"a\"\"<b>\nc\"\r\n"
	for _, c := range []struct {
		name, file, content string
		path, header, body  string
		want                [][3]string
	}{
		{
			"JSON lines", "rows.jsonl", jsonLines, "/{{id}}?q={{user}}", "u={{user}}", `{{list}} {{json list}} {{n}} {{none}} {{json none}}`,
			[][3]string{
				{"/a%2Fb%20c?q=%C3%BC", "u=ü", `[1,{"x":2}] [1,{"x":2}] 1.50 null null`},
				{"/%26%2B%25?q=x%09y", "u=x\ty", `a"<b> "a\"<b>" 12345678901234567890 true true`},
			},
		},
		{
			"CSV", "rows.CSV", csv, "/{{id}}?q={{json user}}", "u={{ user }}", `{{list}} {{json list}}`,
			[][3]string{
				{"/a%2Fb%20c?q=%22%C3%BC%22", "u=ü", `1,2 "1,2"`},
				{"/%26%2B%25?q=%22x%5Cty%22", "u=x\ty", "a\"<b>\nc \"a\\\"<b>\\nc\""},
			},
		},
		{"lines as bodies", "rows.ndjson", "[1, 2]\r\n\n {\"a\": 1}", "/", "u", "", [][3]string{{"/", "u", "[1, 2]"}, {"/", "u", `{"a": 1}`}}},
		{"no body", "rows.jsonl", `{"id": ""}`, "/{{id}}", "u", "", [][3]string{{"/", "u", ""}}},
	} {
		r := request(t, experiment.Request{
			Method: "POST", Path: c.path, Headers: literals(map[string]string{"X": c.header}), Body: experiment.Literal(c.body), Feed: feed(t, c.file, c.content),
		})
		if r.Rows() != len(c.want) || r.Fixed() != nil {
			t.Fatalf("%s: %d rows, fixed %q", c.name, r.Rows(), r.Fixed())
		}
		for i, want := range c.want {
			row := r.Row(i)
			got := [3]string{string(r.Path.Append(nil, row)), string(r.Headers[0].Value.Append(nil, row)), string(r.Body.Append(nil, row))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, row %d: %s", c.name, i, diff)
			}
			reads(t, r.Append(nil, i), "POST", want[0], map[string]string{"X": want[1]}, want[2])
			only := r.Only(i)
			if string(only.Fixed()) != string(r.Append(nil, i)) || only.Rows() != 0 {
				t.Errorf("%s: only row %d is %q", c.name, i, only.Fixed())
			}
		}
	}
}

func TestFeedFaults(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{"empty", "a.jsonl", "\n \n", "a.jsonl:1:1: has no rows"},
		{"empty CSV", "a.csv", "", "a.csv:1:1: has no rows"},
		{"header alone", "a.csv", "a,b\n", "a.csv:1:1: has no rows"},
		{"no column", "a.csv", "b,c\n1,2\n", `a.csv:1:1: has no column "a", which request.path uses; it has b, c`},
		{"column twice", "a.csv", "a,b,a\n1,2,3\n", `a.csv:1:1: has 2 columns "a", of which request.path can use only one`},
		{"number of columns", "a.csv", "a,b\n1\n\n2,3\n1,2,3\n", "a.csv:2:1: wrong number of fields\na.csv:5:1: wrong number of fields"},
		{"quotes", "a.csv", "a,b\n1,\"2\n3\n", `a.csv:2:1: extraneous or missing " in quoted-field`},
		{"quotes in the header", "a.csv", "a,\"b\n1,2\n", `a.csv:1:1: extraneous or missing " in quoted-field`},
		{"line break in a header", "a.csv", "a,b\n1,2\n1,\"2\n3\"\n", `a.csv:3:1: field "b" has a line break or another control character, which request.headers.X can't take`},
		{"injection", "a.jsonl", `{"a": 1, "b": "x\r\nY: z"}`, `a.jsonl:1:1: field "b" has a line break or another control character, which request.headers.X can't take`},
		{"no JSON", "a.jsonl", "{\"a\": 1, \"b\": 2}\n{\n{\"a\": 1} {}\n", "a.jsonl:2:1: is not one JSON value\na.jsonl:3:1: is not one JSON value"},
		{"no object", "a.jsonl", "[1]\nnull\n", "a.jsonl:1:1: is not a JSON object, so that it has no fields\na.jsonl:2:1: has no field \"a\", which request.path uses"},
		{"no field", "a.jsonl", "{\"a\": 1, \"b\": 2}\n{\"a\": 1}\n{\"A\": 1, \"b\": 2}\n", `a.jsonl:2:1: has no field "b", which request.headers.X uses
a.jsonl:3:1: has no field "a", which request.path uses`},
		{"many", "a.jsonl", strings.Repeat("{}\n", 99), ""},
	} {
		_, err := http1.NewRequest(experiment.Request{
			Method: "GET", Path: "/{{a}}", Headers: literals(map[string]string{"X": "{{b}}"}), Feed: feed(t, c.file, c.content),
		}, "x")
		if err == nil {
			t.Errorf("%s: no fault", c.name)
			continue
		}
		if c.name == "many" {
			if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
				t.Errorf("%d faults", n)
			}
			continue
		}
		if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestTemplateFaults checks what doesn't fit whatever the rows are.
func TestTemplateFaults(t *testing.T) {
	for _, c := range []struct {
		file, path, body, want string
	}{
		{"a.csv", "/", "", "request.feed: no field of it is used; write {{name}} in path, headers or body"},
		{"a.jsonl", "/", "x", "request.feed: no field of it is used; write {{name}} in path, headers or body"},
		{"a.jsonl", "/{{a}}", "{{", "request.body: {{ begins a field of the feed, but no }} ends it"},
	} {
		_, err := http1.NewRequest(experiment.Request{Method: "GET", Path: c.path, Body: experiment.Literal(c.body), Feed: feed(t, c.file, "a\n1\n")}, "x")
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestTravels checks that a request is the same after its way to an agent.
func TestTravels(t *testing.T) {
	for _, r := range []http1.Request{
		request(t, experiment.Request{Method: "GET", Path: "/"}),
		request(t, experiment.Request{Method: "PUT", Path: "/", Body: experiment.Literal("\xff\x00")}),
		request(t, experiment.Request{Method: "GET", Path: "/{{a}}", Feed: feed(t, "a.csv", "a\n1\n2\n\"\"\n")}),
	} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back http1.Request
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if (r.Fixed() == nil) != (back.Fixed() == nil) || r.Rows() != back.Rows() {
			t.Errorf("%s: %d rows, fixed %q", text, back.Rows(), back.Fixed())
		}
		for i := range max(1, r.Rows()) {
			if got, want := back.Append(nil, i), r.Append(nil, i); string(got) != string(want) {
				t.Errorf("%q, not %q", got, want)
			}
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	fixed := request(t, experiment.Request{Method: "GET", Path: "/"})
	filled := request(t, experiment.Request{
		Method: "POST", Path: "/{{a}}", Headers: literals(map[string]string{"X": "{{b}}"}), Body: experiment.Literal("{{json a}}"), Feed: feed(t, "a.csv", "a,b\n1,2\n3,4\n"),
	})
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		buf = fixed.Append(buf[:0], 0)
		buf = filled.Append(buf[:0], 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	r := request(b, experiment.Request{
		Method: "POST", Path: "/{{a}}", Headers: literals(map[string]string{"X": "{{b}}"}), Body: experiment.Literal("{{json a}}"), Feed: feed(b, "a.csv", "a,b\n1,2\n3,4\n"),
	})
	var buf []byte
	for b.Loop() {
		buf = r.Append(buf[:0], 1)
	}
}

// reads checks that net/http reads a request as it was meant, and nothing after it.
func reads(t testing.TB, wire []byte, method, path string, headers map[string]string, body string) {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(wire))
	got, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%v in %q", err, wire)
	}
	text, err := io.ReadAll(got.Body)
	if err != nil || in.Buffered() > 0 {
		t.Fatalf("%v, and %d bytes after %q", err, in.Buffered(), wire)
	}
	if got.Method != method || got.RequestURI != path || string(text) != body {
		t.Errorf("%s %q %q, not %s %q %q", got.Method, got.RequestURI, text, method, path, body)
	}
	for name, want := range headers {
		value := got.Header.Get(name)
		if strings.EqualFold(name, "Host") {
			value = got.Host
		}
		if value != strings.Trim(want, " \t") {
			t.Errorf("%s: %q, not %q", name, value, want)
		}
	}
}

// FuzzRequest checks that net/http reads back what Append writes, whatever an
// experiment file that Parse takes puts into it, and whatever the feed does.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/a?b={{v}}", "X-A", "a {{v}}", `{"x": {{json v}}}`, "value", false)
	f.Add("GET", "/{{json v}}", "Connection", "{{v}}", "", "a\r\nX: y", true)
	f.Add("DELETE", "/%zz", "Host", "", "{{v}}{{v}}", "", true)
	f.Add("HEAD", "//é", "Trailer", "x", "{{", "\x00", false)
	f.Fuzz(func(t *testing.T, method, path, name, header, body, value string, fresh bool) {
		if len(method+path+name+header+body) > 1<<10 {
			return // the YAML parser would take all the time
		}
		e := parsed(method, path, name, header, body)
		if e == nil || method == "CONNECT" {
			return
		}
		row, err := json.Marshal(map[string]string{"v": value})
		if err != nil {
			t.Fatal(err)
		}
		e.Request.Feed = feed(t, "a.jsonl", string(row))
		if fresh {
			e.Request.Connections = experiment.Fresh
		}
		r, err := http1.NewRequest(e.Request, "127.0.0.1:80")
		if err != nil {
			return
		}
		filled := r.Row(0)
		target := string(r.Path.Append(nil, filled))
		if _, err := url.ParseRequestURI(target); err != nil {
			return // net/http takes less than servers do
		}
		i := slices.IndexFunc(r.Headers, func(h http1.Header) bool { return h.Name == name })
		sent := map[string]string{name: string(r.Headers[i].Value.Append(nil, filled))}
		want := body
		if r.Rows() == 1 && body == "" {
			want = string(r.Body.Append(nil, filled))
		} else if r.Rows() == 1 {
			want = strings.ReplaceAll(want, "{{v}}", string([]rune(value))) // as JSON writes it
		}
		if strings.Contains(want, "{{") {
			want = string(r.Body.Append(nil, filled)) // with holes written otherwise
		}
		reads(t, r.Append(nil, 0), method, target, sent, want)
	})
}

// parsed returns an experiment with this request, or nil where Parse takes it not.
func parsed(method, path, name, header, body string) *experiment.Experiment {
	quoted := func(s string) string {
		text, _ := json.Marshal(strings.ReplaceAll(s, "${", "$${"))
		return string(text)
	}
	src := "version: 1\nname: x\nservice: {image: x, port: 80}\nmatrix: {cpus: [1], memory: [200M]}\nusers: {target: 10, ramp: 1m}\n" +
		"request: {method: " + quoted(method) + ", path: " + quoted(path) + ", headers: {" + quoted(name) + ": " + quoted(header) + "}, body: " + quoted(body) + ", feed: {file: a.jsonl}}\n"
	e, err := experiment.Parse("x", []byte(src), func(string) (string, bool) { return "", false })
	if err != nil || e.Request.Path != path || e.Request.Body.Resolved != body || e.Request.Headers[name].Resolved != header {
		return nil
	}
	return e
}
