// Package observe shows a node to people and machines over HTTP: whether it is
// alive and ready, what it knows of the platform, and figures for Prometheus.
// It reads; it decides and changes nothing.
package observe
