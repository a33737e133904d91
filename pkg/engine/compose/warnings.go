package compose

import (
	"io"
	"sync"

	"github.com/sirupsen/logrus"
)

// listening is held while somebody listens.
var listening sync.Mutex //nolint:gochecknoglobals // guards logrus's own global

// listen keeps what compose-go logs from the terminal, which it would write to
// in a format of its own, until end is called. It warns of a variable that is
// not set and the like.
func listen() (notes func() []string, end func()) {
	listening.Lock()
	l, heard := logrus.StandardLogger(), &ears{}
	out, hooks := l.Out, l.ReplaceHooks(logrus.LevelHooks{})
	l.SetOutput(io.Discard)
	l.AddHook(heard)
	return func() []string { return heard.notes }, func() {
		l.SetOutput(out)
		l.ReplaceHooks(hooks)
		listening.Unlock()
	}
}

type ears struct{ notes []string }

// Levels returns which messages are heard.
func (*ears) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel} }

// Fire hears one.
func (e *ears) Fire(entry *logrus.Entry) error {
	e.notes = append(e.notes, entry.Message)
	return nil
}
