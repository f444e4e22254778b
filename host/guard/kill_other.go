//go:build !linux

package guard

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// fencesSupported says that nothing can be killed from outside here.
func fencesSupported() error {
	return fmt.Errorf("fence: %w: control groups and marks are for linux, this is %s", errors.ErrUnsupported, runtime.GOOS)
}

func checkCgroup(string) error { return nil }

func targetsOf([]pluginapi.Fence) []target { return nil }
