//go:build !linux

package backend

import "errors"

func sweepMark(string) error {
	return errors.New("find processes by their mark: only Linux can")
}
