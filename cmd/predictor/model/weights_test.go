package model

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// small returns a network whose parameters all differ and fit a float32.
func small() *Network {
	n := New(2, 3)
	v := 0.0
	next := func() float64 { v += 0.25; return v }
	for i := range n.Features {
		n.Features[i] = Scale{Mean: next(), Std: next()}
	}
	n.Target = Scale{Mean: next(), Std: next()}
	for _, p := range n.Parameters() {
		for i := range p {
			p[i] = next()
		}
	}
	return n
}

func encode(t *testing.T, n *Network) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := n.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEncodeDecode(t *testing.T) {
	want := small()
	file := encode(t, want)
	// header, scales, input, hidden and output layers
	if size := 20 + 4*(8+(6+2)+(4+2)+(2+1)); len(file) != size {
		t.Errorf("file has %d bytes, want %d", len(file), size)
	}
	got, err := Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEmbeddedWeightsAreCanonical(t *testing.T) {
	n, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(t, n), embedded) {
		t.Error("encoding the embedded network gives another file")
	}
}

func TestDecodeDamaged(t *testing.T) {
	// Byte offsets of the header's fields and of the first values.
	const version, inputs, width, steps, firstMean, firstStd = 4, 8, 12, 16, 20, 24
	set := func(offset int, value ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[offset:], value); return b }
	}
	tests := []struct {
		name   string
		damage func([]byte) []byte
		want   string
	}{
		{"empty", func([]byte) []byte { return nil }, "read header: EOF"},
		{"short header", func(b []byte) []byte { return b[:7] }, "read header: unexpected EOF"},
		{"magic", set(0, 'X'), `not a weights file: starts with "XWNN"`},
		{"version", set(version, 9), "version 9 is not supported, only 1"},
		{"inputs", set(inputs, 4), "network takes 4 inputs, want 3"},
		{"no width", set(width, 0), "unreasonable shape: width 0, steps 3"},
		{"huge width", set(width, 2, 0, 1), "unreasonable shape: width 65538, steps 3"},
		{"no steps", set(steps, 0), "unreasonable shape: width 2, steps 0"},
		{"short", func(b []byte) []byte { return b[:len(b)-1] }, "read weights: unexpected EOF"},
		{"long", func(b []byte) []byte { return append(b, 0) }, "data after the last weight"},
		{"infinite", set(firstMean, 0, 0, 0x80, 0x7f), "read weights: value 0 is +Inf"},
		{"no deviation", set(firstStd, 0, 0, 0, 0), "deviation of feature 0 is 0, want more than 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode(bytes.NewReader(test.damage(encode(t, small()))))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
