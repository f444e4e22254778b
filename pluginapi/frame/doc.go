// Package frame is what the host and a plugin binary have in common below the
// messages of package wire: the handshake, the one gRPC service, and the frames
// in which a call, its answer, and what the plugin asks of its host meanwhile
// travel.
//
// Each call is one stream of the method [MethodCall], in the words of
// protobuf:
//
//	service Plugin { rpc Call(stream Frame) returns (stream Frame); }
//	message Frame {
//	  uint32 kind = 1;       // 1 call, 2 answer, 3 failure, 4 ask, 5 reply, 6 refusal
//	  string op = 2;         // call, ask: the operation
//	  bytes body = 3;        // a message of package wire; of failure and refusal: wire.Error
//	  uint64 timeout_ms = 4; // call: what the plugin has for it; 0: not bounded
//	}
//
// The host sends a call. The plugin sends any number of asks, one at a time,
// and waits for the reply or the refusal of each; its last frame is an answer or
// a failure. When the host closes its side of the stream the call is given up:
// nobody waits for its answer any more.
package frame
