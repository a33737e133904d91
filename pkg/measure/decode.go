package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Decode reads a stored result. Nearly all of one is histograms, which
// encoding/json would go over four times: they are cut out and read where they
// stand, and the rest goes its usual way. What isn't laid out as it is written
// goes that way altogether.
func Decode(text []byte) (Result, error) {
	r, err := decode(text)
	if err != nil {
		r = Result{}
		if err := json.Unmarshal(text, &r); err != nil {
			return r, fmt.Errorf("reading a result: %w", err)
		}
	}
	return r, nil
}

func decode(text []byte) (r Result, err error) {
	c := &cursor{text: text}
	var windows []Window
	rest, err := c.object(func(key string) (bool, error) {
		if key != "series" {
			return false, nil
		}
		rest, err := c.object(func(key string) (bool, error) {
			if key != "windows" {
				return false, nil
			}
			if windows != nil || !c.next('[') {
				return false, errLayout
			}
			var err error
			windows, err = c.windows()
			return true, err
		})
		if err == nil {
			err = json.Unmarshal(rest, &r.Series)
		}
		return true, err
	})
	if err == nil {
		err = json.Unmarshal(rest, &r)
	}
	if err == nil && !c.ended() {
		err = errLayout
	}
	r.Series.Windows = windows
	return r, err
}

var errLayout = errors.New("not laid out as results are written")

// A cursor goes over JSON once. It sees where values begin and end, and leaves to
// encoding/json whether they are right.
type cursor struct {
	text []byte
	at   int
}

// windows reads the elements of a list and its end.
func (c *cursor) windows() ([]Window, error) {
	out := []Window{}
	for !c.next(']') {
		if len(out) > 0 && !c.next(',') {
			return nil, errLayout
		}
		var w Window
		if err := c.window(&w); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

func (c *cursor) window(w *Window) error {
	rest, err := c.object(func(key string) (bool, error) {
		var h *Histogram
		switch key {
		case "connect":
			h = &w.Connect
		case "first":
			h = &w.First
		case "service":
			h = &w.Service
		case "response":
			h = &w.Response
		case "lag":
			h = &w.Lag
		default:
			return false, nil
		}
		text, err := c.value()
		if err == nil {
			err = h.UnmarshalJSON(text)
		}
		return true, err
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(rest, w) //nolint:wrapcheck // Decode does
}

// object reads an object and returns it without the members that take reads.
func (c *cursor) object(take func(key string) (taken bool, err error)) (rest []byte, err error) {
	if !c.next('{') {
		return nil, errLayout
	}
	rest = append(make([]byte, 0, 1024), '{')
	for first := true; !c.next('}'); first = false {
		if !first && !c.next(',') {
			return nil, errLayout
		}
		key, err := c.value()
		if err != nil || !isName(key) || !c.next(':') {
			return nil, errLayout
		}
		taken, err := take(string(key[1 : len(key)-1]))
		if err != nil {
			return nil, err
		}
		if taken {
			continue
		}
		value, err := c.value()
		if err != nil {
			return nil, err
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(append(append(rest, key...), ':'), value...)
	}
	return append(rest, '}'), nil
}

// isName reports whether a string is a name as we write them. To encoding/json
// others may be the same name.
func isName(key []byte) bool {
	name := bytes.Trim(key, "\"")
	return len(key) == len(name)+2 && len(bytes.Trim(name, "abcdefghijklmnopqrstuvwxyz_")) == 0
}

// next goes over a byte, if that comes next but for white space.
func (c *cursor) next(b byte) bool {
	if c.ended() || c.text[c.at] != b {
		return false
	}
	c.at++
	return true
}

// ended goes over white space, and reports whether that is all there is.
func (c *cursor) ended() bool {
	for c.at < len(c.text) && bytes.IndexByte([]byte(" \t\r\n"), c.text[c.at]) >= 0 {
		c.at++
	}
	return c.at == len(c.text)
}

// value goes over a value and returns it.
func (c *cursor) value() ([]byte, error) {
	if c.ended() {
		return nil, errLayout
	}
	begin, depth := c.at, 0
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case '"':
			if !c.string() {
				return nil, errLayout
			}
			if depth == 0 {
				return c.text[begin:c.at], nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				c.at++
				return c.text[begin:c.at], nil
			}
		}
		if depth < 0 || depth == 0 && c.text[c.at] == ',' {
			return c.text[begin:c.at], nil // a number, true, false or null
		}
		c.at++
	}
	return nil, errLayout
}

// string goes over a string, and reports whether it ends.
func (c *cursor) string() bool {
	for c.at++; ; c.at++ {
		quote := bytes.IndexByte(c.text[c.at:], '"')
		if quote < 0 {
			return false
		}
		escaped := false
		for i := c.at + quote - 1; c.text[i] == '\\'; i-- {
			escaped = !escaped
		}
		if c.at += quote; !escaped {
			c.at++
			return true
		}
	}
}
