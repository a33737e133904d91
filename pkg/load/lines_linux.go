package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"sweep/pkg/experiment"
)

// lines returns how many loops play the plan, and how they reach its service:
// by sockets where plain HTTP/1.1 is spoken, else by net/http.
func lines(ctx context.Context, plan *Plan) (loops int, open func() (*line, error), err error) {
	loops, apart, err := room(plan)
	if err != nil {
		return 0, nil, err
	}
	if plan.Protocol != "" && plan.Protocol != experiment.HTTP {
		return loops, viaClients(plan, (&net.Dialer{}).DialContext), nil
	}
	to, err := resolve(ctx, plan.Address)
	if err != nil {
		return 0, nil, err
	}
	return loops, func() (*line, error) { return viaSockets(plan, to, apart) }, nil
}

// viaSockets opens a line of sockets; apart in a file table of its loop's own.
func viaSockets(plan *Plan, to netip.AddrPort, apart bool) (*line, error) {
	// Made here, where who interrupts can reach it: a table of the loop's own
	// is a copy that has it too.
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("setting up the load's sockets: %w", err)
	}
	var s *sockets
	return &line{
		wire: func(l *loop) (_ wire, err error) {
			if apart {
				if err := unix.Unshare(unix.CLONE_FILES); err != nil {
					return nil, fmt.Errorf("giving a load loop its own file table: %w; %w", err, tooFew(plan))
				}
			}
			s, err = newSockets(plan, to, l.clock, stop)
			if err != nil {
				return nil, err
			}
			s.settle = l.settle
			return s, nil
		},
		hangUp: func() { s.close() },
		interrupt: func() {
			one := [8]byte{1}
			_, _ = unix.Write(stop, one[:]) // fails only where it was interrupted often already
		},
		close: func() { _ = unix.Close(stop) }, // nothing can be lost with it
	}, nil
}
