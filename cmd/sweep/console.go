package main

import (
	"io"

	"sweep/pkg/report"
)

// harmless returns the console for a verb that prints what others said: engines,
// services, files. What would move a cursor doesn't get through.
func (c console) harmless() console {
	return console{in: c.in, out: filter{c.out}, err: filter{c.err}}
}

// A filter writes what is printable of each text; see [report.Printable].
type filter struct{ to io.Writer }

// Write writes a whole text.
func (f filter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(f.to, report.Printable(string(text))); err != nil {
		return 0, err //nolint:wrapcheck // the console's own
	}
	return len(text), nil
}

// beneath returns the writer itself, for who has to know what it is.
func beneath(w io.Writer) io.Writer {
	if f, ok := w.(filter); ok {
		return f.to
	}
	return w
}
