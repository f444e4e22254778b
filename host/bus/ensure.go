package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

const (
	openWait    = 50 * time.Millisecond // between two tries to open a stream; doubles
	openWaitMax = time.Second
	openTry     = 5 * time.Second // one change of an open: creating a stream may need an election
	infoTry     = time.Second     // one look of an open
)

// wanted describes a stream that must exist.
type wanted struct {
	config   jetstream.StreamConfig
	replicas int                         // 0: as many as the servers allow, at most 3
	verify   func(json.RawMessage) error // checks the settings of an existing one
}

// ensure creates the stream or checks the one that exists, and tries again as
// long as JetStream is not able to say, until ctx ends. It settles to the same
// stream when several do it at once.
func (s stream) ensure(ctx context.Context, w wanted) (streamInfo, error) {
	return untilTold(ctx, func(ctx context.Context) (streamInfo, error) { return s.ensureOnce(ctx, w) })
}

// await waits until somebody has made the stream.
func (s stream) await(ctx context.Context) error {
	_, err := untilTold(ctx, s.tryInfo)
	return err
}

// untilTold asks again and again until JetStream has an answer, or ctx ends.
func untilTold(ctx context.Context, ask func(context.Context) (streamInfo, error)) (streamInfo, error) {
	wait := openWait
	for {
		in, err := ask(ctx)
		if err == nil {
			return in, nil
		}
		if hopeless(err) {
			return streamInfo{}, missing(err)
		}
		if !pause(ctx, wait, wait) {
			return streamInfo{}, fmt.Errorf("%w; last: %w", timedOut(ctx.Err()), missing(err))
		}
		wait = min(2*wait, openWaitMax)
	}
}

func (s stream) ensureOnce(ctx context.Context, w wanted) (streamInfo, error) {
	in, err := s.tryInfo(ctx)
	if isAPI(err, codeNoStream) {
		in, err = s.create(ctx, w)
	}
	if err != nil {
		return streamInfo{}, err
	}
	return in, w.verify(in.Config)
}

// tryInfo gives up early: while a leader is being elected nobody answers.
func (s stream) tryInfo(ctx context.Context) (streamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTry)
	defer cancel()
	return s.info(ctx)
}

// create makes the stream with as many replicas as wanted, or as possible. If
// another node was faster with another number, the next round finds its stream.
func (s stream) create(ctx context.Context, w wanted) (in streamInfo, err error) {
	for _, replicas := range replicaChoices(w.replicas) {
		w.config.Replicas, in = replicas, streamInfo{}
		try, cancel := context.WithTimeout(ctx, openTry)
		err = s.c.api(try, "STREAM.CREATE."+s.name, w.config, &in)
		cancel()
		if !isAPI(err, codeNoPeers, codeNotClustered) {
			break
		}
	}
	return in, err
}

// replicaChoices lists the replicas to try, best first.
func replicaChoices(wanted int) []int {
	if wanted > 0 {
		return []int{wanted}
	}
	return []int{3, 2, 1}
}

// grow raises the replicas of an existing stream as far as wanted and possible,
// never lowers them, and leaves every other setting as it is.
func (s stream) grow(ctx context.Context, wanted int) (replicas int, err error) {
	in, err := s.tryInfo(ctx)
	if err != nil {
		return 0, err
	}
	have, err := in.replicas()
	if err != nil {
		return 0, err
	}
	var config map[string]json.RawMessage
	if err := json.Unmarshal(in.Config, &config); err != nil {
		return 0, asUnknown(fmt.Errorf("config of stream %s cannot be read: %w", s.name, err))
	}
	if in.Cluster.Name == "" { // a single server
		return have, nil
	}
	for _, n := range replicaChoices(wanted) {
		if n <= have {
			break
		}
		config["num_replicas"] = json.RawMessage(fmt.Sprint(n))
		try, cancel := context.WithTimeout(ctx, openTry)
		err := s.c.api(try, "STREAM.UPDATE."+s.name, config, nil)
		cancel()
		switch {
		case err == nil:
			return n, nil
		case !isAPI(err, codeNoPeers):
			return have, err
		}
	}
	return have, nil
}

// replicas is how many replicas the stream is configured to have.
func (in streamInfo) replicas() (int, error) {
	var have struct {
		Replicas int `json:"num_replicas"`
	}
	if err := json.Unmarshal(in.Config, &have); err != nil {
		return 0, asUnknown(fmt.Errorf("config of the stream cannot be read: %w", err))
	}
	return have.Replicas, nil
}

// hopeless says that trying again cannot help.
func hopeless(err error) bool {
	_, isDenied := errors.AsType[*denied](err)
	return errors.Is(err, pluginapi.ErrInvalid) || errors.Is(err, ErrClosed) || isDenied ||
		isAPI(err, codeOverlap, codeInvalidConfig, codeNotClustered)
}

// missing adds to an error of JetStream what is missing and how to mend it.
func missing(err error) error {
	switch {
	case errors.Is(err, ErrNoResponders), isAPI(err, codeNotEnabled):
		return fmt.Errorf("no JetStream: turn it on at the NATS servers (jetstream {} in their config, or -js): %w", err)
	case isAPI(err, codeNotForAccount):
		return fmt.Errorf("JetStream is not enabled for this account: enable it at the NATS servers: %w", err)
	case isAPI(err, codeNoPeers, codeNotClustered):
		return fmt.Errorf("not enough servers with JetStream for the replicas: start more servers or ask for fewer replicas: %w", err)
	case isAPI(err, codeOverlap):
		return fmt.Errorf("another stream takes these subjects: delete it, or choose another platform name: %w", err)
	}
	return err
}
