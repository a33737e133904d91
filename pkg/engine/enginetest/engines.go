package enginetest

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const answersWithin = 30 * time.Second

//go:embed guard.sh
var guard string

// script is what guard runs.
//
//go:embed engines.sh
var script string

// engines are Docker Engines that have nothing in common with the one of this
// machine but the kernel. A switch joins them.
type engines struct {
	dir       string
	ours      net.IP // this machine's, where they see it
	addresses []net.IP

	orders  io.Writer // to script
	reports *bufio.Scanner
}

// prepare returns n engines that don't run yet.
func prepare(t testing.TB, n int) *engines {
	t.Helper()
	dir, err := os.MkdirTemp("", "sweep-engines-") //nolint:usetesting // a socket's path must be short, and guard outlives the test
	if err != nil {
		t.Fatal(err)
	}
	all := addresses(t, 1+n)
	return &engines{dir: dir, ours: all[0], addresses: all[1:]}
}

// folder returns where all is that an engine has.
func (e *engines) folder(i int) string { return filepath.Join(e.dir, "node"+strconv.Itoa(i)) }

func (e *engines) socket(i int) string { return "unix://" + filepath.Join(e.folder(i), "docker.sock") }

// start starts the engines, and waits until they answer. When the test has
// ended, also by a panic or a signal, all that they have goes. It takes Linux
// and root, or a sudo that doesn't ask. Settings of their daemon.json are added
// to those that keep them apart.
func (e *engines) start(t testing.TB, settings map[string]any) {
	t.Helper()
	for i := range e.addresses {
		e.configure(t, i, settings)
	}
	e.run(t)
	for i := range e.addresses {
		e.await(t, i)
	}
}

// link returns the name of the interface that leads to the engines in a folder.
// At most 15 characters are possible.
func link(dir string) string { return "sw" + dir[strings.LastIndex(dir, "-")+1:] }

func (e *engines) configure(t testing.TB, i int, settings map[string]any) {
	t.Helper()
	dir := e.folder(i)
	all := map[string]any{
		"hosts":     []string{e.socket(i)},
		"data-root": filepath.Join(dir, "data"), "exec-root": filepath.Join(dir, "exec"), "pidfile": filepath.Join(dir, "pid"),
		"cgroup-parent":  "/" + filepath.Base(e.dir),               // by which guard finds its groups
		"exec-opts":      []string{"native.cgroupdriver=cgroupfs"}, // systemd doesn't know its processes by their numbers here
		"storage-driver": "vfs", "bridge": "none", "iptables": false, "ip6tables": false,
	}
	maps.Copy(all, settings)
	text, err := json.Marshal(all)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "daemon.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs guard until the test ends.
func (e *engines) run(t testing.TB) {
	t.Helper()
	args := []string{"sh", "-c", guard, "guard", e.dir, script, e.dir, link(e.dir), e.ours.String()}
	for _, its := range e.addresses {
		args = append(args, its.String())
	}
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	reports, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		orders.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("stop the engines: %v", err)
		}
	})
	e.orders, e.reports = orders, bufio.NewScanner(reports)
	e.expect(t, "up")
}

// expect waits until script says that something is so.
func (e *engines) expect(t testing.TB, report string) {
	t.Helper()
	if !e.reports.Scan() || e.reports.Text() != report { // why is on standard error
		t.Fatalf("the engines' script says %q, want %q", e.reports.Text(), report)
	}
}

// order has script do something, and waits until it has.
func (e *engines) order(t testing.TB, what string) {
	t.Helper()
	if _, err := fmt.Fprintln(e.orders, what); err != nil {
		t.Fatal(err)
	}
	e.expect(t, what)
}

// await waits until an engine answers.
func (e *engines) await(t testing.TB, i int) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(e.socket(i), "unix://"))
	}}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport}
	for began := time.Now(); time.Since(began) < answersWithin; time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://engine/_ping", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := web.Do(request); err == nil {
			answer.Body.Close()
			t.Logf("engine %d answers after %v", i, time.Since(began).Round(time.Millisecond))
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(e.folder(i), "log")) // without it there is no more to say
	t.Fatalf("engine %d doesn't answer within %v:\n%s", i, answersWithin, log)
}

// load copies an image from this machine's engine to the one at a socket.
func load(t testing.TB, socket, ref string) {
	t.Helper()
	save := exec.CommandContext(t.Context(), "docker", "save", ref)
	load := exec.CommandContext(t.Context(), "docker", "--host", socket, "load")
	out, in := io.Pipe()
	save.Stdout, save.Stderr, load.Stdin = in, os.Stderr, out
	go func() { in.CloseWithError(save.Run()) }()
	if said, err := load.CombinedOutput(); err != nil {
		t.Fatalf("copy %s to %s: %v\n%s", ref, socket, err, said)
	}
}

// addresses returns n addresses of one network. They are of the range for
// benchmarks (RFC 2544), and drawn, so that tests can run beside one another.
func addresses(t testing.TB, n int) []net.IP {
	t.Helper()
	const size, most = 16, 14 // of a network, the first and the last aren't a host's
	if n > most {
		t.Fatalf("%d addresses, but there are at most %d", n, most)
	}
	drawn, err := rand.Int(rand.Reader, big.NewInt(1<<17/size))
	if err != nil {
		t.Fatal(err)
	}
	first := uint32(198<<24|18<<16) + size*uint32(drawn.Uint64())
	all := make([]net.IP, n)
	for i := range all {
		all[i] = binary.BigEndian.AppendUint32(nil, first+1+uint32(i))
	}
	return all
}
