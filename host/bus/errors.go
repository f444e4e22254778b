package bus

import "github.com/ozanturksever/go-cluster/pluginapi"

// The outcomes of a request that did not succeed. ErrRefused and ErrUnknown
// exclude each other; whoever changes something by a request must treat every
// error that is neither ErrRefused nor ErrConflict as ErrUnknown.
const (
	// ErrConflict: the record is not at the sequence that was expected, or
	// another change of it is being stored at this moment. It is the word of the
	// server that answered first: one that led, was frozen and does not know yet
	// may refuse what the one that leads now is storing. So it is read again
	// before anything follows from it; see RATIONALE.md, "Why is a conflict no
	// proof that nothing was written?".
	ErrConflict = pluginapi.ErrConflict
	// ErrUnknown: the request was sent and no answer came (time ran out, the
	// connection was lost). It may have been done, and may still be done.
	ErrUnknown = pluginapi.ErrUnknownOutcome
	// ErrRefused: certainly not done. Not connected, nobody answers, no such
	// stream, no permission, or an answer that says why not.
	ErrRefused pluginapi.Error = "refused"
	// ErrNoResponders: nobody listens to the subject of the request at this
	// moment. It always comes together with ErrRefused.
	ErrNoResponders = pluginapi.ErrUnreachable
	// ErrClosed: the connection was closed by Close.
	ErrClosed pluginapi.Error = "connection closed"
	// ErrReplaced: the stream is not the one that was opened: it was deleted and
	// created again, so its sequences mean nothing any more.
	ErrReplaced pluginapi.Error = "stream was replaced"
	// ErrBlobNotFound: no blob has this name.
	ErrBlobNotFound pluginapi.Error = "blob not found"
)
