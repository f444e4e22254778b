// Package control is the conversation between a person's command and a running
// host: the verbs, the documents they carry, and the two ends, [Client] and
// [Serve]. It knows nothing of NATS: a [Requester] carries the bytes.
//
// A request is {"timeout_ms": n, "args": {...}}, an answer is {"ok": ...} or
// {"error": {"code": ..., "message": ...}}. The code of an error is the text of
// a sentinel of package pluginapi, so that errors.Is works on the side that
// asked. Requests are read strictly: an argument that this host does not know
// is refused, not dropped. Answers are read leniently: a newer host may say
// more than an older command understands.
package control
