package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// A message is one of the stream in which an engine tells how a build or a
// pull goes.
type message struct {
	ID             string          `json:"id"` // of a layer, or what Aux is
	Status         string          `json:"status"`
	Stream         string          `json:"stream"` // a build's output
	ProgressDetail amount          `json:"progressDetail"`
	Aux            json.RawMessage `json:"aux"`
	Error          string          `json:"error"`
	ErrorDetail    struct {
		Code int `json:"code"` // the exit code of a build's step
	} `json:"errorDetail"`
}

// An amount is how many bytes have come, and of how many; 0 is not known.
type amount struct {
	Current int64 `json:"current"`
	Total   int64 `json:"total"`
}

// messages returns an engine's messages until the first error, which is of
// reading. What went wrong on the engine is a message itself: by then the
// status, 200, has been sent.
func messages(answer io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		for decoder := json.NewDecoder(answer); ; {
			var m message
			err := decoder.Decode(&m)
			if errors.Is(err, io.EOF) || !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// unlessSilent returns a context that ends once heard wasn't called for limit,
// with that as its cause. The caller has to call stop.
func unlessSilent(ctx context.Context, limit time.Duration) (_ context.Context, heard, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("the engine said nothing for %s", limit)) })
	return ctx, func() { timer.Reset(limit) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

const lineRunes = 100 // as long as a line of progress gets

// oneLine returns text as one line, cut where it is long.
func oneLine(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > lineRunes {
		return string(runes[:lineRunes-1]) + "…"
	}
	return string(runes)
}

// layers are those of an image that is being pulled, by their ids.
type layers map[string]layer

type layer struct {
	done bool
	size amount // of what is downloaded
}

// observe takes in what m says of a layer, and reports whether it did.
func (l layers) observe(m message) bool {
	seen := l[m.ID]
	switch m.Status {
	case "Pulling fs layer", "Waiting", "Verifying Checksum", "Extracting":
	case "Downloading":
		seen.size = m.ProgressDetail
	case "Download complete":
		seen.size.Current = seen.size.Total
	case "Pull complete", "Already exists":
		seen.done = true
		seen.size.Current = seen.size.Total
	default: // of the image, whose id is its tag, or unknown
		return false
	}
	l[m.ID] = seen
	return true
}

func (l layers) String() string {
	done, size := 0, amount{}
	for _, layer := range l {
		if layer.done {
			done++
		}
		size.Current += layer.size.Current
		size.Total += layer.size.Total
	}
	text := fmt.Sprintf("%d of %d layers", done, len(l))
	if size.Total > 0 {
		text += fmt.Sprintf(", %.0f of %.0f MB", megabytes(size.Current), megabytes(size.Total))
	}
	return text
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// seldom returns a progress that passes on a line at most once in every
// interval, and never the same one again; what last says must not be lost.
func seldom(progress func(string), every time.Duration) (say func(line string, last bool)) {
	var (
		said string
		when time.Time
	)
	return func(line string, last bool) {
		now := time.Now()
		if line == said || (!last && now.Sub(when) < every) {
			return
		}
		said, when = line, now
		progress(line)
	}
}
