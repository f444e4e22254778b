package bus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// config is the stream that we create for records.
func (r RecordsConfig) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              r.Stream,
		Description:       "records of go-cluster; changed by compare-and-set only, never by hand",
		Subjects:          []string{r.Subject + ".>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxMsgsPerSubject: 1,
		DenyDelete:        true,
		DenyPurge:         true,
		RePublish:         &jetstream.RePublish{Source: r.Subject + ".>", Destination: r.Republish + ".>"},
	}
}

func (r RecordsConfig) verify(raw json.RawMessage) error {
	return verify(raw, r.config(), "records", MaxRecord+1024)
}

// verify names every setting of an existing stream that would break what is
// promised of what it holds; want is how we would have made it, largest the
// size of the largest message that it must take.
func verify(raw json.RawMessage, want jetstream.StreamConfig, what string, largest int32) error {
	var have jetstream.StreamConfig
	if err := json.Unmarshal(raw, &have); err != nil {
		return asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", want.Name, err))
	}
	var bad []string
	need := func(ok bool, setting, want string) {
		if !ok {
			bad = append(bad, setting+" must be "+want)
		}
	}
	need(slices.Equal(have.Subjects, want.Subjects), "subjects", strings.Join(want.Subjects, ", "))
	need(have.Retention == jetstream.LimitsPolicy, "retention", "limits")
	need(have.Storage == jetstream.FileStorage, "storage", "file")
	need(have.Discard == jetstream.DiscardOld, "discard", "old")
	need(have.MaxMsgsPerSubject == want.MaxMsgsPerSubject, "max_msgs_per_subject", strconv.FormatInt(want.MaxMsgsPerSubject, 10))
	need(have.MaxMsgs <= 0, "max_msgs", "unlimited")
	need(have.MaxBytes <= 0, "max_bytes", "unlimited")
	need(have.MaxAge == 0, "max_age", "unlimited")
	need(have.MaxMsgSize <= 0 || have.MaxMsgSize >= largest, "max_msg_size", "unlimited")
	need(!have.AllowDirect && !have.MirrorDirect, "allow_direct", "off (a copy that lags may answer)")
	need(!have.AllowRollup, "allow_rollup_hdrs", "off (one message could wipe all of it)")
	need(!have.AllowMsgTTL && have.SubjectDeleteMarkerTTL == 0, "allow_msg_ttl", "off (nothing expires)")
	need(have.DenyDelete, "deny_delete", "on")
	need(have.DenyPurge, "deny_purge", "on")
	need(!have.NoAck, "no_ack", "off")
	need(!have.Sealed, "sealed", "off")
	need(have.Mirror == nil && len(have.Sources) == 0, "mirror and sources", "empty")
	need(have.SubjectTransform == nil, "subject_transform", "empty")
	need(!have.AllowMsgCounter && !have.AllowMsgSchedules, "counters and schedules", "off")
	need(have.PersistMode != jetstream.AsyncPersistMode, "persist_mode", "default (asynchronous writes are lost in a crash)")
	rp := cmp.Or(have.RePublish, &jetstream.RePublish{})
	need(*rp == *want.RePublish, "republish", fmt.Sprintf("from %s to %s", want.RePublish.Source, want.RePublish.Destination))
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%w: stream %s exists with settings that are not safe for %s: %s: mend or delete it, or choose another platform name",
		pluginapi.ErrInvalid, want.Name, what, strings.Join(bad, "; "))
}

// setting is one that a stream must have.
type setting struct {
	ok         bool
	name, want string
}

// wrongSettings names the settings of an existing stream that must be others.
func wrongSettings(stream string, need []setting) error {
	var bad []string
	for _, n := range need {
		if !n.ok {
			bad = append(bad, n.name+" must be "+n.want)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%w: stream %s exists with other settings: %s: mend or delete it", pluginapi.ErrInvalid, stream, strings.Join(bad, "; "))
}

// sameSubjects compares two lists of subjects, whatever their order.
func sameSubjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// check refuses a config whose names are no NATS names.
func (r RecordsConfig) check() error {
	if r.Stream == "" || strings.ContainsAny(r.Stream, " .*>/\\\t\r\n") {
		return fmt.Errorf("%w: stream name %q", pluginapi.ErrInvalid, r.Stream)
	}
	for _, s := range []string{r.Subject, r.Republish} {
		if err := checkTokens("subject", s, false); err != nil {
			return err
		}
	}
	if r.Replicas < 0 || r.Replicas > 5 {
		return fmt.Errorf("%w: %d replicas: give 1 to 5, or 0 for up to 3", pluginapi.ErrInvalid, r.Replicas)
	}
	return nil
}
