package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParseWorkers(t *testing.T) {
	good := map[string]int{
		"":     runtime.GOMAXPROCS(0),
		"0.01": 1,
		"0.5":  1,
		"1":    1,
		"1.25": 2,
		"2":    2,
		"1024": 1024,
	}
	for in, want := range good {
		if got, err := parseWorkers(in); err != nil || got != want {
			t.Errorf("parseWorkers(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"0", "-1", "NaN", "Inf", "1e300", "1025", "two", " 1", "1,5"} {
		got, err := parseWorkers(in)
		want := `WORKERS="` + in + `": want a decimal number above 0 and up to 1024`
		if err == nil || err.Error() != want {
			t.Errorf("parseWorkers(%q) = %d, %v, want error %s", in, got, err, want)
		}
	}
}

// TestRunStops covers the runs that end without serving.
func TestRunStops(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		workers string
		code    int
		stderr  string // how it starts
	}{
		{"help", []string{"-h"}, "", 0, "Usage of predictor:\n  -listen address\n"},
		{"unknown flag", []string{"-x"}, "", exitUsage, "predictor: flag provided but not defined: -x\n"},
		{"argument", []string{"x"}, "", exitUsage, "predictor: unexpected argument \"x\"\n"},
		{"workers", nil, "many", exitUsage, "predictor: WORKERS=\"many\": want a decimal number above 0 and up to 1024\n"},
		{"address", []string{"-listen", "nowhere"}, "1", exitFailure, "predictor: listen tcp: address nowhere: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr strings.Builder
			getenv := func(key string) string { return map[string]string{"WORKERS": test.workers}[key] }
			code := run(t.Context(), test.args, getenv, &stderr)
			if code != test.code || !strings.HasPrefix(stderr.String(), test.stderr) {
				t.Errorf("got %d and %q, want %d and %q", code, stderr.String(), test.code, test.stderr)
			}
		})
	}
}

func TestRunServesUntilCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, stderr := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-listen", "127.0.0.1:0"}, func(string) string { return "1.5" }, stderr)
	}()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	address, ok := strings.CutPrefix(string(line[:n]), "predictor: listening on ")
	address, ok2 := strings.CutSuffix(address, ", 2 workers\n")
	if !ok || !ok2 {
		t.Fatalf("first output is %q", line[:n])
	}
	response, err := http.Get("http://" + address + "/health")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}

// TestShutdownFinishesRequests stops the server while a request is in progress.
func TestShutdownFinishesRequests(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "done")
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler) }()

	body := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer response.Body.Close()
		b, _ := io.ReadAll(response.Body)
		body <- string(b)
	}()
	<-entered
	cancel()
	select {
	case err := <-served:
		t.Fatalf("serve returned %v with a request in progress", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if got := <-body; got != "done" {
		t.Errorf("request in progress got %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// TestShutdownGivesUp holds a request for ever; the bound on the time is what
// keeps a container from being killed.
func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-t.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener, handler) }()
	go http.Get("http://" + listener.Addr().String())
	<-entered
	cancel()
	start := time.Now()
	err = <-served
	if err == nil || err.Error() != "shut down: context deadline exceeded" {
		t.Errorf("serve returned %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("shutdown took %v, want less than 5s", took)
	}
}
