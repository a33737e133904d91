package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"sweep/pkg/measure"
)

const build = "v1"

// relayed starts a relay in this process and agents that come to it with these
// keys. Its own is the first.
func relayed(t *testing.T, keys ...Key) (relay io.ReadWriteCloser, joined []chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	over := make(chan error, 1)
	go func() {
		err := Relay(t.Context(), keys[0], build, l, inR, outW)
		outW.CloseWithError(err)
		over <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	for _, key := range keys {
		ended := make(chan error, 1)
		joined = append(joined, ended)
		go func() { ended <- Join(ctx, key, build, l.Addr().String()) }()
	}
	t.Cleanup(func() { // whatever the test did with them
		inW.Close()
		outR.Close()
		cancel()
		if err := <-over; err != nil {
			t.Errorf("the relay: %v", err)
		}
		for _, ended := range joined {
			<-ended
		}
	})
	return pipes{Reader: outR, Writer: inW, close: func() error { return errors.Join(inW.Close(), outR.Close()) }}, joined
}

func TestAFleetLoadsARealServerThroughARelay(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"prediction": 1}`) }))
	defer server.Close()
	key := NewKey()
	relay, joined := relayed(t, key, key, key)
	f := &Fleet{Plan: netPlanOf, Attach: func(ctx context.Context, _ measure.Target) ([]io.ReadWriteCloser, error) {
		return Gather(ctx, relay, 3)
	}}
	s := loaded(t, f, measure.Target{Address: strings.TrimPrefix(server.URL, "http://")})
	if last := s.Last(); last == nil || last.Users != 20 || last.Done < 20 || last.Pending() != 0 {
		t.Errorf("%+v", last)
	}
	for i, ended := range joined { // the fleet is closed, and so they have ended
		if err := <-ended; err != nil {
			t.Errorf("agent %d: %v", i+1, err)
		}
		ended <- nil // for who cleans up
	}
}

func TestAnAgentThatIsLostBehindARelayIsLost(t *testing.T) {
	key := NewKey()
	relay, _ := relayed(t, key)
	streams, err := Gather(t.Context(), relay, 1)
	if err != nil {
		t.Fatal(err)
	}
	relay.Close()
	if _, err := streams[0].Read(make([]byte, 1)); err == nil || !strings.HasPrefix(err.Error(), "the relay ended: ") {
		t.Errorf("reading from an agent without its relay: %v", err)
	}
}

// Who hasn't the key is neither heard by the relay nor told anything by it: a
// relay that hasn't it is none to an agent, either.
func TestAStrangerIsNoAgentAndNoRelay(t *testing.T) {
	ours, other := NewKey(), NewKey()
	relay, _ := relayed(t, ours, other, other)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Gather(ctx, relay, 2); err == nil || !strings.HasPrefix(err.Error(), "1 of 2 agents came: ") {
		t.Errorf("of one agent and two strangers: %v", err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go Relay(t.Context(), other, build, l, blocked(t), io.Discard)
	config, err := ours.config(build)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dialRelay(t.Context(), config, l.Addr().String()); !errors.Is(err, errStranger) {
		t.Errorf("a relay with another key: %v", err)
	}
}

// An image of another build on a machine that makes load would say what this one
// can't read: it is told so, and doesn't try again.
func TestAnAgentOfAnotherBuildIsTurnedAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key := NewKey()
	go Relay(t.Context(), key, build, l, blocked(t), io.Discard)
	err = Join(t.Context(), key, "v2", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), `is of another build of sweep than this "sweep v2"`) {
		t.Errorf("joining a relay of another build: %v", err)
	}
}

// blocked is an input that ends with the test.
func blocked(t *testing.T) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return r
}

func TestAKeySurvivesTheWay(t *testing.T) {
	key := NewKey()
	if back, err := ParseKey(key.String()); err != nil || back != key {
		t.Errorf("got %v, %v", back, err)
	}
	for _, text := range []string{"", "00", key.String() + "00", strings.Repeat("x", 64)} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}

func TestPiecesComeAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire bytes.Buffer
		w := &pieces{out: &wire}
		said, heard := map[uint16][]byte{}, map[uint16][]byte{}
		for range rapid.IntRange(0, 6).Draw(t, "writes") {
			stream := rapid.Uint16().Draw(t, "stream")
			all := bytes.Repeat([]byte{byte(stream)}, rapid.IntRange(0, 3*mostBytes).Draw(t, "bytes"))
			if n, err := w.on(stream).Write(all); n != len(all) || err != nil {
				t.Fatal(n, err)
			}
			said[stream] = append(said[stream], all...)
		}
		var buf [mostBytes]byte
		for in := iotest.HalfReader(&wire); ; {
			p, err := readPiece(in, &buf)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || p.kind != pieceText {
				t.Fatal(p.kind, err)
			}
			heard[p.stream] = append(heard[p.stream], p.text...)
		}
		for stream := range said {
			if !slices.Equal(said[stream], heard[stream]) {
				t.Fatalf("stream %d: %d bytes came of %d", stream, len(heard[stream]), len(said[stream]))
			}
		}
	})
}

func FuzzPiece(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 0, 0, 1, 'x'})
	f.Add([]byte{9, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, wire []byte) {
		var buf [mostBytes]byte
		in := bytes.NewReader(wire)
		for {
			if p, err := readPiece(in, &buf); err != nil {
				return
			} else if p.kind > pieceEnd {
				t.Fatalf("a piece of kind %d", p.kind)
			}
		}
	})
}

// BenchmarkRelay passes on a second of the reports of 100 agents, encrypted. The
// agents' own end is counted, too.
func BenchmarkRelay(b *testing.B) {
	const agents, report = 100, 20_000
	key := NewKey()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() { outW.CloseWithError(Relay(b.Context(), key, build, l, inR, outW)) }()
	relay := pipes{Reader: outR, Writer: inW, close: func() error { return errors.Join(inW.Close(), outR.Close()) }}
	defer relay.Close()
	config, err := key.config(build)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	var conns []net.Conn
	for range agents {
		conn, err := dialRelay(b.Context(), config, l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	streams, err := Gather(b.Context(), relay, agents)
	if err != nil {
		b.Fatal(err)
	}
	joining := time.Since(began)
	said, heard := make([]byte, report), make([]byte, report)
	before := used(b)
	for b.Loop() {
		for _, conn := range conns {
			if _, err := conn.Write(said); err != nil {
				b.Fatal(err)
			}
		}
		for _, s := range streams {
			if _, err := io.ReadFull(s, heard); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(100*(used(b)-before).Seconds()/float64(b.N), "%core")
	b.ReportMetric(float64(joining.Microseconds())/1000/agents, "ms/join")
}
