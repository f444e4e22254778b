package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/replication/page"
)

// Digest is the SHA-256 of a chunk's content.
type Digest [sha256.Size]byte

// String is the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what String has written.
func ParseDigest(s string) (d Digest, err error) {
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("digest %.80q: it has %d characters, not %d", s, len(s), 2*len(d))
	}
	_, err = hex.Decode(d[:], []byte(s))
	return d, err
}

// MarshalText and UnmarshalText make a digest a string in JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a digest.
func (d *Digest) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDigest(string(b))
	return err
}

// ChunkSize is how many bytes of a database one chunk holds. The last one holds
// the rest.
const ChunkSize = 64 << 10

// MaxPages bounds a database; it is SQLite's own bound.
const MaxPages = 1<<32 - 2

// format is the version of the manifest's format.
const format = 1

// Manifest describes a snapshot.
type Manifest struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"`
	Platform string    `json:"platform"`
	App      string    `json:"app"`
	Node     string    `json:"node"` // that took it
	Time     time.Time `json:"time"` // on that node
	Epoch    uint64    `json:"epoch"`
	TX       uint64    `json:"tx"`  // the last transaction that is in it
	Seq      uint64    `json:"seq"` // of the feed: the change of that transaction
	Sum      page.Sum  `json:"sum"`
	PageSize int       `json:"page_size"`
	Pages    uint32    `json:"pages"`
	Chunks   []Digest  `json:"chunks"`
	Deleted  time.Time `json:"deleted,omitzero"` // its chunks are swept some time after this
}

// Size is the size of the database in bytes.
func (m Manifest) Size() int64 { return int64(m.Pages) * int64(m.PageSize) }

// Encode makes the bytes of a manifest.
func (m Manifest) Encode() ([]byte, error) {
	m.Format = format
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return json.Marshal(m)
}

// Decode reads a manifest, which may come from anywhere.
//
// # Errors
//
// [pluginapi.ErrInvalid], with what is wrong.
func Decode(b []byte) (m Manifest, err error) {
	if err = json.Unmarshal(b, &m); err == nil {
		err = m.check()
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w: %w", pluginapi.ErrInvalid, err)
	}
	return m, nil
}

func (m Manifest) check() error {
	switch {
	case m.Format != format:
		return fmt.Errorf("format %d: this version knows %d: update it", m.Format, format)
	case page.CheckSize(m.PageSize) != nil:
		return page.CheckSize(m.PageSize)
	case m.Pages == 0 || m.Pages > MaxPages:
		return fmt.Errorf("%d pages", m.Pages)
	case len(m.Chunks) != chunkCount(m.Size()):
		return fmt.Errorf("%d chunks for %d bytes", len(m.Chunks), m.Size())
	case m.ID == "" || m.App == "" || m.Platform == "":
		return errors.New("it does not say of which platform and app it is")
	}
	return nil
}

// chunkCount is how many chunks a database of so many bytes has.
func chunkCount(size int64) int { return int((size + ChunkSize - 1) / ChunkSize) }

// chunkLen is the length of chunk i.
func (m Manifest) chunkLen(i int) int {
	return int(min(ChunkSize, m.Size()-int64(i)*ChunkSize))
}

// Grace is how long the chunks of a deleted snapshot are kept.
const Grace = time.Hour

// Retention says which snapshots are kept.
type Retention struct {
	For   time.Duration // those that are younger; 0: age does not matter
	Count int           // the newest so many, whatever their age; at least 1
}

// Drop returns the snapshots that are neither young enough nor among the newest,
// oldest first. Deleted ones do not count. The newest is always kept.
func (r Retention) Drop(all []Manifest, now time.Time) (drop []Manifest) {
	live := slices.DeleteFunc(slices.Clone(all), func(m Manifest) bool { return !m.Deleted.IsZero() })
	slices.SortFunc(live, Compare)
	for i, m := range live[:max(0, len(live)-max(1, r.Count))] {
		if r.For == 0 || now.Sub(m.Time) > r.For {
			drop = append(drop, live[i])
		}
	}
	return drop
}

// Compare sorts by position in the feed, then by time: clocks differ.
func Compare(a, b Manifest) int {
	if a.Seq != b.Seq {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	}
	return a.Time.Compare(b.Time)
}

// At returns the newest snapshot that is not behind transaction tx; 0 means the
// newest of all.
func At(all []Manifest, tx uint64) (m Manifest, found bool) {
	for _, c := range all {
		if c.Deleted.IsZero() && (tx == 0 || c.TX <= tx) && (!found || Compare(m, c) < 0) {
			m, found = c, true
		}
	}
	return m, found
}

// Swept returns the manifests that can be forgotten: they were deleted more than
// Grace ago; and the digests that must stay, which are those of all others.
func Swept(all []Manifest, now time.Time) (forget []Manifest, keep map[Digest]bool) {
	keep = map[Digest]bool{}
	for _, m := range all {
		if !m.Deleted.IsZero() && now.Sub(m.Deleted) > Grace {
			forget = append(forget, m)
			continue
		}
		for _, d := range m.Chunks {
			keep[d] = true
		}
	}
	return forget, keep
}
