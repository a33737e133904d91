package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// errRefused is a real refused connection.
func errRefused(t *testing.T) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = net.Dial("tcp", address)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dialling a closed port: %v", err)
	}
	return err
}

func errExhausted() error { return syscall.EMFILE }

// pipes joins an agent and a remote generator in this process.
type pipes struct {
	io.Reader
	io.Writer
	close func() error
}

func (p pipes) Close() error { return p.close() }

func attachInProcess(context.Context, measure.Target) (io.ReadWriteCloser, error) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() { outW.CloseWithError(Serve(context.Background(), inR, outW)) }()
	return pipes{Reader: outR, Writer: inW, close: func() error { return errors.Join(inW.Close(), outR.Close()) }}, nil
}

func netPlanOf(t measure.Target) Plan { return netPlan(t.Address) }

func netPlan(address string) Plan {
	e := &experiment.Experiment{}
	wait := experiment.Duration(50 * time.Millisecond)
	e.Service.Ready = experiment.Ready{Path: "/health", Within: experiment.Duration(5 * time.Second)}
	e.Request = experiment.Request{
		Method: http.MethodPost, Path: "/predict", Timeout: experiment.Duration(time.Second),
		Headers: map[string]experiment.Value{"content-type": {Resolved: "application/json"}, "X-Token": {Written: "${T}", Resolved: "secret"}},
		Expect:  experiment.Expect{Status: []int{200}, Contains: "prediction"},
		Body:    experiment.Literal(`{"features": [1, 2, 3]}`),
	}
	e.Users = experiment.Users{Target: 20, RampOver: experiment.Duration(time.Second), Hold: experiment.Duration(time.Second), Wait: experiment.Wait{Constant: &wait}}
	p, err := NewPlan(e, address)
	if err != nil {
		panic(err)
	}
	return p
}

func TestAgentLoadsARealServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/predict" && (r.Header.Get("X-Token") != "secret" || r.Header.Get("Content-Type") != "application/json" || !bytes.Contains(body, []byte("features"))) {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"prediction": 1}`)
	}))
	defer server.Close()
	r := &Remote{Attach: attachInProcess, Plan: netPlanOf}
	target := measure.Target{Address: strings.TrimPrefix(server.URL, "http://")}
	if err := r.Await(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	var s measure.Series
	for tick, err := range r.Run(t.Context(), target) {
		if err != nil {
			t.Fatal(err)
		}
		s.Add(tick)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	var all measure.Window
	for _, w := range s.Windows {
		all.Merge(w)
	}
	if len(s.Windows) != 2 || all.Failed() != 0 || all.Pending() != 0 || all.Done < 20 {
		t.Errorf("%d windows, %d done, errors %v, %d pending", len(s.Windows), all.Done, all.Errors, all.Pending())
	}
	t.Logf("%d done, p50 %v, p99 %v, lag p99 %v", all.Done, all.Response.Quantile(0.5), all.Response.Quantile(0.99), all.Lag.Quantile(0.99))
	if all.Effort == nil || all.Effort.CPU <= 0 || all.Effort.Memory <= 0 {
		t.Errorf("the generator's own effort is missing: %+v", all.Effort)
	}
}

func TestAgentSaysThatAServiceIsNotReady(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	plan := func(t measure.Target) Plan {
		p := netPlanOf(t)
		p.Ready.Within = 300 * time.Millisecond
		return p
	}
	r := &Remote{Attach: attachInProcess, Plan: plan}
	err := r.Await(t.Context(), measure.Target{Address: strings.TrimPrefix(server.URL, "http://")})
	if !errors.Is(err, measure.ErrNotReady) || !strings.Contains(err.Error(), "404 Not Found") {
		t.Errorf("got %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// scripted is an agent that says what it is told to, whatever it is asked.
func scripted(lines string) func(context.Context, measure.Target) (io.ReadWriteCloser, error) {
	return func(context.Context, measure.Target) (io.ReadWriteCloser, error) {
		return pipes{Reader: strings.NewReader(lines), Writer: io.Discard, close: func() error { return nil }}, nil
	}
}

func TestALostFrameIsAnInstrumentFailure(t *testing.T) {
	for name, lines := range map[string]string{
		"gap":     `{"seq":1,"ready":true}{"seq":2,"tick":{"at":1}}{"seq":4,"tick":{"at":3}}`,
		"cut off": `{"seq":1,"ready":true}{"seq":2,"tick":{"at":1}}{"seq":3,"ti`,
		"gone":    `{"seq":1,"ready":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := &Remote{Attach: scripted(lines), Plan: netPlanOf}
			if err := r.Await(t.Context(), measure.Target{}); err != nil {
				t.Fatal(err)
			}
			var last error
			for _, err := range r.Run(t.Context(), measure.Target{}) {
				last = err
			}
			if last == nil {
				t.Error("the loop ended as if the measurement were whole")
			}
		})
	}
}

func TestPlanSurvivesTheWay(t *testing.T) {
	want := netPlan("127.0.0.1:8000")
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Plan
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Request.Fixed()) != string(want.Request.Fixed()) || got.Ramp[0] != want.Ramp[0] || *got.Wait.Constant != *want.Wait.Constant {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.HasPrefix(string(got.Request.Fixed()), "POST /predict HTTP/1.1\r\nX-Token: secret\r\ncontent-type: application/json\r\nHost: 127.0.0.1:8000\r\n") {
		t.Errorf("request: %q", got.Request.Fixed())
	}
}
