// Package http1 is HTTP/1.1 on the wire: requests compiled to bytes, answers
// parsed as they come. It is pure: bytes in, values out; no connection, no
// clock.
package http1

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
)

// What is wrong with an answer.
var (
	// ErrMalformed is an answer that isn't HTTP/1.x. What [Response.Feed]
	// returns says what of it isn't.
	ErrMalformed = errors.New("the answer isn't HTTP/1.1")
	// ErrUnexpectedEnd is an answer that the end of the connection cut off,
	// before its first byte or later.
	ErrUnexpectedEnd = errors.New("the answer was cut off")
)

// They are made once: a service that answers nonsense does so 10,000 times a second.
var (
	errStatusLine = fmt.Errorf("%w: its status line", ErrMalformed)
	errField      = fmt.Errorf("%w: a header line", ErrMalformed)
	errFold       = fmt.Errorf("%w: a folded header line", ErrMalformed)
	errLength     = fmt.Errorf("%w: its Content-Length", ErrMalformed)
	errEncoding   = fmt.Errorf("%w: its Transfer-Encoding is not chunked", ErrMalformed)
	errChunk      = fmt.Errorf("%w: a chunk", ErrMalformed)
	errBareLF     = fmt.Errorf("%w: a line of its chunked body ends without CR", ErrMalformed)
	errTooLong    = fmt.Errorf("%w: over 1 MiB of it is no body", ErrMalformed)
)

// maxLines bounds the lines between two pieces of body, in bytes: the heads of
// an answer with those of its interim answers, the line before a chunk, the
// trailers.
const maxLines = 1 << 20

// Response takes one answer off the bytes of a connection, as they come. It
// keeps none of them but a line that a read cut in two: bodies of any size
// stream through. [Response.Reset] makes it ready; where it is done, its
// exported fields hold.
//
// It takes and refuses what net/http does. What it does otherwise, and why,
// stands at the excuses of its fuzz test.
type Response struct {
	Status int  // of the answer proper: interim ones (1xx) are skipped, but 101 ends HTTP and is one
	Close  bool // the connection can't carry another request
	Found  bool // the text was in the body, or none was asked for

	state    state
	noBody   bool // whatever the head says: it answers a HEAD
	old      bool // HTTP/1.0: no chunks, and the connection closes unless it says keep-alive
	keep     bool // it does
	chunked  bool
	counted  bool   // there is a Content-Length; it is in rest
	foldable bool   // the next line may go on with the one before
	lines    int32  // bytes of lines since the last piece of body
	matched  int32  // bytes of text that the body so far ends with
	rest     uint64 // bytes to come, of the body or of the chunk
	text     *Text
	carry    []byte // the beginning of a line whose end is still to come
}

// state is what comes next.
type state uint8

const (
	statusLine state = iota
	fieldLine
	body
	chunkLine
	chunk
	chunkEnd
	trailerLine
	complete
)

// endless is the rest of a body that ends with the connection. No body of a
// stated length is so long.
const endless = math.MaxUint64

// Reset makes r ready for the next answer. head says that it answers a HEAD
// request and so has no body, text what its body should contain: nil for
// nothing. What r has allocated for cut lines it keeps.
func (r *Response) Reset(head bool, text *Text) {
	*r = Response{noBody: head, text: text, Found: text.empty(), carry: r.carry[:0]}
}

// Begun reports whether at least one byte of an answer came.
func (r *Response) Begun() bool { return r.state != statusLine || r.lines > 0 }

// Feed takes what came next on the connection. n bytes of b belong to this
// answer; what is beyond them nobody has asked for, so that the connection
// can't be used again. done says that the answer is complete. err is an
// [ErrMalformed]; after it, or once done, only Reset makes r useful again. Feed
// keeps no reference to b.
func (r *Response) Feed(b []byte) (n int, done bool, err error) {
	for n < len(b) && err == nil {
		var took int
		switch r.state {
		case statusLine, fieldLine, chunkLine, trailerLine:
			took, err = r.takeLine(b[n:])
		case body, chunk:
			took = r.takeData(b[n:])
		case chunkEnd:
			took, err = 1, r.takeChunkEnd(b[n])
		case complete:
			return n, true, nil
		}
		n += took
	}
	return n, r.state == complete, err
}

// End says that the connection ended. It returns nil where that completes the
// answer, else ErrUnexpectedEnd.
func (r *Response) End() error {
	if r.state == body && r.rest == endless {
		r.state = complete
	}
	if r.state != complete {
		return ErrUnexpectedEnd
	}
	return nil
}

// takeLine reads a line, n bytes with its end. Where b doesn't hold the end, it
// keeps what there is.
func (r *Response) takeLine(b []byte) (n int, err error) {
	end := bytes.IndexByte(b, '\n')
	n = end + 1
	if end < 0 {
		n = len(b)
	}
	if r.lines += int32(min(n, maxLines+1)); r.lines > maxLines {
		return n, errTooLong
	}
	line := b[:n]
	if end < 0 || len(r.carry) > 0 {
		r.carry = append(r.carry, line...)
		line = r.carry
	}
	if end < 0 {
		if r.state == statusLine && !mayBeHTTP(line) {
			return n, errStatusLine // said now: a peer that speaks something else may never end its line
		}
		return n, nil
	}
	r.carry = r.carry[:0]
	line = line[:len(line)-1]
	if last := len(line) - 1; last >= 0 && line[last] == '\r' {
		line = line[:last]
	} else if r.state > fieldLine {
		return n, errBareLF
	}
	switch {
	case r.state == statusLine:
		err = r.takeStatus(line)
	case r.state == chunkLine:
		err = r.takeChunkLine(line)
	case len(line) > 0:
		err = r.takeField(line)
	case r.state == fieldLine:
		r.endHead()
	default:
		r.state = complete
	}
	return n, err
}

const version = "HTTP/1."

func mayBeHTTP(b []byte) bool {
	n := min(len(b), len(version))
	return string(b[:n]) == version[:n]
}

// takeStatus reads HTTP/1.1 200 OK and begins a head.
func (r *Response) takeStatus(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || !mayBeHTTP(line) || !isDigit(line[7]) || line[8] != ' ' {
		return errStatusLine
	}
	code := line[9:]
	for len(code) > 0 && code[0] == ' ' {
		code = code[1:]
	}
	if len(code) < 3 || len(code) > 3 && code[3] != ' ' || !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) {
		return errStatusLine
	}
	r.Status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	r.old = line[7] == '0'
	r.Close, r.keep, r.chunked, r.counted, r.foldable = false, false, false, false, false // an interim head may have said so
	r.state = fieldLine
	return nil
}

// takeField reads a line of the head or of the trailers. Of trailers, and of
// lines that don't tell how the answer goes on, it only sees that they are right.
func (r *Response) takeField(line []byte) error {
	if isSpace(line[0]) {
		if !r.foldable || !validValue(line) {
			return errFold
		}
		return nil
	}
	colon := nameLen(line)
	if colon == 0 || colon == len(line) || line[colon] != ':' || !validValue(line[colon+1:]) {
		return errField
	}
	r.foldable = true
	if r.state == trailerLine {
		return nil
	}
	name, value := line[:colon], line[colon+1:]
	switch {
	case isWord(name, "content-length"):
		return r.takeLength(trim(value))
	case isWord(name, "transfer-encoding"):
		return r.takeEncoding(trim(value))
	case isWord(name, "connection"):
		r.takeConnection(value)
	}
	return nil
}

// takeLength reads a Content-Length. It may be repeated, but not contradicted.
func (r *Response) takeLength(value []byte) error {
	length, ok := parseLength(value)
	if !ok || r.counted && length != r.rest {
		return errLength
	}
	r.rest, r.counted, r.foldable = length, true, false
	return nil
}

// takeEncoding reads a Transfer-Encoding, which HTTP/1.0 doesn't have.
func (r *Response) takeEncoding(value []byte) error {
	r.foldable = false
	if r.old {
		return nil
	}
	if r.chunked || !isWord(value, "chunked") {
		return errEncoding
	}
	r.chunked = true
	return nil
}

// takeConnection reads a list of words.
func (r *Response) takeConnection(value []byte) {
	r.foldable = false
	for more := true; more; {
		var word []byte
		word, value, more = bytes.Cut(value, []byte{','})
		word = trim(word)
		r.Close = r.Close || isWord(word, "close")
		r.keep = r.keep || isWord(word, "keep-alive")
	}
}

// endHead tells from the head what comes after it.
func (r *Response) endHead() {
	switch interim := r.Status/100 == 1 && r.Status != http.StatusSwitchingProtocols; {
	case interim:
		r.state = statusLine
		return
	case r.noBody, r.Status == http.StatusSwitchingProtocols,
		r.Status == http.StatusNoContent, r.Status == http.StatusNotModified:
		r.state = complete
	case r.chunked:
		r.state = chunkLine
	case r.counted && r.rest == 0:
		r.state = complete
	case r.counted:
		r.state = body
	default:
		r.state, r.rest, r.Close = body, endless, true
	}
	r.Close = r.Close || r.old && !r.keep || r.Status < http.StatusOK
}

// takeChunkLine reads the size of a chunk, and skips its extensions.
func (r *Response) takeChunkLine(line []byte) error {
	size, _, _ := bytes.Cut(trimRight(line), []byte{';'})
	n, ok := parseHex(size)
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return errChunk
	}
	r.lines, r.rest, r.state = 0, n, chunk
	if n == 0 {
		r.state, r.foldable = trailerLine, false
	}
	return nil
}

// takeData searches a piece of the body for the text, and forgets it.
func (r *Response) takeData(b []byte) (n int) {
	if uint64(len(b)) > r.rest {
		b = b[:r.rest]
	}
	if !r.Found {
		r.Found, r.matched = r.text.search(b, r.matched)
	}
	if r.rest == endless {
		return len(b)
	}
	r.rest -= uint64(len(b))
	if r.rest > 0 {
		return len(b)
	}
	if r.state == chunk {
		r.state, r.rest = chunkEnd, uint64(len(crlf))
	} else {
		r.state = complete
	}
	return len(b)
}

const crlf = "\r\n"

// takeChunkEnd reads a byte of the line end after a chunk.
func (r *Response) takeChunkEnd(c byte) error {
	if c != crlf[len(crlf)-int(r.rest)] {
		return errChunk
	}
	if r.rest--; r.rest == 0 {
		r.state = chunkLine
	}
	return nil
}

// Text is what a body should contain. Any number of responses share one.
type Text struct {
	bytes []byte
	// fall says, for each number of bytes matched, how many of them still match
	// where the next one doesn't: the failure function of Knuth, Morris and Pratt.
	fall []int32
}

// NewText prepares the search for s. An empty s is in every body.
func NewText(s string) *Text {
	t := &Text{bytes: []byte(s), fall: make([]int32, len(s)+1)}
	for i, matched := 1, int32(0); i < len(s); i++ {
		matched = t.next(matched, s[i])
		t.fall[i+1] = matched
	}
	return t
}

func (t *Text) empty() bool { return t == nil || len(t.bytes) == 0 }

// next is the number of bytes matched after one more.
func (t *Text) next(matched int32, c byte) int32 {
	for matched > 0 && t.bytes[matched] != c {
		matched = t.fall[matched]
	}
	if t.bytes[matched] == c {
		matched++
	}
	return matched
}

// search looks for t in the next piece of a body. matched is how many bytes of
// t the pieces before it end with; after is that of all pieces with this one,
// and means nothing once t is found.
//
// Inside of the piece, bytes.Contains is the fastest. Byte by byte go only its
// edges, both shorter than t: first, until nothing that began before the piece
// can still become t; last, to see what may have begun in it.
func (t *Text) search(piece []byte, matched int32) (found bool, after int32) {
	for i, c := range piece {
		if int(matched) <= i {
			break
		}
		if matched = t.next(matched, c); int(matched) == len(t.bytes) {
			return true, 0
		}
	}
	if int(matched) > len(piece) {
		return false, matched // the piece is in the midst of what may become t
	}
	if bytes.Contains(piece, t.bytes) {
		return true, 0
	}
	for _, c := range piece[max(0, len(piece)-len(t.bytes)+1):] {
		after = t.next(after, c)
	}
	return false, after
}

// isWord compares without regard to case. It asks of b that nameLen or
// validValue took it; word is in lower case.
func isWord(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range word {
		if b[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return trimRight(b)
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// parseLength reads a decimal number that fits an int64.
func parseLength(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		digit := uint64(c - '0')
		if !isDigit(c) || n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, len(b) > 0
}

// parseHex reads a hexadecimal number of at most 16 digits.
func parseHex(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		switch lower := c | 0x20; {
		case isDigit(c):
			n = n<<4 | uint64(c-'0')
		case 'a' <= lower && lower <= 'f':
			n = n<<4 | uint64(lower-'a'+10)
		default:
			return 0, false
		}
	}
	return n, 0 < len(b) && len(b) <= 16
}

// nameLen is how many bytes of a line can be a field's name: the characters of
// a token, and spaces, which net/http bears with too.
func nameLen(line []byte) int {
	for i, c := range line {
		if lower := c | 0x20; 'a' <= lower && lower <= 'z' || c == '-' {
			continue // nearly always
		}
		if c == ':' || !isDigit(c) && strings.IndexByte(" !#$%&'*+.^_`|~", c) < 0 {
			return i
		}
	}
	return len(line)
}

// validValue takes everything but control characters; a tab is none. It looks
// at eight bytes at a time, for values are most of a head; the last eight may
// have been seen before.
func validValue(b []byte) bool {
	const (
		word = 8
		each = 0x0101010101010101
		top  = 0x80 * each
	)
	if len(b) < word {
		return validBytes(b)
	}
	for i := 0; i < len(b); i += word {
		eight := b[min(i, len(b)-word):][:word]
		w := binary.LittleEndian.Uint64(eight)
		isDel := w ^ 0x7f*each // a zero byte
		control := (w-' '*each)&^w | (isDel-each)&^isDel
		if control&top != 0 && !validBytes(eight) { // a tab, or not valid
			return false
		}
	}
	return true
}

func validBytes(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
