package frame

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// The handshake of a plugin binary. The cookie is no secret: it keeps a person
// from running a plugin by hand.
const (
	CookieKey   = "GCHOST_PLUGIN_COOKIE"
	CookieValue = "gchost-plugin-7d0f3b6e"
	SetName     = "gchost" // under which a plugin offers the service
)

// The gRPC names of the service.
const (
	ServiceName = "gchost.plugin.v1.Plugin"
	MethodCall  = "/" + ServiceName + "/Call"
)

// MaxMessage is the longest frame that a plugin takes, in bytes. The host's own
// limits are lower.
const MaxMessage = 64<<20 + Overhead

// StreamDesc describes [MethodCall] to gRPC.
func StreamDesc() *grpc.StreamDesc {
	return &grpc.StreamDesc{StreamName: "Call", ServerStreams: true, ClientStreams: true}
}

// Codec codes frames for gRPC, and leaves everything else to protobuf's codec.
// Its content is protobuf too: who generates code from the words of the package
// documentation speaks with it.
type Codec struct{}

// Name is the codec's name in the content type.
func (Codec) Name() string { return "proto" }

// Marshal encodes a *Frame.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*Frame); ok {
		b := f.Append(make([]byte, 0, len(f.Body)+len(f.Op)+32))
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	other := encoding.GetCodecV2("proto")
	if other == nil {
		return nil, fmt.Errorf("encode %T: gRPC has no codec for it", v)
	}
	return other.Marshal(v)
}

// Unmarshal decodes a *Frame from a copy of the data: it is the caller's own.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*Frame); ok {
		return f.Decode(data.Materialize())
	}
	other := encoding.GetCodecV2("proto")
	if other == nil {
		return fmt.Errorf("decode %T: gRPC has no codec for it", v)
	}
	return other.Unmarshal(data, v)
}

var _ encoding.CodecV2 = Codec{}
