// Package zmtp is the part of ZeroMQ's wire protocol that Locust's workers
// speak: ZMTP 3 with its NULL mechanism, a ROUTER's end of connections that
// DEALERs open (https://rfc.zeromq.org/spec/23/). There is no encryption and no
// password in it, so it belongs where nobody else can connect.
//
// It is written out since it is small: a greeting, one command, and frames.
package zmtp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Largest is the largest message that is read, in bytes.
const Largest = 64 << 20

// The flags of a frame.
const (
	more    = 1 << iota // another frame of the same message follows
	long                // its length has eight bytes, not one
	command             // it is of the protocol itself, not of a message
)

const (
	greeting  = 64 // bytes
	signature = 10 // of them
	mechanism = 12 // where its name begins
)

// Conn is a connection that a DEALER has opened. One goroutine may read while
// another writes.
type Conn struct {
	Identity string // what the DEALER calls itself

	r *bufio.Reader
	w io.Writer
}

// Accept greets a DEALER that has connected.
func Accept(rw io.ReadWriter) (*Conn, error) {
	c := &Conn{r: bufio.NewReader(rw), w: rw}
	if _, err := c.w.Write(greet()); err != nil {
		return nil, fmt.Errorf("greet: %w", err)
	}
	var peer [greeting]byte
	if _, err := io.ReadFull(c.r, peer[:]); err != nil {
		return nil, fmt.Errorf("read the greeting: %w", err)
	}
	if err := welcome(peer[:]); err != nil {
		return nil, err
	}
	if err := c.write(command, ready("ROUTER")); err != nil {
		return nil, fmt.Errorf("say that we are ready: %w", err)
	}
	flags, body, err := c.frame()
	if err != nil {
		return nil, fmt.Errorf("read what the peer is: %w", err)
	}
	properties, ok := bytes.CutPrefix(body, []byte("\x05READY"))
	if flags&command == 0 || !ok {
		return nil, fmt.Errorf("the peer didn't say that it is ready, but %.40q", body)
	}
	is, err := parse(properties)
	if err != nil {
		return nil, err
	}
	if is["Socket-Type"] != "DEALER" {
		return nil, fmt.Errorf("the peer is a %.20q, not a DEALER", is["Socket-Type"])
	}
	c.Identity = is["Identity"]
	return c, nil
}

// greet returns the greeting of version 3.0, whose peers send no heartbeats.
func greet() []byte {
	g := make([]byte, greeting)
	g[0], g[signature-1], g[signature] = 0xff, 0x7f, 3
	copy(g[mechanism:], "NULL")
	return g
}

// welcome returns why a greeting isn't welcome.
func welcome(g []byte) error {
	name := string(bytes.TrimRight(g[mechanism:mechanism+20], "\x00"))
	switch {
	case g[0] != 0xff || g[signature-1]&1 == 0:
		return errors.New("the peer doesn't speak ZeroMQ")
	case g[signature] < 3:
		return fmt.Errorf("the peer speaks version %d of ZeroMQ's protocol, but it takes 3", g[signature])
	case name != "NULL":
		return fmt.Errorf("the peer wants the mechanism %.20q, but there is only NULL", name)
	}
	return nil
}

// ready returns the command that says what a socket is.
func ready(kind string) []byte {
	const key = "Socket-Type"
	b := append([]byte("\x05READY"), byte(len(key)))
	b = append(b, key...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(kind))) //nolint:gosec // a short word
	return append(b, kind...)
}

var errProperties = errors.New("what the peer says of itself is cut off")

// parse reads names and values: a byte of length and the name, four bytes of
// length and the value.
func parse(b []byte) (map[string]string, error) {
	properties := map[string]string{}
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return nil, errProperties
		}
		name, rest := string(b[1:1+n]), b[1+n:]
		m := uint64(binary.BigEndian.Uint32(rest))
		if uint64(len(rest)-4) < m {
			return nil, errProperties
		}
		properties[name], b = string(rest[4:4+m]), rest[4+m:]
	}
	return properties, nil
}

// Read returns the next message. All of its frames are one text.
func (c *Conn) Read() ([]byte, error) {
	var message []byte
	for {
		flags, body, err := c.frame()
		if err != nil {
			return nil, err
		}
		if flags&command != 0 {
			if err := c.answer(body); err != nil {
				return nil, err
			}
			continue
		}
		if message = append(message, body...); len(message) > Largest {
			return nil, errLarge
		}
		if flags&more == 0 {
			return message, nil
		}
	}
}

// answer answers a command amid messages: only a ping wants one.
func (c *Conn) answer(body []byte) error {
	const name, ttl = "\x04PING", 2
	if !bytes.HasPrefix(body, []byte(name)) || len(body) < len(name)+ttl {
		return nil
	}
	return c.write(command, append([]byte("\x04PONG"), body[len(name)+ttl:]...))
}

// Write sends a message of one frame.
func (c *Conn) Write(message []byte) error { return c.write(0, message) }

func (c *Conn) write(flags byte, body []byte) error {
	const short = 255
	frame := []byte{flags, byte(len(body))}
	if len(body) > short {
		frame = binary.BigEndian.AppendUint64([]byte{flags | long}, uint64(len(body)))
	}
	_, err := c.w.Write(append(frame, body...))
	return err //nolint:wrapcheck // the caller says what was being written
}

var errLarge = fmt.Errorf("a message is larger than %d MiB", Largest>>20)

// frame reads a frame. Its memory is taken as it comes, not as it is announced.
func (c *Conn) frame() (flags byte, body []byte, err error) {
	var head [8]byte
	if flags, err = c.r.ReadByte(); err != nil {
		return 0, nil, err //nolint:wrapcheck // io.EOF at a message's end is how a connection ends
	}
	size := head[7:]
	if flags&long != 0 {
		size = head[:]
	}
	if _, err := io.ReadFull(c.r, size); err != nil {
		return 0, nil, fmt.Errorf("read a frame: %w", err)
	}
	n := binary.BigEndian.Uint64(head[:])
	if n > Largest {
		return 0, nil, errLarge
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, c.r, int64(n)); err != nil { //nolint:gosec // at most Largest
		return 0, nil, fmt.Errorf("read a frame: %w", err)
	}
	return flags, b.Bytes(), nil
}
