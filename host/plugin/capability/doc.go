// Package capability is the language in which a plugin asks for what it may do
// outside of itself, and in which an operator grants it. Nothing is granted
// that is not written down:
//
//	log                          write to the host's log
//	clock                        the time of the node
//	random                       random bytes
//	kv.read:PREFIX               read keys of the app's bucket
//	kv.write:PREFIX              write and delete keys of it
//	publish:SUBJECT              publish events of the app
//	rpc:APP/METHOD               call a method of an app
//	http:[METHOD,...] HOST[:PORT][/PATH]   one HTTP exchange
//	exec:NAME                    run a command that the operator has defined
//	secret:NAME                  read a secret that the operator has defined
//
// A PREFIX or a PATH that ends with a separator (a dot or a slash) covers
// everything below it, any other only the very same key or path: "app" does not
// cover "app2". "*" alone covers everything. In a SUBJECT "*" is one part and a
// last ">" all further ones, as in NATS. METHOD of rpc may be "*". HOST may be
// "*" or begin with "*." for every name below one. Without a port it is HTTPS
// on port 443; with one, HTTP or HTTPS on that port. Without methods it is GET
// and HEAD.
//
// The package decides only; package grant enforces.
package capability
