package plugin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

func TestFaultIsTheSentinelOfItsCode(t *testing.T) {
	for _, s := range pluginapi.Sentinels() {
		m := Refusal(fmt.Errorf("put key: %w", s))
		err := DecodeFault(m.Append(nil))
		if !errors.Is(err, s) || !strings.Contains(err.Error(), "put key") {
			t.Errorf("%q became %v", s, err)
		}
	}
	own := wire.Error{Code: "disk is full", Text: "on /data", Retry: true}
	err := DecodeFault(own.Append(nil))
	var f *Fault
	if !errors.As(err, &f) || !f.Retry || err.Error() != "disk is full: on /data" || errors.Unwrap(err) != nil {
		t.Errorf("a word of the plugin's own became %#v", err)
	}
}

func TestFaultOfAnythingIsAnError(t *testing.T) {
	if err := DecodeFault([]byte{0xff}); !errors.Is(err, pluginapi.ErrPluginProtocol) {
		t.Errorf("garbage: %v", err)
	}
	if err := DecodeFault(nil); err == nil || err.Error() == "" {
		t.Errorf("nothing: %v", err)
	}
	long := wire.Error{Code: string(pluginapi.ErrBusy), Text: strings.Repeat("ä", 1<<20)}
	err := DecodeFault(long.Append(nil))
	if n := len(err.Error()); n > 2*maxFault || !utf8.ValidString(err.Error()) {
		t.Errorf("the error has %d bytes", n)
	}
}
