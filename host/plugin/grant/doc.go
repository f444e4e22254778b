// Package grant is what a plugin reaches of its host: it checks every request
// against what the plugin's manifest asks for and what the operator grants, and
// hands it to the service that answers it.
//
// A plugin may do what both sets allow and nothing else; see package capability
// for what they say. Everything in a request is hostile until it is checked: its
// bytes, names, sizes, times and URLs.
package grant
