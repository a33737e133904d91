package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// FuzzResponse compares Response with net/http, on any bytes in any reads.
func FuzzResponse(f *testing.F) {
	for _, data := range []string{
		"", nginx, inChunks, nginx + "HTTP/1.1", "SSH-2.0-OpenSSH",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\nConnection: close\n\n" + nginx,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nx",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 099 \r\nContent-Length : 5\r\n\r\nx",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, x\r\nContent-Length: 5\r\n\r\nprediction",
		status + "Connection: close\r\n\r\nprediction",
		status + "A: b\r\n\tc\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcab",
		status + "Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\n3;x=y\r\npre\r\n07 \r\ndiction\r\n0\r\nA: b\r\n\r\n",
		status + "Transfer-Encoding: chunked\r\n\r\n3\npre\n0\n\n",
		status + "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
	} {
		f.Add([]byte(data), []byte{0}, false, "prediction")
		f.Add([]byte(data), []byte{16, 3}, true, "")
		f.Add([]byte(data), []byte{255}, false, "abcab")
	}
	f.Fuzz(func(t *testing.T, data, reads []byte, head bool, text string) {
		var r Response
		got := play(&r, data, head, text, reads)
		if one := play(new(Response), data, head, text, nil); one != got && (one.Err == nil || !errors.Is(got.Err, one.Err)) {
			t.Fatalf("in one read %+v, in several %+v", one, got)
		}
		want := reference(data, head, text)
		if excused(&r, got, want, data, head) {
			return
		}
		if errors.Is(got.Err, ErrMalformed) != errors.Is(want.Err, ErrMalformed) ||
			(got.Err == nil) != (want.Err == nil) || got.Err == nil && got != want.outcome {
			t.Fatalf("got %+v, net/http says %+v", got, want)
		}
	})
}

// verdict is what net/http makes of an answer.
type verdict struct {
	outcome        // Err is ErrMalformed or ErrUnexpectedEnd
	cause   string // net/http's words
	major   int    // version of HTTP, if any head's isn't 1
}

func (v verdict) says(words string) bool { return strings.Contains(v.cause, words) }

var (
	signed = regexp.MustCompile(`HTTP/1\.\d +[+-]\d\d`)
	folded = regexp.MustCompile(`(?i)\n(content-length|transfer-encoding|connection):[^\n]*\n[ \t]`)
)

// excused are the deliberate differences from net/http, and why they are there.
func excused(r *Response, got outcome, want verdict, data []byte, head bool) bool {
	switch {
	// Trailers end in CRLF, as all lines of a chunked body. net/http lets them
	// end in LF if CRLF CRLF is somewhere in the bytes it happens to have read,
	// and otherwise calls them suspiciously long.
	case errors.Is(got.Err, errBareLF) && r.state == trailerLine:
		return true
	case want.says("suspiciously long trailer"):
		return got.Err != nil

	// An unfinished line is cut off; net/http reads what there is of it as if
	// it were a line. But nobody knows what it would have become.
	case errors.Is(got.Err, ErrUnexpectedEnd) && len(r.carry) > 0:
		return errors.Is(reference(data[:got.N-len(r.carry)], head, "").Err, ErrUnexpectedEnd)

	// Nothing but HTTP/1.x: what another version's head means isn't for this
	// package to say.
	case errors.Is(got.Err, errStatusLine) && want.major != 1:
		return true

	// A status has three digits. net/http takes +20, and -00.
	case errors.Is(got.Err, errStatusLine) && signed.Match(data):
		return true

	// The fields that tell how the answer goes on can't be folded. So no line
	// needs to wait for the one after it. RFC 9112 5.2 forbids folding at all.
	case errors.Is(got.Err, errFold) && folded.Match(data),
		(errors.Is(got.Err, errLength) || errors.Is(got.Err, errEncoding)) && folded.Match(data): // empty before the fold
		return true

	// Lengths are compared as numbers: 5 and 05 are no contradiction.
	case want.says("multiple Content-Length"):
		return true

	// The field Trailer announces; only what comes is judged.
	case want.says("bad trailer key"):
		return true

	// The lines before chunks may be as long and as many as they like, within
	// maxLines: net/http's limits guard servers, which wait for longer than a
	// request's timeout.
	case want.says("header line too long"), want.says("too much non-data"):
		return true

	// Heads end at maxLines: a connection may not eat the memory of 10,000.
	case errors.Is(got.Err, errTooLong):
		return true

	// Malformed is said with the first line that is, even if the rest never
	// comes. net/http judges a head as a whole.
	case errors.Is(got.Err, ErrMalformed) && errors.Is(want.Err, ErrUnexpectedEnd):
		more := reference(append(bytes.Clone(data[:got.N]), "\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"...), head, "")
		return errors.Is(more.Err, ErrMalformed) || more.Err == nil && excused(r, got, more, data, head)
	}
	return false
}

// reference asks net/http. Its buffer holds all of the data, for its limits
// depend on it.
func reference(data []byte, head bool, text string) verdict {
	source := bytes.NewReader(data)
	reader := bufio.NewReaderSize(source, len(data)+16)
	request := &http.Request{Method: http.MethodGet}
	if head {
		request.Method = http.MethodHead
	}
	for major := 1; ; {
		resp, err := http.ReadResponse(reader, request)
		if err != nil {
			return failed(err, major)
		}
		if major == 1 {
			major = resp.ProtoMajor
		}
		if resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue // as http.Transport does
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return failed(err, major)
		}
		return verdict{major: major, outcome: outcome{
			Status: resp.StatusCode,
			Close:  resp.Close || resp.StatusCode < http.StatusOK, // as http.Transport does
			Found:  strings.Contains(string(body), text),
			N:      len(data) - source.Len() - reader.Buffered(),
		}}
	}
}

func failed(err error, major int) verdict {
	v := verdict{outcome: outcome{Err: ErrMalformed}, cause: err.Error(), major: major}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || v.says("unexpected EOF reading trailer") {
		v.Err = ErrUnexpectedEnd
	}
	return v
}
