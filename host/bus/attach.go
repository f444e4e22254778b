package bus

import (
	"fmt"
	"time"
)

// AttachRecords returns the records of a stream that somebody else has opened.
// It asks the server nothing, so that it needs no more rights than the requests
// that follow.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a config that cannot be.
func AttachRecords(c *Conn, cfg RecordsConfig) (*Records, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("attach records: %w", err)
	}
	return newRecords(stream{c, cfg.Stream}, cfg, time.Time{}, recordKind()), nil
}

// Stream returns the stream's name.
func (r *Records) Stream() string { return r.cfg.Stream }
