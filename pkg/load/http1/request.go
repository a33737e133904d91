package http1

import (
	"encoding/json"
	"maps"
	"net/textproto"
	"slices"
	"strconv"

	"sweep/pkg/experiment"
)

// Request is what is asked, ready to be written again and again: text with
// holes that a row of a feed fills. It travels to an agent as JSON.
type Request struct {
	Method  string   `json:"method"`
	Path    Template `json:"path"`           // and query, as it goes over the wire
	Headers []Header `json:"headers"`        // all but Content-Length, in the order in which they are sent
	Body    Template `json:"body,omitempty"` // empty: there is none
	Table   Table    `json:"table,omitzero"` // what fills the holes

	head  Template // all of a request up to the number in Content-Length, or up to the body where it says none
	sized bool     // whether there is a Content-Length
	fixed []byte   // the whole request, where it has no holes
}

// Header is one line of a request's head.
type Header struct {
	Name  string   `json:"name"`
	Value Template `json:"value"`
}

// NewRequest returns the request of an experiment to the service at address
// (host:port). The experiment must have the content of the files that it names:
// the body in Body, the rows in Feed.
//
// The error is of type [experiment.Faults] where rows of the feed don't fit,
// each at its line, and says which key doesn't fit the feed otherwise. It
// doesn't depend on address.
func NewRequest(r experiment.Request, address string) (Request, error) {
	out := Request{Method: r.Method}
	c := columns{feed: r.Feed}
	out.Path = c.template("request.path", r.Path, inPath)
	sent := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		value := c.template("request.headers."+name, r.Headers[name].Resolved, inHeader)
		out.Headers = append(out.Headers, Header{name, value})
		sent[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	standard := []struct{ name, value string }{{"Host", address}, {"User-Agent", "sweep"}, {"Accept", "*/*"}}
	if r.Connections == experiment.Fresh {
		standard = append(standard, struct{ name, value string }{"Connection", "close"})
	}
	for _, h := range standard {
		if !sent[h.name] {
			out.Headers = append(out.Headers, Header{h.name, text(h.value)})
		}
	}
	out.Body = c.body(r.Body)
	var err error
	if out.Table, err = c.fill(); err != nil {
		return Request{}, err
	}
	out.compile()
	return out, nil
}

// Append appends the whole request of a row to buf, as it goes over the wire:
// head, Content-Length, body. It doesn't allocate where buf has room for it.
// Rows count from 0; a request without holes is the same for every row.
func (r *Request) Append(buf []byte, row int) []byte {
	if r.fixed != nil {
		return append(buf, r.fixed...)
	}
	return r.append(buf, r.Row(row))
}

// Fixed returns the whole request where it has no holes, else nil. The bytes
// are shared and not to be changed.
func (r *Request) Fixed() []byte { return r.fixed }

// Rows returns how many rows there are to fill the holes: 0 where there are no
// holes.
func (r *Request) Rows() int { return r.Table.rows() }

// Row returns what fills the holes of Path, Headers and Body for one request.
// Rows count from 0; without a feed every row is empty.
func (r *Request) Row(row int) Row { return r.Table.row(row) }

// Only returns the request that is always that of one row.
func (r *Request) Only(row int) Request {
	values := r.Row(row)
	out := Request{Method: r.Method, Path: r.Path.filled(values), Body: r.Body.filled(values)}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, Header{h.Name, h.Value.filled(values)})
	}
	out.compile()
	return out
}

// UnmarshalJSON reads a request as encoding/json writes it.
func (r *Request) UnmarshalJSON(data []byte) error {
	type fields Request // has no methods
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		return err //nolint:wrapcheck // says what and where
	}
	*r = Request(f)
	r.compile()
	return nil
}

// compile joins the parts once, so that a request is nothing but copies.
func (r *Request) compile() {
	head := slices.Concat(text(r.Method+" "), r.Path, text(" HTTP/1.1\r\n"))
	for _, h := range r.Headers {
		head = slices.Concat(head, text(h.Name+": "), h.Value, text("\r\n"))
	}
	r.sized = len(r.Body) > 0 || !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, r.Method)
	if r.sized {
		head = append(head, text("Content-Length: ")...)
	} else {
		head = append(head, text("\r\n")...)
	}
	r.head, r.fixed = head.joined(), nil
	if !r.head.hasHoles() && !r.Body.hasHoles() {
		r.fixed = r.append(nil, Row{})
	}
}

func (r *Request) append(buf []byte, row Row) []byte {
	buf = r.head.Append(buf, row)
	if r.sized {
		buf = strconv.AppendInt(buf, int64(r.Body.size(row)), 10)
		buf = append(buf, "\r\n\r\n"...)
	}
	return r.Body.Append(buf, row)
}

// Template is text with holes.
type Template []Piece

// A Piece is some text and then, where Column isn't 0, a hole. Columns of the
// table count from 1.
type Piece struct {
	Text   []byte `json:"text,omitempty"`
	Column int    `json:"column,omitempty"`
}

func text(s string) Template { return Template{{Text: []byte(s)}} }

// Append appends the text with the row's values in its holes to buf.
func (t Template) Append(buf []byte, row Row) []byte {
	for i := range t {
		buf = append(buf, t[i].Text...)
		if c := t[i].Column; c > 0 {
			buf = append(buf, row.value(c)...)
		}
	}
	return buf
}

// size returns the length of what Append appends.
func (t Template) size(row Row) int {
	n := 0
	for i := range t {
		n += len(t[i].Text)
		if c := t[i].Column; c > 0 {
			n += len(row.value(c))
		}
	}
	return n
}

func (t Template) hasHoles() bool {
	return slices.ContainsFunc(t, func(p Piece) bool { return p.Column > 0 })
}

// filled returns the template without holes, nil for one that is empty.
func (t Template) filled(row Row) Template {
	if len(t) == 0 {
		return nil
	}
	return Template{{Text: t.Append(nil, row)}}
}

// joined returns the template in as few pieces as there can be.
func (t Template) joined() Template {
	var out Template
	for _, p := range t {
		if n := len(out); n > 0 && out[n-1].Column == 0 {
			out[n-1] = Piece{slices.Concat(out[n-1].Text, p.Text), p.Column}
		} else {
			out = append(out, p)
		}
	}
	return out
}

// Table is what fills the holes, a row for each request: its values one after
// another, and where each of them begins and the last one ends.
type Table struct {
	Columns int      `json:"columns"`
	Values  []byte   `json:"values"`
	Offsets []uint32 `json:"offsets"` // one more than there are values
}

// add appends a value, the next one of the row.
func (t *Table) add(value string) {
	if len(t.Offsets) == 0 {
		t.Offsets = append(t.Offsets, 0)
	}
	t.Values = append(t.Values, value...)
	t.Offsets = append(t.Offsets, uint32(len(t.Values)))
}

func (t *Table) rows() int {
	if t.Columns == 0 || len(t.Offsets) == 0 {
		return 0
	}
	return (len(t.Offsets) - 1) / t.Columns
}

func (t *Table) row(i int) Row {
	if t.rows() == 0 {
		return Row{}
	}
	return Row{t.Values, t.Offsets[i*t.Columns : (i+1)*t.Columns+1]}
}

// Row is what fills the holes of one request.
type Row struct {
	values  []byte
	offsets []uint32
}

func (r Row) value(column int) []byte { return r.values[r.offsets[column-1]:r.offsets[column]] }
