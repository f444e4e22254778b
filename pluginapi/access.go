package pluginapi

import "context"

// Access is how the service of an app reaches the data of its app, and the calls
// of others, in the platform's own NATS. Where somebody else runs NATS there is
// none.
type Access struct {
	URLs           []string // of servers, in the order in which to try them
	User, Password string   // a login that is good for this app only
	CA             string   // file with the certificates that sign the servers'; "" without TLS
	Bucket         string   // the app's key-value bucket
}

type accessKey struct{}

// WithAccess returns a context that carries an access. The host gives such a
// context to the Start of a [Backend].
func WithAccess(ctx context.Context, a Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

// AccessFrom returns the access that the context carries, if there is one.
func AccessFrom(ctx context.Context) (a Access, ok bool) {
	a, ok = ctx.Value(accessKey{}).(Access)
	return a, ok
}
