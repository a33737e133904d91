package model

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

//go:generate go run ../train -o weights.bin

//go:embed weights.bin
var embedded []byte

// A weights file is a header followed by float32 values: mean and deviation of
// each feature and of the target, then Network.Parameters in order. Everything
// is little endian.
type header struct {
	Magic   [4]byte
	Version uint32
	Inputs  uint32
	Width   uint32
	Steps   uint32
}

const (
	magic   = "SWNN"
	version = 1

	// Bounds on the shape keep a damaged header from asking for absurd
	// amounts of memory or time.
	maxWidth = 4096
	maxSteps = 1024
)

// Load returns the network embedded in the program.
func Load() (*Network, error) {
	n, err := Decode(bytes.NewReader(embedded))
	if err != nil {
		return nil, fmt.Errorf("embedded weights: %w", err)
	}
	return n, nil
}

// Decode reads a weights file, which must end where the network does.
func Decode(r io.Reader) (*Network, error) {
	var h header
	if err := binary.Read(r, binary.LittleEndian, &h); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	n := New(int(h.Width), int(h.Steps))
	scales := make([]float64, 2*(NumFeatures+1))
	for _, dst := range append([][]float64{scales}, n.Parameters()...) {
		if err := decodeFloats(r, dst); err != nil {
			return nil, fmt.Errorf("read weights: %w", err)
		}
	}
	if err := n.setScales(scales); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the last weight")
	}
	return n, nil
}

func (h header) check() error {
	switch {
	case string(h.Magic[:]) != magic:
		return fmt.Errorf("not a weights file: starts with %q", h.Magic[:])
	case h.Version != version:
		return fmt.Errorf("version %d is not supported, only %d", h.Version, version)
	case h.Inputs != NumFeatures:
		return fmt.Errorf("network takes %d inputs, want %d", h.Inputs, NumFeatures)
	case h.Width < 1 || h.Width > maxWidth || h.Steps < 1 || h.Steps > maxSteps:
		return fmt.Errorf("unreasonable shape: width %d, steps %d", h.Width, h.Steps)
	}
	return nil
}

// Encode writes the network as a weights file. Parameters are rounded to
// float32.
func (n *Network) Encode(w io.Writer) error {
	h := header{
		Version: version,
		Inputs:  NumFeatures,
		Width:   uint32(n.Width()),
		Steps:   uint32(n.Steps),
	}
	copy(h.Magic[:], magic)
	if err := binary.Write(w, binary.LittleEndian, h); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	for _, src := range append([][]float64{n.scales()}, n.Parameters()...) {
		if err := encodeFloats(w, src); err != nil {
			return fmt.Errorf("write weights: %w", err)
		}
	}
	return nil
}

func (n *Network) scales() []float64 {
	var s []float64
	for _, f := range n.Features {
		s = append(s, f.Mean, f.Std)
	}
	return append(s, n.Target.Mean, n.Target.Std)
}

func (n *Network) setScales(s []float64) error {
	for i := range n.Features {
		n.Features[i] = Scale{Mean: s[2*i], Std: s[2*i+1]}
		if n.Features[i].Std <= 0 {
			return fmt.Errorf("deviation of feature %d is %v, want more than 0", i, n.Features[i].Std)
		}
	}
	n.Target = Scale{Mean: s[2*NumFeatures], Std: s[2*NumFeatures+1]}
	return nil
}

func decodeFloats(r io.Reader, dst []float64) error {
	buf := make([]float32, len(dst))
	if err := binary.Read(r, binary.LittleEndian, buf); err != nil {
		return err
	}
	for i, v := range buf {
		dst[i] = float64(v)
		if math.IsNaN(dst[i]) || math.IsInf(dst[i], 0) {
			return fmt.Errorf("value %d is %v", i, v)
		}
	}
	return nil
}

func encodeFloats(w io.Writer, src []float64) error {
	buf := make([]float32, len(src))
	for i, v := range src {
		buf[i] = float32(v)
	}
	return binary.Write(w, binary.LittleEndian, buf)
}
