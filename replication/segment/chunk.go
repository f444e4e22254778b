package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Chunk names a stored piece of a change that is too large for a batch of
// messages: the body of one part, under its digest.
type Chunk struct {
	Digest [sha256.Size]byte // SHA-256 of the message that [Encoder.TakeChunks] made
	Size   int               // its length in bytes
}

const chunkSize = sha256.Size + 4

// MaxChunks bounds the chunks of one change.
const MaxChunks = 20_000

// Chunked makes the one message that commits a change whose parts have been
// stored before.
//
// # Errors
//
// For a header that no database can have, and for none or too many chunks.
func Chunked(h Header, chunks []Chunk) ([]byte, error) {
	h.Part, h.Parts = 1, 1
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("encode segment: %w", err)
	}
	if len(chunks) == 0 || len(chunks) > MaxChunks {
		return nil, fmt.Errorf("encode segment: %d chunks, the most is %d", len(chunks), MaxChunks)
	}
	body := make([]byte, 0, len(chunks)*chunkSize)
	for _, c := range chunks {
		body = append(body, c.Digest[:]...)
		body = binary.LittleEndian.AppendUint32(body, uint32(c.Size))
	}
	return seal(h, flagChunked, 0, len(body), body), nil
}

// readChunks reads the names of the chunks.
func (s *Segment) readChunks() error {
	if s.pages != 0 || s.Parts != 1 || len(s.body) == 0 || len(s.body)%chunkSize != 0 || len(s.body)/chunkSize > MaxChunks {
		return corrupt("a list of chunks of %d bytes, %d pages, %d parts", len(s.body), s.pages, s.Parts)
	}
	for b := s.body; len(b) > 0; b = b[chunkSize:] {
		c := Chunk{Digest: [sha256.Size]byte(b[:sha256.Size]), Size: int(binary.LittleEndian.Uint32(b[sha256.Size:]))}
		if c.Size < headerSize || c.Size > MaxBody+headerSize {
			return corrupt("a chunk of %d bytes", c.Size)
		}
		s.Chunks = append(s.Chunks, c)
	}
	s.body = nil
	return nil
}
