// Package policy holds the placement that is built in. It decides where no
// plugin does, and where one fails.
package policy
