package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// start serves the mode that env says, and returns its address and, later, its
// exit status.
func start(t *testing.T, env ...string) (url string, exit <-chan int) {
	t.Helper()
	values := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, stderr := io.Pipe()
	code, ended := make(chan int, 1), make(chan struct{})
	go func() {
		code <- run(ctx, "127.0.0.1:0", func(name string) string { return values[name] }, stderr)
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(string(line[:n])), " listens on ")
	if !ok {
		t.Fatalf("said %q", line[:n])
	}
	return "http://" + address, code
}

// ask returns the status of an answer, 0 where there was none.
func ask(client *http.Client, url string) int {
	response, err := client.Post(url+"/predict", "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode == http.StatusOK && !strings.Contains(string(body), "prediction") {
		return 0
	}
	return response.StatusCode
}

// askAll asks n times at once, and returns how often it got each status and how
// long all of it took.
func askAll(t *testing.T, url string, n int) (statuses map[int]int, took time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	statuses = map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	begun := time.Now()
	for range n {
		all.Go(func() {
			status := ask(client, url)
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	return statuses, time.Since(begun)
}

// The least time is exact, since these services never hurry. The most is wide:
// a machine that runs tests may.
func TestServicesOfACapacityKeepToIt(t *testing.T) {
	for _, c := range []struct {
		env      string
		requests int
		least    time.Duration
	}{
		{"MODE=lock HELD=10ms", 50, 500 * time.Millisecond},
		{"MODE=workers WORKERS=4 TAKES=20ms", 100, 500 * time.Millisecond},
		{"MODE=rate RATE=100", 51, 500 * time.Millisecond}, // the first passes at once
		{"MODE=downstream WORKERS=4 TAKES=20ms PATIENCE=1m", 100, 500 * time.Millisecond},
	} {
		t.Run(c.env, func(t *testing.T) {
			url, _ := start(t, strings.Fields(c.env)...)
			statuses, took := askAll(t, url, c.requests)
			if statuses[http.StatusOK] != c.requests || took < c.least || took > 3*c.least {
				t.Errorf("%v in %v, want %d right answers in a little more than %v", statuses, took, c.requests, c.least)
			}
		})
	}
}

func TestARequestCostsWhatItIsToldTo(t *testing.T) {
	url, _ := start(t, "MODE=cpu", "COST=5ms")
	ask(http.DefaultClient, url) // from it on the cost is exact
	before := cpuTime()
	statuses, _ := askAll(t, url, 40)
	// Clients are of this process too, and part of the cost; but those that
	// wait for the last answers aren't.
	if used := cpuTime() - before; statuses[http.StatusOK] != 40 || used < 190*time.Millisecond || used > 260*time.Millisecond {
		t.Errorf("%v took %v of CPU, want 200ms", statuses, used)
	}
}

func TestAnImpatientServiceAnswers504(t *testing.T) {
	url, _ := start(t, "MODE=downstream", "WORKERS=1", "TAKES=300ms", "PATIENCE=700ms")
	statuses, _ := askAll(t, url, 5)
	if statuses[http.StatusOK] == 0 || statuses[http.StatusGatewayTimeout] == 0 || len(statuses) != 2 {
		t.Errorf("got %v, want the first two to be answered and the others not", statuses)
	}
}

func TestOneAnswerInSoManyIsWrong(t *testing.T) {
	url, _ := start(t, "MODE=errors", "ONE_IN=20")
	if statuses, _ := askAll(t, url, 100); statuses[http.StatusOK] != 95 || statuses[http.StatusInternalServerError] != 5 {
		t.Errorf("got %v", statuses)
	}
}

func TestCrashesEndTheProgram(t *testing.T) {
	for _, env := range []string{"MODE=crash AFTER=10", "MODE=crash CONCURRENT=10 TAKES=500ms"} {
		url, exit := start(t, strings.Fields(env)...)
		if statuses, _ := askAll(t, url, 9); !strings.Contains(env, "CONCURRENT") && statuses[http.StatusOK] != 9 {
			t.Errorf("%s: got %v before it was due", env, statuses)
		}
		askAll(t, url, 10)
		if code := <-exit; code != exitCrash {
			t.Errorf("%s: exit status %d", env, code)
		}
	}
}

func TestASleeperIsUnhealthyUntilItWakes(t *testing.T) {
	healthy := func(url string) bool {
		response, err := http.Get(url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	url, _ := start(t, "MODE=sleepy", "READY_AFTER=1s")
	if healthy(url) {
		t.Error("it was healthy at once")
	}
	for deadline := time.Now().Add(20 * time.Second); !healthy(url); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never got healthy")
		}
	}
	if url, _ := start(t, "MODE=sleepy", "READY_AFTER=0s"); healthy(url) {
		t.Error("what never wakes was healthy")
	}
}

// resident returns how much memory this process has, without what Go would give
// back.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}

func TestALeakKeepsMemoryForEachRequest(t *testing.T) {
	url, _ := start(t, "MODE=leak", "EACH=2097152")
	before := resident(t)
	askAll(t, url, 50)
	if grown := (resident(t) - before) >> 20; grown < 90 || grown > 115 {
		t.Errorf("grew by %d MiB, want 100", grown)
	}
}

func TestMemoryIsKeptWhileAConnectionIsOpen(t *testing.T) {
	url, _ := start(t, "MODE=connections", "EACH=2097152")
	before := resident(t)
	var open []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	ask(http.DefaultClient, url) // accepted after them
	if grown := (resident(t) - before) >> 20; grown < 90 || grown > 115 {
		t.Errorf("grew by %d MiB, want 100", grown)
	}
	for _, c := range open {
		c.Close()
	}
	for range 100 {
		if resident(t)-before < 20<<20 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the memory was kept when the connections were closed")
}

func liveHeap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestLiveHeapGrowsWithConnections(t *testing.T) {
	g := &garbage{each: 8 << 20, allocates: 8 << 20, live: map[net.Conn]*node{}}
	before := liveHeap()
	a, b := net.Pipe()
	g.connection(a, http.StateNew)
	g.connection(b, http.StateNew)
	if err := g.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if grown := (liveHeap() - before) >> 20; grown < 14 || grown > 18 {
		t.Errorf("two connections and a request keep %d MiB, want 16", grown)
	}
	g.connection(a, http.StateClosed)
	if grown := (liveHeap() - before) >> 20; grown < 6 || grown > 10 {
		t.Errorf("one connection keeps %d MiB, want 8", grown)
	}
	runtime.KeepAlive(g)
}

// The kernel that counts is the services': Linux.
func TestOnlySoManyConnectionsWait(t *testing.T) {
	l, err := backlog{length: 3, every: time.Hour}.listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	waiting := 0
	for range 6 {
		if c, err := net.DialTimeout("tcp", l.Addr().String(), 100*time.Millisecond); err == nil {
			defer c.Close()
			waiting++
		}
	}
	if waiting != 4 {
		t.Errorf("%d wait, want 4", waiting)
	}
	for range 4 { // they are all accepted at once
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMistakeIsNamed(t *testing.T) {
	for env, want := range map[string]string{
		"MODE=":                       `MODE="" is no mode`,
		"MODE=lock HELD=5":            `HELD="5": time: missing unit in duration "5"`,
		"MODE=lock HELD=-5s":          `HELD="-5s": value out of range`,
		"MODE=workers WORKERS=0":      `WORKERS="0": value out of range`,
		"MODE=connections EACH=1 MiB": `EACH="1 MiB": `,
	} {
		var said strings.Builder
		code := run(t.Context(), "127.0.0.1:0", func(name string) string {
			for _, part := range strings.SplitN(env, " ", 2) {
				if key, value, _ := strings.Cut(part, "="); key == name {
					return value
				}
			}
			return ""
		}, &said)
		if code != exitUsage || !strings.Contains(said.String(), want) {
			t.Errorf("%s: exit status %d, %s", env, code, said.String())
		}
	}
}
