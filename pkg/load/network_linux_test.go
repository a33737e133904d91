package load

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

func TestParseNetwork(t *testing.T) {
	const (
		basic    = "Ip: Forwarding InReceives\nIp: 1 2\nTcp: RtoAlgorithm MaxConn RetransSegs InErrs\nTcp: 1 -1 94 0\nUdp: InDatagrams\nUdp: 3\n"
		extended = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\nTcpExt: 1 20 21 4\nIpExt: InNoRoutes ListenOverflows\nIpExt: 8 9\n"
	)
	for _, c := range []struct {
		name, extended, basic string
		ok                    bool
	}{
		{"all", extended, basic, true},
		{"an old kernel", "TcpExt: SyncookiesSent\nTcpExt: 1\n", basic, false},
		{"no TCP", extended, "Ip: Forwarding\nIp: 1\n", false},
		{"cut off", "TcpExt: SyncookiesSent ListenOverflows ListenDrops\n", basic, false},
		{"more names than values", "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2\n", basic, false},
		{"no numbers", "TcpExt: ListenOverflows ListenDrops\nTcpExt: x y\n", basic, false},
		{"nothing", "", "", false},
	} {
		got, ok := parseNetwork(c.extended, c.basic)
		want := measure.Network{}
		if c.ok {
			want = measure.Network{ListenOverflows: 20, ListenDrops: 21, Retransmits: 94}
		}
		if ok != c.ok || got != want {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

func TestThisKernelTellsOfItsNetwork(t *testing.T) {
	m := newNetworkMeter(&Plan{Inside: true})
	if got := m.read(); got == nil {
		t.Error("nothing is told")
	}
}

// deaf listens, with room for one connection, and accepts none.
func deaf(t *testing.T) (address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

func TestConnectionsThatFindTheAcceptQueueFullAreCounted(t *testing.T) {
	plan := netPlan(deaf(t))
	plan.Inside, plan.Ramp, plan.Timeout = true, experiment.Ramp{stage(20, 0, 1000)}, 500*time.Millisecond
	var s measure.Series
	for tick, err := range Run(t.Context(), plan) {
		if err != nil {
			t.Fatal(err)
		}
		s.Add(tick)
	}
	// One is in the queue, and Linux lets one more in; who is left is dropped.
	const dropped = 18
	if n := s.Windows[0].Network; n == nil || n.ListenOverflows < dropped || n.ListenDrops < n.ListenOverflows {
		t.Errorf("20 connections, an accept queue of 1: %+v", n)
	}
}
