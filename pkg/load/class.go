package load

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"sweep/pkg/measure"
)

// classify names a failure of the connection. What the generator's own side
// ran out of is never the service's fault.
func classify(err error, otherwise measure.Class) measure.Class {
	for _, own := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
	} {
		if errors.Is(err, own) {
			return measure.Own
		}
	}
	var netErr net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &netErr) && netErr.Timeout() {
		return measure.Timeout
	}
	return otherwise
}

// failure names a failure that net/http reports of a call.
func failure(err error, c *call) measure.Class {
	var dialled *net.OpError
	switch {
	case errors.As(err, &dialled) && dialled.Op == "dial":
		return classify(err, measure.Refused)
	case c.tries == 0 || strings.Contains(err.Error(), "client conn could not be established"):
		// There was a connection, but its TLS or HTTP/2 didn't come about.
		return classify(err, measure.Refused)
	case isTransport(err):
		return classify(err, measure.Reset)
	default:
		return measure.Protocol
	}
}

// isTransport tells a broken connection, or stream of HTTP/2, from an answer
// that isn't HTTP. Some errors net/http tells by their words alone.
func isTransport(err error) bool {
	var netErr net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr) ||
		errors.Is(err, io.ErrClosedPipe) ||
		slices.ContainsFunc([]string{
			"server closed idle connection",
			"received from peer", // the service reset the stream
			"server sent GOAWAY and closed the connection",
			"client conn is closed",
		}, func(words string) bool { return strings.Contains(err.Error(), words) })
}

func right(statuses []int, status int) bool { return slices.Contains(statuses, status) }
