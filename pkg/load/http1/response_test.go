package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// nginx is an answer as they mostly are.
const nginx = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx/1.22.1\r\n" +
	"Date: Mon, 23 Nov 2026 23:23:05 GMT\r\n" +
	"Content-Type: application/json\r\n" +
	"Content-Length: 19\r\n" +
	"Connection: keep-alive\r\n" +
	"X-Request-Id: 1f2e3d\r\n\r\n" +
	`{"prediction": 0.5}`

const inChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
	"7;a=b\r\n{\"predi\r\nC\r\nction\": 0.5}\r\n0\r\nChecksum: 5\r\n\r\n"

// outcome is what there is to know of an answer.
type outcome struct {
	Status int
	Close  bool
	Found  bool
	N      int // bytes that belong to it
	Err    error
}

// play feeds data in reads of these lengths, again and again, and then the end
// of the connection. As the load generator's, the reads share a buffer.
func play(r *Response, data []byte, head bool, text string, reads []byte) outcome {
	buffer := make([]byte, len(data))
	r.Reset(head, NewText(text))
	total := 0
	for i := 0; total < len(data); i++ {
		size := len(data) - total
		if len(reads) > 0 {
			size = min(size, 1+int(reads[i%len(reads)]))
		}
		copy(buffer, data[total:total+size])
		n, done, err := r.Feed(buffer[:size])
		clear(buffer[:size])
		total += n
		if done || err != nil {
			return result(r, total, err)
		}
		if n != size {
			panic(fmt.Sprintf("not done, but %d of %d bytes taken", n, size))
		}
	}
	return result(r, total, r.End())
}

func result(r *Response, n int, err error) outcome {
	if err != nil {
		return outcome{Err: err, N: n}
	}
	return outcome{Status: r.Status, Close: r.Close, Found: r.Found, N: n}
}

func whole(data string) outcome {
	return play(new(Response), []byte(data), false, "", nil)
}

const status = "HTTP/1.1 200 OK\r\n"

func TestAnswers(t *testing.T) {
	const toTheEnd = -1
	for name, c := range map[string]struct {
		data  string
		rest  int // bytes after the answer
		code  int
		close bool
	}{
		"typical":                     {data: nginx, code: 200},
		"chunks":                      {data: inChunks, code: 200},
		"no reason":                   {data: "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", code: 404},
		"spaces before the status":    {data: "HTTP/1.1   404 No\r\nContent-Length: 0\r\n\r\n", code: 404},
		"lone line feeds":             {data: "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", code: 200},
		"names in any case":           {data: status + "cONTENT-lENGTH:1\r\n\r\nx", code: 200},
		"a tab in a value":            {data: status + "A: long enough\tfor eight\r\nContent-Length: 0\r\n\r\n", code: 200},
		"beyond ASCII":                {data: status + "A: Größe und mehr\r\nContent-Length: 0\r\n\r\n", code: 200},
		"a folded line":               {data: status + "A: b\r\n c\r\n\t\r\nContent-Length: 0\r\n\r\n", code: 200},
		"a space before the colon":    {data: status + "Content-Length : 1\r\n\r\nx", code: 200, close: true, rest: toTheEnd},
		"interim":                     {data: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nConnection: close\r\nContent-Length: 7\r\n\r\n" + nginx, code: 200},
		"switching protocols":         {data: "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00", code: 101, close: true, rest: 2},
		"no content":                  {data: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", code: 204},
		"not modified":                {data: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", code: 304},
		"bytes after it":              {data: nginx + "HTTP/1.1", code: 200, rest: 8},
		"close":                       {data: status + "Connection: x, Close\r\nContent-Length: 0\r\n\r\n", code: 200, close: true},
		"delimited by close":          {data: status + "\r\nx", code: 200, close: true, rest: toTheEnd},
		"HTTP/1.0":                    {data: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", code: 200, close: true},
		"HTTP/1.0, keep-alive":        {data: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\nx", code: 200},
		"HTTP/1.0 has no chunks":      {data: "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", code: 200, close: true, rest: toTheEnd},
		"the same length twice":       {data: status + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", code: 200},
		"chunks win over a length":    {data: status + "Content-Length: 1\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", code: 200},
		"chunk sizes":                 {data: status + "Transfer-Encoding: chunked\r\n\r\n000a \r\n0123456789\r\nB; x\r\n0123456789a\r\n0\r\n\r\n", code: 200},
		"trailers":                    {data: status + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\nContent-Length: x\r\n\r\n", code: 200},
		"a head as long as it may be": {data: status + "A: " + strings.Repeat("x", maxLines-len(status)-9) + "\r\n\r\n", code: 200, close: true, rest: toTheEnd},
	} {
		t.Run(name, func(t *testing.T) {
			want := outcome{Status: c.code, Close: c.close, Found: true, N: len(c.data) - max(0, c.rest)}
			if got := whole(c.data); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			var r Response
			r.Reset(false, nil)
			if _, done, _ := r.Feed([]byte(c.data)); done == (c.rest == toTheEnd) {
				t.Errorf("done before the end: %v", done)
			}
		})
	}
}

func TestNotHTTP(t *testing.T) {
	chunked := status + "Transfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct {
		data string
		want error
	}{
		{"SSH-2.0-OpenSSH", errStatusLine},
		{"\x15\x03\x01\x00\x02\x02\x46", errStatusLine},
		{"<html>\n", errStatusLine},
		{"HTTP/2.0 200 OK\r\n", errStatusLine},
		{"HTTP/1.x 200 OK\r\n", errStatusLine},
		{"HTTP/1.1 2000 OK\r\n", errStatusLine},
		{"HTTP/1.1 20 OK\r\n", errStatusLine},
		{"HTTP/1.1 +20 OK\r\n", errStatusLine},
		{"HTTP/1.1 200\r\r\n", errStatusLine},
		{"HTTP/1.1         \r\n", errStatusLine},
		{status + "no colon\r\n", errField},
		{status + ": no name\r\n", errField},
		{status + "N\xe4me: x\r\n", errField},
		{status + "N/me: x\r\n", errField},
		{status + "A: \x00\r\n", errField},
		{status + "A: long enough for eight\x7f\r\n", errField},
		{status + "A: long\x1f enough for eight\r\n", errField},
		{status + " A: b\r\n", errFold},
		{status + "A: b\r\n \x01\r\n", errFold},
		{status + "Content-Length: 1\r\n 2\r\n", errFold},
		{status + "Content-Length: x\r\n", errLength},
		{status + "Content-Length:\r\n", errLength},
		{status + "Content-Length: -1\r\n", errLength},
		{status + "Content-Length: 9223372036854775808\r\n", errLength},
		{status + "Content-Length: 1\r\nContent-Length: 2\r\n", errLength},
		{status + "Transfer-Encoding: gzip, chunked\r\n", errEncoding},
		{status + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", errEncoding},
		{chunked + "\r\n", errChunk},
		{chunked + "g\r\n", errChunk},
		{chunked + " 1\r\n", errChunk},
		{chunked + "00000000000000001\r\n", errChunk},
		{chunked + "1;\rx\r\n", errChunk},
		{chunked + "1\r\nxy", errChunk},
		{chunked + "1\r\nx\n", errChunk},
		{chunked + "1\n", errBareLF},
		{chunked + "0\r\n\n", errBareLF},
		{chunked + "0\r\n A: b\r\n", errFold},
		{chunked + "0\r\nA\r\n", errField},
		{chunked + strings.Repeat("1", maxLines+1), errTooLong},
		{status + strings.Repeat("A: b\r\n", maxLines/6), errTooLong},
		{status + strings.Repeat("x", 2*maxLines), errTooLong},
		{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxLines/25+1), errTooLong},
	} {
		got := whole(c.data)
		if !errors.Is(got.Err, c.want) || !errors.Is(got.Err, ErrMalformed) {
			t.Errorf("%.60q: got %v, want %v", c.data, got.Err, c.want)
		}
	}
}

// TestCutOff ends the connection after each byte.
func TestCutOff(t *testing.T) {
	for _, data := range []string{nginx, inChunks, "HTTP/1.1 100 Continue\r\n\r\n" + nginx} {
		for end := range data {
			if got := whole(data[:end]); !errors.Is(got.Err, ErrUnexpectedEnd) {
				t.Errorf("after %q: got %+v", data[:end], got)
			}
		}
	}
}

func TestHead(t *testing.T) {
	for _, data := range []string{"Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n", "\r\n"} {
		got := play(new(Response), []byte(status+data), true, "", nil)
		if want := (outcome{Status: 200, Found: true, N: len(status + data)}); got != want {
			t.Errorf("%q: got %+v, want %+v", data, got, want)
		}
	}
}

func TestBegun(t *testing.T) {
	var r Response
	r.Reset(false, nil)
	if r.Begun() {
		t.Error("begun before the first byte")
	}
	for i := range nginx {
		if r.Feed([]byte(nginx[i : i+1])); !r.Begun() {
			t.Fatalf("not begun after %d bytes", i+1)
		}
	}
}

// TestText searches bodies of two letters, where texts overlap themselves, in
// any pieces.
func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{1,6}`).Draw(t, "text")
		body := rapid.StringMatching(`[ab]{0,30}`).Draw(t, "body")
		prepared, found, matched := NewText(text), false, int32(0)
		for rest := body; rest != "" && !found; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			found, matched = prepared.search([]byte(rest[:n]), matched)
			rest = rest[n:]
		}
		if want := strings.Contains(body, text); found != want {
			t.Fatalf("found: %v, want %v", found, want)
		}
	})
}

// TestSplits makes right answers of every framing, and reads them in pieces.
func TestSplits(t *testing.T) {
	var r Response // used again and again, as in earnest
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringMatching(`[ab\r\n]{0,30}`).Draw(t, "body")
		text := rapid.StringMatching(`[ab]{0,4}`).Draw(t, "text")
		reads := rapid.SliceOfN(rapid.ByteMax(20), 1, 5).Draw(t, "reads")
		interim := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", rapid.IntRange(0, 2).Draw(t, "interim"))
		framed, closes := frame(t, body)
		data := []byte(interim + "HTTP/1.1 200 OK\r\n" + framed)
		want := outcome{Status: 200, Close: closes, Found: strings.Contains(body, text), N: len(data)}
		if got := play(&r, data, false, text, reads); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		cut := rapid.IntRange(0, len(data)).Draw(t, "cut")
		if whole, split := play(&r, data[:cut], false, text, nil), play(&r, data[:cut], false, text, reads); whole != split {
			t.Fatalf("cut at %d: in one read %+v, in several %+v", cut, whole, split)
		}
	})
}

// frame is the head after its first line, and the body.
func frame(t *rapid.T, body string) (framed string, closes bool) {
	switch rapid.SampledFrom([]string{"length", "chunks", "close"}).Draw(t, "framing") {
	case "length":
		return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), false
	case "chunks":
		var chunks strings.Builder
		for body != "" {
			n := rapid.IntRange(1, len(body)).Draw(t, "chunk")
			fmt.Fprintf(&chunks, "%x;extension\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\nTrailer: x\r\n\r\n", false
	default:
		return "Server: x\r\n\r\n" + body, true
	}
}

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Response{}); size > 96 {
		t.Errorf("a Response takes %d bytes", size)
	}
}

func TestAllocations(t *testing.T) {
	text := NewText("prediction")
	for _, data := range []string{nginx, inChunks} {
		b := []byte(data)
		var r Response
		for _, cut := range []int{len(b), len(b) - 30, 5} { // the carry is allocated once: AllocsPerRun warms up
			allocs := testing.AllocsPerRun(100, func() {
				r.Reset(false, text)
				r.Feed(b[:cut])
				r.Feed(b[cut:])
			})
			if allocs != 0 || r.End() != nil || !r.Found {
				t.Errorf("%.40q cut at %d: %v allocations, %+v", data, cut, allocs, r)
			}
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	for name, data := range map[string]string{"typical": nginx, "chunked": inChunks} {
		b.Run(name, func(b *testing.B) {
			text, answer := NewText("prediction"), []byte(data)
			var r Response
			b.ReportAllocs()
			b.SetBytes(int64(len(answer)))
			for b.Loop() {
				r.Reset(false, text)
				if _, done, err := r.Feed(answer); !done || err != nil {
					b.Fatal(done, err)
				}
			}
		})
	}
}
