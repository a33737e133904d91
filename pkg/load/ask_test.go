package load

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestAnAgentLooksAtAService(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-A")+" "+string(body))
	}))
	defer service.Close()
	ours, its := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), its, its) }()
	l := NewLooker(ours)
	got, err := l.Ask(t.Context(), Ask{Method: "POST", Address: service.Listener.Addr().String(), Path: "/p", Protocol: "http", Headers: map[string]string{"X-A": "b"}, Body: "c"})
	if want := (Answer{Status: 418, Body: "POST /p b c"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	service.Close()
	got, err = l.Ask(t.Context(), Ask{Method: "GET", Address: service.Listener.Addr().String(), Path: "/", Protocol: "http"})
	if err != nil || got.Status != 0 || !strings.Contains(got.Failed, "refused") {
		t.Errorf("nobody there: %+v, %v", got, err)
	}
	if _, err := l.Ports(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(l.Close(), <-served); err != nil {
		t.Error(err)
	}
}

func TestListeningPorts(t *testing.T) {
	files := map[string]string{
		"/proc/net/tcp": `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0100007F:9C42 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
`,
		"/proc/net/tcp6": "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0\n   1: 0:1F40 0:0 0A\n",
	}
	read := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	if got := listening(read); !slices.Equal(got, []int{80, 8000}) {
		t.Errorf("got %v", got)
	}
}
