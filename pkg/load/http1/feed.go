package http1

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"sweep/pkg/experiment"
)

// Bounds on a feed: of the table that is made from it, which holds a value as
// often as templates name it, and of the faults that are told at once.
const (
	maxTable  = math.MaxUint32 / 4
	maxFaults = 10
)

// A place is where in a request a value goes, which decides how it is written.
type place int

const (
	inPath   place = iota // whatever isn't plain there becomes %XX, slashes too: a value is one part of a path or query
	inHeader              // as it is, which must be a single line
	inBody                // as it is
)

// A column is a field of the feed in one of the ways in which templates use it.
type column struct {
	field string
	line  bool // the whole line instead of a field
	json  bool // as JSON: a text with its quotes
	in    place
}

// columns turns an experiment's texts into templates, and collects what they
// ask of the feed.
type columns struct {
	feed *experiment.Feed
	used []column
	keys []string // where each of them is used first
	errs []error
}

// template reads the text that an experiment has at key. Without a feed braces
// are nothing but text.
func (c *columns) template(key, s string, in place) Template {
	if c.feed == nil {
		return text(s)
	}
	pieces, err := experiment.ParseTemplate(s)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("%s: %w", key, err))
	}
	var t Template
	for _, p := range pieces {
		piece := Piece{Text: []byte(p.Text)}
		if p.Field != "" {
			piece.Column = c.column(key, column{field: p.Field, json: p.JSON, in: in})
		}
		t = append(t, piece)
	}
	return t
}

// column returns the number of a column, from 1.
func (c *columns) column(key string, use column) int {
	if i := slices.Index(c.used, use); i >= 0 {
		return i + 1
	}
	c.used, c.keys = append(c.used, use), append(c.keys, key)
	return len(c.used)
}

// body returns the template of the body, the last one to be asked for. Where
// nothing is written and no field is used, it is the feed's line.
func (c *columns) body(v experiment.Value) Template {
	switch {
	case v.Resolved != "":
		return c.template("request.body", v.Resolved, inBody)
	case c.feed != nil && len(c.used) == 0 && !isCSV(c.feed.File):
		return Template{{Column: c.column("request.body", column{line: true, in: inBody})}}
	default:
		return nil
	}
}

func isCSV(file string) bool { return strings.EqualFold(filepath.Ext(file), ".csv") }

// fill reads the feed.
func (c *columns) fill() (Table, error) {
	switch {
	case len(c.errs) > 0:
		return Table{}, errors.Join(c.errs...)
	case c.feed == nil:
		return Table{}, nil
	case len(c.used) == 0:
		return Table{}, errors.New("request.feed: no field of it is used; write {{name}} in path, headers or body")
	}
	r := reader{columns: c, table: Table{Columns: len(c.used)}}
	content := bytes.TrimPrefix(c.feed.Content(), []byte("\ufeff")) // as spreadsheets write it
	if isCSV(c.feed.File) {
		r.csv(content)
	} else {
		r.jsonLines(content)
	}
	if len(r.faults) == 0 && r.table.rows() == 0 {
		r.fault(1, "has no rows")
	}
	if len(r.faults) > 0 {
		return Table{}, r.faults
	}
	return r.table, nil
}

// A reader makes the table of a feed's rows.
type reader struct {
	*columns
	table  Table
	faults experiment.Faults
}

// fault records what is wrong in a line, and reports whether there were so many
// that the rest needn't be read.
func (r *reader) fault(line int, format string, args ...any) (enough bool) {
	pos := experiment.Pos{File: r.feed.File, Line: line, Column: 1}
	r.faults = append(r.faults, experiment.Fault{Pos: pos, Message: fmt.Sprintf(format, args...)})
	return len(r.faults) >= maxFaults
}

// csv reads a header line with the names of the fields, and rows (RFC 4180).
// Lines without anything are skipped.
func (r *reader) csv(content []byte) {
	in := csv.NewReader(bytes.NewReader(content))
	in.ReuseRecord = true
	var names []string
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			if r.fault(wrong.StartLine, "%v", wrong.Err) || !errors.Is(err, csv.ErrFieldCount) {
				return
			}
			continue
		}
		if names == nil {
			if names = slices.Clone(record); !r.hasNames(names) {
				return
			}
			continue
		}
		line, _ := in.FieldPos(0)
		if r.row(line, "", func(name string) (value, bool) {
			return value{text: record[slices.Index(names, name)]}, true
		}) {
			return
		}
	}
}

// hasNames reports whether the header line has every field that is used.
func (r *reader) hasNames(names []string) bool {
	for i, use := range r.used {
		switch n := count(names, use.field); {
		case n == 0:
			r.fault(1, "has no column %q, which %s uses; it has %s", use.field, r.keys[i], strings.Join(names, ", "))
		case n > 1:
			r.fault(1, "has %d columns %q, of which %s can use only one", n, use.field, r.keys[i])
		}
	}
	return len(r.faults) == 0
}

func count(names []string, name string) int {
	n := 0
	for _, s := range names {
		if s == name {
			n++
		}
	}
	return n
}

// jsonLines reads one JSON value a line; lines without anything are skipped.
func (r *reader) jsonLines(content []byte) {
	n := 0
	for line := range bytes.Lines(content) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			if r.fault(n, "is not one JSON value") {
				return
			}
			continue
		}
		var fields map[string]json.RawMessage
		if !r.used[0].line && json.Unmarshal(line, &fields) != nil {
			if r.fault(n, "is not a JSON object, so that it has no fields") {
				return
			}
			continue
		}
		if r.row(n, string(line), func(name string) (value, bool) {
			raw, ok := fields[name]
			return ofJSON(raw), ok
		}) {
			return
		}
	}
}

// A value is one of a row.
type value struct {
	text string
	json bool // a number, true, false, null, a list or an object, which are written alike everywhere
}

// ofJSON returns what a value says: a string's text, anything else as compact
// JSON.
func ofJSON(raw json.RawMessage) value {
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return value{text: s}
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // the line was valid
	return value{text: b.String(), json: true}
}

// row adds a row to the table. It reports whether the rest needn't be read.
func (r *reader) row(line int, whole string, field func(string) (value, bool)) (enough bool) {
	for i, use := range r.used {
		v, ok := value{text: whole, json: true}, true
		if !use.line {
			v, ok = field(use.field)
		}
		if !ok {
			return r.fault(line, "has no field %q, which %s uses", use.field, r.keys[i])
		}
		s := use.write(v)
		if use.in == inHeader && strings.ContainsFunc(s, isControl) {
			return r.fault(line, "field %q has a line break or another control character, which %s can't take", use.field, r.keys[i])
		}
		if len(r.table.Values)+len(s) > maxTable {
			r.fault(line, "makes the feed too large: more than %d MiB", maxTable>>20)
			return true
		}
		r.table.add(s)
	}
	return false
}

// write returns v as it goes into the request.
func (c column) write(v value) string {
	s := v.text
	if c.json && !v.json {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			panic(err) // every text has a form in JSON
		}
		s = strings.TrimSuffix(b.String(), "\n")
	}
	if c.in == inPath {
		s = strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	}
	return s
}

// isControl reports whether a header's value can't have c in it.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
