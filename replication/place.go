package replication

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/replication/page"
	"github.com/ozanturksever/go-cluster/replication/segment"
)

// place is what is remembered beside a database, in <path>.position.
type place struct {
	Epoch uint64   `json:"epoch"` // a hint: where in the feed the copy stands
	TX    uint64   `json:"tx"`
	Seq   uint64   `json:"seq"`
	Sum   page.Sum `json:"sum"`
	// The epoch in which it was the one that is written, and the boot in which
	// that was; 0 when it has followed since.
	Primary uint64 `json:"primary,omitempty"`
	Boot    string `json:"boot,omitempty"`
}

func remembered(path string) (p place) {
	b, err := os.ReadFile(path + ".position")
	if err != nil || json.Unmarshal(b, &p) != nil {
		return place{}
	}
	return p
}

// remember writes it. It is not synced: a wrong hint costs time only, and what
// is said of a boot counts in that boot only.
func remember(path string, p place) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tmp := path + ".position.new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path+".position")
}

// boot names the time since the machine was started; "" where it has no name.
func boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// continues says whether the database at path goes on from the feed's last
// change, of the given epoch: it was the primary then or later, and the machine
// has not lost anything since. It may hold transactions that the feed does not.
// After a power cut it may lack some instead, and does not continue anything.
func continues(path string, last uint64) bool {
	p := remembered(path)
	return p.Primary != 0 && p.Primary >= last && p.Boot != "" && p.Boot == boot()
}

// Continues says whether the database at path can be promoted although its
// checksum is nowhere in the feed: this node was the last that led, has not been
// started anew since, and what it has beyond the feed nobody else has.
func Continues(path string, h Head) bool {
	last, err := lastOf(h)
	return err == nil && continues(path, last.Epoch)
}

// LastTX is the number of the last transaction of a feed, 0 for none.
func LastTX(h Head) (uint64, error) {
	last, err := lastOf(h)
	return last.Last, err
}

// Begun is when the change of a message was begun, by the clock of its leader.
func Begun(message []byte) (time.Time, error) {
	s, err := segment.Decode(message)
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(s.Header.Time), nil
}
