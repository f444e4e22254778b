package bus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Role is what a connection to an embedded server may do.
type Role string

// The roles of connections.
const (
	RoleNode  Role = "node"  // a host: everything of its platform
	RoleGuard Role = "guard" // a guard: release its own node's session
	RoleCLI   Role = "cli"   // gchost's commands: control requests only
	RoleApp   Role = "app"   // the service of the app that the id names: its app's data, and calls
)

// Login derives user and password of a connection from the cluster secret. The
// user is "<role>.<id>", the password HMAC-SHA256(secret, user) in hex: a
// server that knows the secret can check every user without a list of them,
// and one login says nothing about another.
func Login(secret string, role Role, id string) (user, password string) {
	user = string(role) + "." + id
	return user, Password(secret, user)
}

// Password derives the password of a user from the cluster secret.
func Password(secret, user string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil))
}

// InboxPrefix is the prefix of the inboxes that a guard or the command line may
// listen on, and nobody else of its role: [Config].InboxPrefix of its
// connection.
func InboxPrefix(role Role, id string) string { return "_INBOX_" + string(role) + "_" + id }
