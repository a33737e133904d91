package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// resolve returns where a host:port is. Of several addresses it is the one
// that accepts a connection, as any client finds it; one of them where none does.
func resolve(ctx context.Context, address string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(address); err == nil {
		return a, nil
	}
	const patience = 2 * time.Second
	dialing, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if conn, err := (&net.Dialer{}).DialContext(dialing, "tcp", address); err == nil {
		defer conn.Close() //nolint:errcheck // it was only to be opened
		if to, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
			return to.AddrPort(), nil
		}
	}
	to, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("finding %s: %w", address, err)
	}
	return to.AddrPort(), nil
}
