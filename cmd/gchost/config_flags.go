package main

// flagOf is the flag that sets a path.
func flagOf(path string) string {
	switch path {
	case "nats.url":
		return "nats"
	case "data_dir":
		return "data-dir"
	}
	return path
}
