package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Error codes of JetStream that mean something to us.
const (
	codeNoPeers        = 10005 // not enough servers for the replicas
	codeNotAvailable   = 10008 // no leader of the cluster at the moment
	codeNotLeader      = 10009
	codeNoMessage      = 10037
	codeNotForAccount  = 10039
	codeInvalidConfig  = 10052
	codeNameInUse      = 10058
	codeNoStream       = 10059
	codeOverlap        = 10065
	codeWrongSequence  = 10071
	codeNotClustered   = 10074 // replicas > 1 on a single server
	codeNotEnabled     = 10076
	codeStoreFailed    = 10077 // the one that answers could not store it; the others may have
	codeNotReady       = 10163 // a condition cannot be checked at the moment
	codeBusy           = 10167 // too many requests
	codeBatchCut       = 10176 // a part of the batch did not come, or the leader changed: nothing of it is stored
	codeBatchBusy      = 10210 // too many batches at a time
	codeWrongSequence2 = 10164 // the same while another write of the subject is on its way
)

// apiError is an error answer of JetStream.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (JetStream %d)", e.Description, e.ErrCode) }

// isAPI says whether err is an answer of JetStream with one of the codes.
func isAPI(err error, codes ...int) bool {
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if e.ErrCode == code {
			return true
		}
	}
	return false
}

// reply is what every answer of JetStream begins with; answers embed it.
type reply struct {
	Error *apiError `json:"error"`
}

func (r *reply) failure() *apiError { return r.Error }

type answer interface{ failure() *apiError }

// api asks JetStream something and decodes the answer into into, if not nil. An
// error answer is ErrRefused with an *apiError.
func (c *Conn) api(ctx context.Context, verb string, question any, into answer) error {
	var data []byte
	if question != nil {
		var err error
		if data, err = json.Marshal(question); err != nil {
			return fmt.Errorf("encode request %s: %w", verb, err)
		}
	}
	m, err := c.send(ctx, &nats.Msg{Subject: "$JS.API." + verb, Data: data})
	if err != nil {
		return err
	}
	return decode(m.Data, into)
}

// decode reads an answer of JetStream.
func decode(data []byte, into answer) error {
	if into == nil {
		into = &reply{}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return asUnknown(fmt.Errorf("answer is not from JetStream: %w", err))
	}
	if e := into.failure(); e != nil {
		return asRefused(e)
	}
	return nil
}
