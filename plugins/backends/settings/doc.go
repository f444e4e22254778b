// Package settings reads what the configurations of the backend plugins have in
// common: strict JSON, times with their units, restarts, environments.
package settings
