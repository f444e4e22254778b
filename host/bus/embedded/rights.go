package embedded

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ozanturksever/go-cluster/host/bus"
)

// rights are what a login may do.
type rights struct {
	account     string
	permissions *server.Permissions
	asks        []string // what a guest's account may publish into the app account
	exports     []string // those of them that the app account does not export for all guests
	hears       []string // what it may subscribe to of the app account; it may not ask the same
}

// guest are the rights of a login that lives in an account of its own: it
// publishes what it asks, and listens to what it hears and to its inboxes.
func guest(account, inbox string, asks, hears []string) rights {
	return rights{account: account, permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: asks},
		Subscribe: &server.SubjectPermission{Allow: append([]string{inbox + ".>"}, hears...)},
	}, asks: asks, hears: hears}
}

// reach lets a guest's account have what its rights name of the app account.
func (r rights) reach(app, guest *server.Account) error {
	for _, subject := range r.exports {
		answers := server.Singleton // the server forgets where to send answers after the first
		if strings.HasPrefix(subject, pulls) {
			answers = server.Streamed
		}
		if err := app.AddServiceExportWithResponse(subject, answers, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
	}
	for _, subject := range r.asks {
		if err := guest.AddServiceImport(app, subject, subject); err != nil {
			return fmt.Errorf("import %s to account %s: %w", subject, r.account, err)
		}
	}
	for _, subject := range r.hears {
		if err := app.AddStreamExport(subject, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
		if err := guest.AddStreamImport(app, subject, ""); err != nil {
			return fmt.Errorf("import %s to account %s: %w", subject, r.account, err)
		}
	}
	return nil
}

// rights are what a role may do on this platform.
func (g *gate) rights(role bus.Role, id string) (r rights, known bool) {
	sessions := g.names.Sessions()
	inbox := bus.InboxPrefix(role, id)
	switch role {
	case bus.RoleNode:
		deny := &server.SubjectPermission{Deny: g.denied()}
		return rights{account: appAccount, permissions: &server.Permissions{Publish: deny}}, true
	case bus.RoleGuard:
		return guest("GUARD_"+id, inbox, []string{
			sessions.Subject + "." + id,
			"$JS.API.STREAM.MSG.GET." + sessions.Stream,
			g.names.Hint("gone"),
		}, nil), true
	case bus.RoleCLI:
		return guest("CLI", inbox, g.control(), nil), true
	case bus.RoleApp:
		app, err := g.names.App(id)
		return g.service(app), err == nil
	}
	return rights{}, false
}

// pulls are the requests of JetStream that several messages answer.
const pulls = "$JS.API.CONSUMER.MSG.NEXT."

// service are the rights of an app's service: the data of its app, and calls to
// any app.
//
// It can make no consumer: that delivers to whatever subject of the app account
// its maker names. It pulls from those that nodes have made for its app.
//
// It cannot subscribe to what it may publish, its app's events: from another
// service of the app they come twice or not at all, as both accounts carry them.
// A name of their own in the service's account does not help: a server hands
// nothing on to an exported stream that came to it by an imported service, so
// what is published on the same server is never heard.
func (g *gate) service(app bus.AppNames) rights {
	bucket := app.Bucket()
	own := []string{
		"$KV." + bucket + ".>",
		"$JS.API.STREAM.INFO.KV_" + bucket,
		"$JS.API.STREAM.MSG.GET.KV_" + bucket,
		"$JS.API.DIRECT.GET.KV_" + bucket,
		"$JS.API.DIRECT.GET.KV_" + bucket + ".>",
		app.Events(bus.EventLive) + ".>",
		app.Events(bus.EventKept) + ".>",
		"$JS.API.STREAM.INFO." + app.EventStream(),
		"$JS.API.STREAM.MSG.GET." + app.EventStream(),
		"$JS.API.CONSUMER.INFO." + app.EventStream() + ".*",
		pulls + app.EventStream() + ".*",
		"$JS.ACK." + app.EventStream() + ".>",
	}
	r := guest("APP_"+app.Name(), "_INBOX", append(own, g.names.AnyCall()), []string{app.KVRepublish() + ".>"})
	r.exports = own
	return r
}

// control are the subjects of all control requests.
func (g *gate) control() []string {
	return []string{g.names.ControlAny(">"), g.names.ControlNode("*", ">")}
}

// denied is what not even a node may publish: what only the streams of records
// themselves say to watchers, and the ways to take a record out of a stream.
// Updating a stream stays allowed: replicas are raised by it.
func (g *gate) denied() (subjects []string) {
	for _, r := range []bus.RecordsConfig{g.names.Sessions(), g.names.Records(), g.names.Locks(), g.names.Plugins()} {
		subjects = append(subjects, r.Republish, r.Republish+".>",
			"$JS.API.STREAM.DELETE."+r.Stream,
			"$JS.API.STREAM.PURGE."+r.Stream,
			"$JS.API.STREAM.RESTORE."+r.Stream,
			"$JS.API.STREAM.MSG.DELETE."+r.Stream)
	}
	return subjects
}
