package sdk

import (
	"errors"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// What the host's answers can be told apart by, with errors.Is.
const (
	ErrKeyNotFound = pluginapi.ErrKeyNotFound
	ErrNotGranted  = pluginapi.ErrNotGranted // the capability is not in the manifest, or the operator has not granted it
	ErrTimeout     = pluginapi.ErrTimeout
	ErrInvalid     = pluginapi.ErrInvalid
	ErrRejected    = pluginapi.ErrRejected
)

// Reject is a plugin's no: for MigrationStart a veto.
func Reject(why string) error { return Fail(string(pluginapi.ErrRejected), why) }

// Fail is an error with a code of the plugin's own, by which the other side can
// tell it from others.
func Fail(code, text string) error { return &wire.Error{Code: code, Text: text} }

// Retry is an error that says that trying again may help. It keeps the code of
// err.
func Retry(err error) error {
	m := wire.FailureOf(err)
	m.Retry = true
	return &m
}

// MayRetry says whether an error of the host says that trying again may help.
func MayRetry(err error) bool {
	var m *wire.Error
	return errors.As(err, &m) && m.Retry
}
