package locust

import (
	"cmp"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sweep/pkg/measure"
)

var (
	// What says the status by itself: requests, with the status' own words after
	// it, and geventhttpclient.
	answered = regexp.MustCompile(`^\w+\(['"]([45]\d\d) (?:Client|Server) Error|^BadStatusCode\(.*code=([1-5]\d\d)\)$`)
	// The exceptions of a connection, by their own names. What they hold are the
	// words of a client or of the kernel.
	broken = regexp.MustCompile(`(?s)^(?:\w*Connect\w*|\w*[Tt]imeout\w*|(?:Client)?OSError|gaierror|herror|MemoryError|BrokenPipeError|EmptyResponse|` +
		`MaxRetryError|RetriesExceeded|ProxyError|NameResolutionError|SSL\w*Error|\w*ProtocolError|\w*Disconnected\w*|ReadError|WriteError|` +
		`IncompleteRead|ChunkedEncodingError|InvalidChunkLength|BadStatusLine|LineTooLong|HTTPParseError|ContentDecodingError)\(.*\)$|^<Timeout at 0x`)
	// Those among them that hold words of the service.
	garbled = regexp.MustCompile(`\b(?:BadStatusLine|InvalidChunkLength|LineTooLong|ContentDecodingError)\(`)
	// Where it was asked: words of the locustfile's.
	address = regexp.MustCompile(`https?://[^'"\s]+|with url: \S+|host='[^']*'`)
	// A status, as people say it.
	status = regexp.MustCompile(`(?i)\b(?:http ?error|status|code|error)\D{0,12}\b([1-5]\d\d)\b|\b([45]\d\d) (?:client|server) error`)
)

// classify reads the words of a failure: Python's repr of an exception of
// requests', of geventhttpclient's or of the locustfile's. Only an exception of
// a connection tells of that. What a locustfile says has failed is the service's
// failure, whatever words of the service it repeats: one that answers "too many
// open files" means its own.
func classify(text string) (class measure.Class, code int) {
	m := answered.FindStringSubmatch(text)
	switch {
	case m != nil:
	case broken.MatchString(text):
		return fault(text), 0
	default:
		m = status.FindStringSubmatch(text)
	}
	if m == nil {
		return measure.BadContent, 0
	}
	code, _ = strconv.Atoi(cmp.Or(m[1], m[2]))
	return measure.BadStatus, code
}

// fault returns what an exception of a connection says went wrong with it.
func fault(text string) measure.Class {
	words := strings.ToLower(address.ReplaceAllString(text, ""))
	has := func(some ...string) bool {
		return slices.ContainsFunc(some, func(w string) bool { return strings.Contains(words, w) })
	}
	switch {
	case garbled.MatchString(text):
		return measure.Protocol
	case has("too many open files", "cannot assign requested address", "errno 24]", "errno 99]", "no buffer space", "cannot allocate memory", "memoryerror"):
		return measure.Own
	case has("timed out", "timeout"):
		return measure.Timeout
	case has("refused"):
		return measure.Refused
	case has("reset by peer", "connectionreset", "disconnected", "connection aborted", "connection closed", "connectionclosed", "broken pipe", "eof", "end of file", "incomplete", "emptyresponse"):
		return measure.Reset
	case has("httpparse", "protocol", "chunkedencoding"):
		return measure.Protocol
	}
	return measure.Refused
}

// unescaped returns what a worker said of a failure from what the page says of
// it: escaped for a browser, and by Locust 2.12 quoted once more.
func unescaped(text string) string {
	text = html.UnescapeString(text)
	if n := len(text); n > 1 && (text[0] == '\'' || text[0] == '"') && text[n-1] == text[0] {
		return strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(text[1 : n-1])
	}
	return text
}
