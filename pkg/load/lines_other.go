//go:build !linux

package load

import (
	"context"
	"net"
)

// lines returns how many loops play the plan, and how they reach its service.
func lines(_ context.Context, plan *Plan) (loops int, open func() (*line, error), err error) {
	return halfOfCores(), viaClients(plan, (&net.Dialer{}).DialContext), nil
}
