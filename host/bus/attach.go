package bus

import "fmt"

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
	return &Records{s: stream{c, cfg.Stream}, cfg: cfg, watchers: map[string]*watcher{}}, nil
}

// Stream returns the stream's name.
func (r *Records) Stream() string { return r.cfg.Stream }
