package zmtp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sweep/pkg/locust/zmtp"
)

// hello is what a DEALER of libzmq 4.3 sends first: greeting 3.1 and READY.
const hello = "ff00000000000000017f" + "03" + "01" + "4e554c4c00000000000000000000000000000000" + "00" +
	"00000000000000000000000000000000000000000000000000000000000000" +
	"042a" + "055245414459" + "0b536f636b65742d54797065" + "000000064445414c4552" + "084964656e74697479" + "00000001" + "77"

// peer is a DEALER that has said all it will say.
type peer struct {
	io.Reader
	heard bytes.Buffer
}

func (p *peer) Write(b []byte) (int, error) { return p.heard.Write(b) }

func accept(t interface{ Fatal(...any) }, says string) (*zmtp.Conn, *peer) {
	greeted, err := hex.DecodeString(hello)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Reader: io.MultiReader(bytes.NewReader(greeted), strings.NewReader(says))}
	c, err := zmtp.Accept(p)
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

func TestADealerIsGreeted(t *testing.T) {
	c, p := accept(t, "")
	if c.Identity != "w" {
		t.Errorf("it calls itself %q", c.Identity)
	}
	want := "ff0000000000000000" + "7f" + "0300" + "4e554c4c" + strings.Repeat("00", 16+1+31) +
		"041c" + "055245414459" + "0b536f636b65742d54797065" + "00000006" + "524f55544552"
	if got := hex.EncodeToString(p.heard.Bytes()); got != want {
		t.Errorf("it heard %s\nwant        %s", got, want)
	}
}

func TestWhoIsNoDealerIsTurnedAway(t *testing.T) {
	for _, says := range []string{
		"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + strings.Repeat(" ", 64),
		"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01" + strings.Repeat("\x00", 64),
		"",
	} {
		if _, err := zmtp.Accept(&peer{Reader: strings.NewReader(says)}); err == nil {
			t.Errorf("%q was welcome", says)
		}
	}
}

func TestMessagesComeAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 600)).Draw(t, "messages")
		out, p := accept(t, "")
		before := p.heard.Len()
		for _, m := range sent {
			if err := out.Write(m); err != nil {
				t.Fatal(err)
			}
		}
		in, _ := accept(t, p.heard.String()[before:])
		for _, want := range sent {
			got, err := in.Read()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%x came as %x, %v", want, got, err)
			}
		}
		if _, err := in.Read(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last: %v", err)
		}
	})
}

func TestFramesOfAMessageAreOne(t *testing.T) {
	c, _ := accept(t, "\x01\x02ab\x00\x01c")
	if got, err := c.Read(); string(got) != "abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAPingIsAnswered(t *testing.T) {
	c, p := accept(t, "\x04\x09\x04PING\x00\x0axy\x00\x01m")
	before := p.heard.Len()
	if got, err := c.Read(); string(got) != "m" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got := p.heard.String()[before:]; got != "\x04\x07\x04PONGxy" {
		t.Errorf("answered %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x00\x01a\x02\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x04\x05\x04PING"))
	f.Fuzz(func(t *testing.T, says []byte) {
		greeted, _ := hex.DecodeString(hello)
		if _, err := zmtp.Accept(&peer{Reader: bytes.NewReader(says)}); err == nil && len(says) < 64 {
			t.Error("half a greeting will do")
		}
		c, err := zmtp.Accept(&peer{Reader: bytes.NewReader(append(greeted, says...))})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = c.Read()
		}
	})
}
