package catalog

// Use says for what a plugin is used.
type Use struct {
	App    string // "": the platform
	Config []byte // JSON; nil: the manifest's default
}
