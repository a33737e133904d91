package locust

import (
	"testing"

	"sweep/pkg/measure"
)

// TestFailuresAreKnownByTheirWords has what Locust 2.12.1 says of requests that
// fail, by requests and by geventhttpclient, with and without catch_response.
func TestFailuresAreKnownByTheirWords(t *testing.T) {
	pool := `HTTPConnectionPool(host='10.0.0.2', port=8000): `
	retries := pool + `Max retries exceeded with url: /timeout?x=refused (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x....>: Failed to establish a new connection: `
	for text, want := range map[string]struct {
		class  measure.Class
		status int
	}{
		`ConnectionRefusedError(111, 'Connection refused')`:                                                            {measure.Refused, 0},
		`ConnectionError(MaxRetryError("` + retries + `[Errno 111] Connection refused'))"))`:                           {measure.Refused, 0},
		`gaierror(-2, 'Name or service not known')`:                                                                    {measure.Refused, 0},
		`OSError(113, 'No route to host')`:                                                                             {measure.Refused, 0},
		`ConnectionResetError(104, 'Connection reset by peer')`:                                                        {measure.Reset, 0},
		`RemoteDisconnected('Remote end closed connection without response')`:                                          {measure.Reset, 0},
		`ConnectionError(ProtocolError('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer')))`: {measure.Reset, 0},
		`HTTPConnectionClosed('connection closed.')`:                                                                   {measure.Reset, 0},
		`HTTPParseError('Incomplete response.')`:                                                                       {measure.Reset, 0},
		`ChunkedEncodingError(ProtocolError('Connection broken: IncompleteRead(3 bytes read, 7 more expected)', IncompleteRead(3 bytes read, 7 more expected)))`: {measure.Reset, 0},
		`timeout('timed out')`: {measure.Timeout, 0},
		`ReadTimeout(ReadTimeoutError("` + pool + `Read timed out. (read timeout=1)"))`:               {measure.Timeout, 0},
		`RetriesExceeded('http://10.0.0.2:8000/refused', 3, original=timed out)`:                      {measure.Timeout, 0},
		`<Timeout at 0x.... seconds=60>`:                                                              {measure.Timeout, 0},
		`RetriesExceeded('http://10.0.0.2:8000/timeout', 3, original=[Errno 111] Connection refused)`: {measure.Refused, 0},
		`OSError(99, 'Cannot assign requested address')`:                                              {measure.Own, 0},
		`OSError(24, 'Too many open files')`:                                                          {measure.Own, 0},
		`MemoryError()`:                                                                               {measure.Own, 0},
		`ConnectionError(MaxRetryError("` + retries + `[Errno 24] Too many open files'))"))`:          {measure.Own, 0},
		`BadStatusLine('too many open files\r\n')`:                                                    {measure.Protocol, 0},
		`ConnectionError(ProtocolError('Connection aborted.', BadStatusLine('timed out\r\n')))`:       {measure.Protocol, 0},
		`ChunkedEncodingError(ProtocolError("Connection broken: InvalidChunkLength(got length b'refused', 0 bytes read)", InvalidChunkLength(got length)))`: {measure.Protocol, 0},
		`ContentDecodingError(DecodeError('Received response with content-encoding: gzip, but failed to decode it.', error('Error -3')))`:                   {measure.Protocol, 0},
		`HTTPParseError('Invalid response')`:                                          {measure.Protocol, 0},
		`HTTPError('503 Server Error: Service Unavailable for url: /predict')`:        {measure.BadStatus, 503},
		`HTTPError('503 Server Error: too many open files for url: /predict')`:        {measure.BadStatus, 503},
		`HTTPError('504 Server Error: Gateway Timeout for url: /predict')`:            {measure.BadStatus, 504},
		`HTTPError('404 Client Error: Not Found for url: /predict')`:                  {measure.BadStatus, 404},
		`BadStatusCode('http://10.0.0.2:8000/code/200/timeout', code=500)`:            {measure.BadStatus, 500},
		`CatchResponseError('Got wrong response')`:                                    {measure.BadContent, 0},
		`CatchResponseError('{"detail": "OSError: [Errno 24] Too many open files"}')`: {measure.BadContent, 0},
		`CatchResponseError('upstream timed out, connection refused')`:                {measure.BadContent, 0},
		`CatchResponseError('status 503: Cannot assign requested address')`:           {measure.BadStatus, 503},
		`CatchResponseError("ConnectionError('timed out')")`:                          {measure.BadContent, 0},
		`'timeout'`:                                  {measure.BadContent, 0},
		`too many open files`:                        {measure.BadContent, 0},
		`timeout (of the database)`:                  {measure.BadContent, 0},
		`AssertionError('connection reset by peer')`: {measure.BadContent, 0},
		`KeyError('timeout')`:                        {measure.BadContent, 0},
		`None`:                                       {measure.BadContent, 0},
	} {
		if class, status := classify(text); class != want.class || status != want.status {
			t.Errorf("%s: %s, %d", text, class, status)
		}
	}
}

func TestAPagesWordsAreThoseOfItsWorkers(t *testing.T) {
	for page, want := range map[string]string{
		`&quot;timeout(&#x27;timed out&#x27;)&quot;`:                                      `timeout('timed out')`,
		`&#x27;CatchResponseError(&quot;it\&#x27;s&quot;)&#x27;`:                          `CatchResponseError("it's")`,
		`ConnectionRefusedError(111, &#x27;Connection refused&#x27;)`:                     `ConnectionRefusedError(111, 'Connection refused')`,
		`&#x27;ConnectionError(MaxRetryError(&quot;x(host=\&#x27;a\&#x27;)&quot;))&#x27;`: `ConnectionError(MaxRetryError("x(host='a')"))`,
		`&quot;BadStatusLine(&#x27;too many open files\\r\\n&#x27;)&quot;`:                `BadStatusLine('too many open files\r\n')`,
		`CatchResponseError(&#x27;wrong answer&#x27;)`:                                    `CatchResponseError('wrong answer')`,
		`'`: `'`,
	} {
		if got := unescaped(page); got != want {
			t.Errorf("%s is read as %s", page, got)
		}
	}
}
