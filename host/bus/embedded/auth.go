package embedded

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// The accounts that every server has. No login leads to the system account; the
// server itself uses it.
const (
	systemAccount = "SYS"
	appAccount    = "APP"
)

// gate checks logins and gives each the rights of its role.
//
// Guards, command lines and the services of apps are guests: they live in
// accounts of their own, a guard in one for its id and a service in one for its
// app, that import a few subjects of the app account.
// Permissions alone would not hold them. A server checks the subject of a
// message, not the subject for its reply, and answers as itself: with the
// session of another node for the reply, the answer to a harmless request
// would be stored as that session. Across accounts, the answer comes back to
// the guest's account, where that subject leads nowhere.
type gate struct {
	secret string
	names  bus.Names
	srv    *server.Server // set before the server starts
	log    *slog.Logger

	mu     sync.Mutex
	guests map[string]*server.Account
}

// open gives the gate its server, and makes the exports of the app account.
func (g *gate) open(srv *server.Server) error {
	app, err := srv.LookupAccount(appAccount)
	if err != nil {
		return fmt.Errorf("look up account %s: %w", appAccount, err)
	}
	sessions := g.names.Sessions()
	for _, subject := range []string{sessions.Subject + ".*", "$JS.API.STREAM.MSG.GET." + sessions.Stream, g.names.Hint("gone")} {
		if err := app.AddServiceExport(subject, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
	}
	// A control request, or a call, may be answered by several messages.
	for _, subject := range append(g.control(), g.names.AnyCall()) {
		if err := app.AddServiceExportWithResponse(subject, server.Streamed, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
	}
	g.srv, g.guests = srv, map[string]*server.Account{appAccount: app}
	return nil
}

// Check is called by the server for each connection, also for those in the
// process.
func (g *gate) Check(c server.ClientAuthentication) bool {
	if c.Kind() != server.CLIENT || c.GetOpts() == nil {
		return false
	}
	user, password := c.GetOpts().Username, c.GetOpts().Password
	role, id, found := strings.Cut(user, ".")
	if !found || pluginapi.CheckName("login", id) != nil {
		return false
	}
	r, known := g.rights(bus.Role(role), id)
	if !known {
		return false
	}
	want := bus.Password(g.secret, user)
	if subtle.ConstantTimeCompare([]byte(password), []byte(want)) != 1 {
		return false
	}
	account, err := g.account(r)
	if err != nil {
		g.log.Error("login to the embedded server", "user", user, "err", err)
		return false
	}
	c.RegisterUser(&server.User{Username: user, Account: account, Permissions: r.permissions})
	return true
}

// account finds an account, or makes it with its imports.
func (g *gate) account(r rights) (*server.Account, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.guests[r.account]; a != nil {
		return a, nil
	}
	a, _ := g.srv.LookupOrRegisterAccount(r.account)
	if a == nil {
		return nil, fmt.Errorf("register account %s: the server refused it", r.account)
	}
	if err := r.reach(g.guests[appAccount], a); err != nil {
		return nil, err
	}
	g.guests[r.account] = a
	return a, nil
}
