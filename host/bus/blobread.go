package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/nats-io/nats.go/jetstream"
)

// Get returns a reader of a blob's content. It reads chunk after chunk, as it is
// asked, each bounded by ctx, and compares the digest: the last Read returns
// io.EOF only if all of it was right. A blob that is deleted or replaced
// meanwhile ends with an error. Close it.
//
// # Errors
//
// ErrBlobNotFound when there is none, otherwise as of [Conn.Request].
func (b *Blobs) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	info, err := b.find(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("get blob %s: %w", name, err)
	}
	want, err := jetstream.DecodeObjectDigest(info.Digest)
	if err != nil {
		return nil, fmt.Errorf("get blob %s: digest %q: %w", name, info.Digest, err)
	}
	return &blobReader{ctx: ctx, b: b, info: info, want: want, hash: sha256.New(), next: 1}, nil
}

type blobReader struct {
	ctx  context.Context
	b    *Blobs
	info jetstream.ObjectInfo
	want []byte
	hash hash.Hash
	rest []byte // read and not yet given
	got  uint64 // bytes read
	next uint64 // sequence to read from
	err  error
}

// Read gives what is at hand, or reads the next chunk.
func (r *blobReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 && r.err == nil {
		if r.err = r.chunk(); r.err != nil && !errors.Is(r.err, io.EOF) {
			r.err = fmt.Errorf("get blob %s: %w", r.info.Name, r.err)
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *blobReader) chunk() error {
	if r.got == r.info.Size {
		if !bytes.Equal(r.hash.Sum(nil), r.want) {
			return errors.New("the digest of the content is not the one of its description")
		}
		return io.EOF
	}
	m, err := r.load()
	if err != nil {
		return err
	}
	if m.Seq == 0 || len(m.Data) == 0 {
		return fmt.Errorf("the content ends after %d of %d bytes: %w", r.got, r.info.Size, io.ErrUnexpectedEOF)
	}
	r.rest, r.next = m.Data, m.Seq+1
	r.got += uint64(len(m.Data))
	r.hash.Write(m.Data)
	if r.got > r.info.Size {
		return fmt.Errorf("the content is longer than the %d bytes of its description", r.info.Size)
	}
	return nil
}

// load reads the next chunk, again and again until ctx ends while the server
// cannot answer.
func (r *blobReader) load() (stored, error) {
	filter := r.b.chunks(r.info.NUID)
	for wait := openWait; ; wait = min(2*wait, openWaitMax) {
		try, cancel := context.WithTimeout(r.ctx, blobTry)
		m, err := r.b.s.nextDirect(try, filter, r.next)
		if err != nil || m.Seq == 0 { // a copy that lags, or a stream without direct reads
			m, err = r.b.s.next(try, filter, r.next)
		}
		cancel()
		if err == nil || hopeless(err) || permanent(err) || !pause(r.ctx, wait, wait) {
			return m, err
		}
	}
}

// Close ends the reading.
func (r *blobReader) Close() error {
	r.rest, r.err = nil, errors.New("blob reader is closed")
	return nil
}
