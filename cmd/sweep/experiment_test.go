package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sweep/pkg/experiment"
)

// written writes an experiment with this request, and files beside it.
func written(t *testing.T, request string, files map[string]string) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "x.yaml")
	files["x.yaml"] = `version: 1
name: x
service: {image: x, port: 80}
request: ` + request + `
matrix: {cpus: [1], memory: [200M]}
users: {target: 10, ramp: 1m}
`
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestFilesOfARequestArePartOfTheQuestion(t *testing.T) {
	digests := map[string]bool{}
	for _, files := range []map[string]string{
		{"body": "{{a}}${X}", "rows.csv": "a,b\n1,2\n"},
		{"body": "{{b}}${X}", "rows.csv": "a,b\n1,2\n"},
		{"body": "{{a}}${X}", "rows.csv": "a,b\n1,3\n"},
	} {
		e, err := readExperiment(written(t, "{path: /, body_file: body, feed: {file: rows.csv}}", files))
		if err != nil {
			t.Fatal(err)
		}
		if digests[e.Digest()] {
			t.Errorf("the digest of %v is that of others", files)
		}
		digests[e.Digest()] = true
		if e.Request.Body.Resolved != files["body"] || string(e.Request.Feed.Content()) != files["rows.csv"] {
			t.Errorf("read %+v", e.Request)
		}
	}
}

func TestFilesOfARequestThatDoNotFit(t *testing.T) {
	for request, want := range map[string]string{
		"{path: /, body_file: none}":                                   "x.yaml: request.body_file: open ",
		"{path: /, feed: {file: none.csv}, body: '{{a}}'}":             "x.yaml: request.feed: open ",
		"{path: /, body_file: bad, feed: {file: rows.jsonl}}":          "x.yaml: request.body: {{ begins",
		"{path: /, body_file: plain, feed: {file: rows.jsonl}}":        "x.yaml: request.feed: no field",
		"{path: '/{{b}}', feed: {file: rows.jsonl}}":                   "rows.jsonl:2:1: has no field \"b\"",
		"{path: /, feed: {file: rows.jsonl, sha256: '" + zeros + "'}}": "x.yaml: request.feed: has the SHA-256 ",
	} {
		path := written(t, request, map[string]string{"rows.jsonl": "{\"a\": 1, \"b\": 2}\n{\"a\": 1}\n", "bad": "{{", "plain": "x"})
		_, err := readExperiment(path)
		faults := experiment.Faults(nil)
		if !errors.Is(err, errUsage) && !errors.As(err, &faults) {
			t.Errorf("%s: %T: %v", request, err, err)
			continue
		}
		if text := strings.TrimPrefix(err.Error(), errUsage.Error()+": "); !strings.HasPrefix(text, filepath.Join(filepath.Dir(path), want)) {
			t.Errorf("%s: %s", request, text)
		}
	}
}

// TestBodiesCanBeReadAgain checks that what a run records of a body is read
// back byte for byte, however much longer its quotes make it.
func TestBodiesCanBeReadAgain(t *testing.T) {
	const most = 1 << 20
	for name, body := range map[string]string{
		"over 300 KiB of JSON":              strings.Repeat("{\"a\": \"<b>\\\\\\u00e9 日本 ${X}\"}\r\n", 10_000),
		"300 KiB in one line":               strings.Repeat("a", 300<<10),
		"all that is allowed":               strings.Repeat("\x01", most),
		"all that is allowed, in variables": strings.Repeat("${", most/2),
		"all that is allowed, in lines":     strings.Repeat("\n", most),
		"characters that are awkward":       "\ufeff\x00\x7f\u0085\u2028\ufffd\t \n\n ",
	} {
		e, err := readExperiment(written(t, "{path: /, body_file: body}", map[string]string{"body": body}))
		if err != nil {
			t.Errorf("%s: %.200v", name, err)
			continue
		}
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := experiment.Parse("x", text, func(string) (string, bool) { return "", true })
		if err != nil {
			t.Errorf("%s: %.200v", name, err)
			continue
		}
		if back.Request.Body.Resolved != body || e.Request.Body.Resolved != body || back.Digest() != e.Digest() {
			t.Errorf("%s: not the same when read again", name)
		}
	}
}

func TestWhatCouldNotBeReadAgainIsRefused(t *testing.T) {
	for _, c := range []struct{ request, body, want string }{
		{"{path: /, body_file: body}", strings.Repeat("a", 1<<20+1), "request.body_file: is larger than 1 MiB"},
		{"{path: /, body_file: body}", "\x89PNG\r\n\x1a\n\x00", "request.body_file: is not text in UTF-8"},
		{"{path: /, body: '" + strings.Repeat("\x7f", 2<<20) + "'}", "", "couldn't be read again from its results: as recorded:1:1: is larger than 8 MiB"},
	} {
		path := written(t, c.request, map[string]string{"body": c.body})
		if _, err := readExperiment(path); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), path+": "+c.want) {
			t.Errorf("want %s, got %.300v", c.want, err)
		}
	}
}

var zeros = strings.Repeat("0", 64)
