package load

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// goneAfter is for how long the other end of a connection may not answer: a machine
// that lost its power says no goodbye.
const goneAfter = 15 * time.Second

// watch makes a connection fail once its other end is gone. What is written is
// taken by the kernel for a quarter of an hour otherwise, and an agent that
// nobody listens to would play on.
func watch(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: goneAfter / 3, Interval: goneAfter / 3, Count: 2})
	if err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneAfter.Milliseconds()))
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	return nil
}
