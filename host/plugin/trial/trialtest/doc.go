// Package trialtest builds the plugins of this house for their tests, and puts
// them on trial.
package trialtest
