package locust

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// The kinds of messages between a master and its workers; see Locust's
// runners.py. Those that a worker sends besides (spawning, logs, locustfile and
// the locustfile's own) say nothing that is needed here.
const (
	// From a worker.
	clientReady      = "client_ready" // its version
	heartbeatKind    = "heartbeat"    // every second
	spawningComplete = "spawning_complete"
	statsKind        = "stats" // every three seconds, what happened since the last
	exceptionKind    = "exception"
	clientStopped    = "client_stopped"
	quitKind         = "quit"

	// To a worker.
	ackKind   = "ack"
	spawnKind = "spawn" // how many users there shall be
	stopKind  = "stop"
)

// message is an array of three in MessagePack.
type message struct {
	kind string
	data msgpack.RawMessage
	node string // the worker's id
}

// heartbeat is what a worker says of itself.
type heartbeat struct {
	CPU    float64 `msgpack:"current_cpu_usage"`    // percent of a core, over the last five seconds or ten
	Memory int64   `msgpack:"current_memory_usage"` // resident, in bytes
}

// headcount is how many users a worker has.
type headcount struct {
	Users int `msgpack:"user_count"`
}

// statistics are what happened at a worker since it last told.
type statistics struct {
	headcount
	Total  entry              `msgpack:"stats_total"`
	Errors map[string]failure `msgpack:"errors"`
}

// entry counts requests that have ended. Those that failed are among them.
type entry struct {
	Requests  uint64  `msgpack:"num_requests"`
	Times     numbers `msgpack:"response_times"`   // by milliseconds, rounded to two digits beyond 100
	PerSecond numbers `msgpack:"num_reqs_per_sec"` // by the second, of Unix time, in which they ended
	Failed    numbers `msgpack:"num_fail_per_sec"` // likewise
}

// failure is a kind of failed requests, in the words of their exception.
type failure struct {
	Error       string `msgpack:"error" json:"error"`
	Occurrences count  `msgpack:"occurrences" json:"occurrences"`
}

// spawn is how many users a worker shall have from now on.
type spawn struct {
	Timestamp   float64        `msgpack:"timestamp"` // Unix time; one that isn't later than the last is ignored
	Users       map[string]int `msgpack:"user_classes_count"`
	Host        string         `msgpack:"host"`         // overrides the host of the locustfile's users
	StopTimeout int            `msgpack:"stop_timeout"` // in seconds, that users who are stopped get to end what they do
	Options     struct{}       `msgpack:"parsed_options"`
}

// What a worker tells beyond these it can't have counted. To sort it would keep
// the master from all other workers, so that such a worker is lost instead.
const (
	mostCounted = 1 << 32 // of one kind
	mostKey     = 1 << 40 // milliseconds, or seconds of Unix time
	mostSeconds = 60      // in one report, which is of three
)

var errCounts = errors.New("nobody can have counted that")

// count is how often something was seen.
type count uint64

// DecodeMsgpack reads a number that can be one.
func (c *count) DecodeMsgpack(d *msgpack.Decoder) error {
	n, err := d.DecodeUint64() // of a number below 0 it makes one that is far too large
	if err == nil && n > mostCounted {
		err = errCounts
	}
	*c = count(n)
	return err //nolint:wrapcheck // read does
}

// numbers count by a number, which Python writes now as an integer and now as a
// fraction.
type numbers map[float64]uint64

// DecodeMsgpack reads the map.
func (n *numbers) DecodeMsgpack(d *msgpack.Decoder) error {
	size, err := d.DecodeMapLen()
	if err != nil {
		return err //nolint:wrapcheck // read does
	}
	*n = numbers{}
	for range size {
		key, err := d.DecodeFloat64()
		if err != nil {
			return err //nolint:wrapcheck // likewise
		}
		if !(key >= 0 && key <= mostKey) { // nor is it no number at all
			return errCounts
		}
		var c count
		if err := c.DecodeMsgpack(d); err != nil {
			return err
		}
		(*n)[key] += uint64(c)
	}
	return nil
}

// decode reads a message.
func decode(b []byte) (m message, err error) {
	d := msgpack.NewDecoder(bytes.NewReader(b))
	const parts = 3
	switch n, err := d.DecodeArrayLen(); {
	case err != nil:
		return m, fmt.Errorf("read a worker's message: %w", err)
	case n != parts:
		return m, fmt.Errorf("read a worker's message: it has %d parts, not %d", n, parts)
	}
	if m.kind, err = d.DecodeString(); err == nil {
		if m.data, err = d.DecodeRaw(); err == nil {
			m.node, err = d.DecodeString()
		}
	}
	if err != nil {
		return m, fmt.Errorf("read a worker's message: %w", err)
	}
	return m, nil
}

// read reads the message's data.
func (m message) read(into any) error {
	if err := msgpack.Unmarshal(m.data, into); err != nil {
		return fmt.Errorf("read what worker %s said by %s: %w", m.node, m.kind, err)
	}
	return nil
}

// report reads what happened at a worker.
func (m message) report() (s statistics, err error) {
	if err := m.read(&s); err != nil {
		return s, err
	}
	if len(s.Total.PerSecond) > mostSeconds || s.Users < 0 {
		return s, fmt.Errorf("read what worker %s said by %s: %w", m.node, m.kind, errCounts)
	}
	return s, nil
}

// encode writes a message to a worker.
func encode(kind string, data any, node string) []byte {
	b, err := msgpack.Marshal([]any{kind, data, node})
	if err != nil {
		panic(err) // all that is sent has a form
	}
	return b
}
