// Package recording writes down what policies are asked on a platform, so that
// another policy can be asked the same later.
//
// A recording is a text of JSON documents, one a line:
//
//	{"time_ms": 1750000000000, "table": {"epoch": 7, "candidates": [...]}, "apps": [{"name": "shop", ...}]}
//
// time_ms is when it was asked, apps are what was to be placed, table is what was
// known of the nodes; without a table it is that of the line before. Keys are
// those of pluginapi.Table and pluginapi.AppSpec.
package recording
