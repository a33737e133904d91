package load

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// Between sweep and a relay the streams of all agents share one pair of pipes,
// in pieces: kind, number of the stream, length (both big-endian), content.
//
//	1 byte | 2 bytes | 4 bytes | length
type piece struct {
	kind   kind
	stream uint16
	text   []byte
}

type kind uint8

const (
	pieceOpen kind = iota // from the relay: an agent has come
	pieceText             // what is written to the stream
	pieceEnd              // nothing more comes on it
)

const (
	headBytes = 7
	mostBytes = 32 << 10 // of a piece's content
)

// pieces writes pieces whole, whoever writes.
type pieces struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *pieces) write(p piece) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := binary.BigEndian.AppendUint16([]byte{byte(p.kind)}, p.stream)
	whole := append(binary.BigEndian.AppendUint32(head, uint32(len(p.text))), p.text...)
	if _, err := w.out.Write(whole); err != nil {
		return fmt.Errorf("writing to the other end of the relay: %w", err)
	}
	return nil
}

// on returns what writes text to one stream, in pieces.
func (w *pieces) on(stream uint16) io.Writer { return onStream{w, stream} }

type onStream struct {
	pieces *pieces
	stream uint16
}

func (s onStream) Write(all []byte) (int, error) {
	done := 0
	for done < len(all) {
		part := all[done:min(len(all), done+mostBytes)]
		if err := s.pieces.write(piece{kind: pieceText, stream: s.stream, text: part}); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// readPiece reads a piece. Its content is valid until the next.
func readPiece(in io.Reader, buf *[mostBytes]byte) (piece, error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return piece{}, err //nolint:wrapcheck // io.EOF is the end
	}
	p := piece{kind: kind(head[0]), stream: binary.BigEndian.Uint16(head[1:])}
	length := binary.BigEndian.Uint32(head[3:])
	if p.kind > pieceEnd || length > mostBytes {
		return piece{}, fmt.Errorf("a piece of kind %d with %d bytes: the other end isn't a relay's", p.kind, length)
	}
	p.text = buf[:length]
	if _, err := io.ReadFull(in, p.text); err != nil {
		return piece{}, fmt.Errorf("a piece is cut off: %w", err)
	}
	return p, nil
}
