package wire

import (
	"strconv"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Flaw is what is wrong with the bytes of a message.
type Flaw string

// The flaws.
const (
	Truncated  Flaw = "it ends in the middle of a field"
	LongVarint Flaw = "a number of more than 64 bits"
	BadTag     Flaw = "a tag with a field number or a wire type that is not allowed"
	NotUTF8    Flaw = "a string that is not UTF-8"
)

// DecodeError says what is wrong with a message, and where.
type DecodeError struct {
	At   int // offset in bytes of the field, or of its value, that is wrong
	Flaw Flaw
}

// Error says it in one line.
func (e *DecodeError) Error() string {
	return "decode message: at byte " + strconv.Itoa(e.At) + ": " + string(e.Flaw)
}

// Unwrap makes it [pluginapi.ErrPluginProtocol].
func (e *DecodeError) Unwrap() error { return pluginapi.ErrPluginProtocol }
