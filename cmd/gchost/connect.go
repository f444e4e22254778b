package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/host/bus"
	"github.com/ozanturksever/go-cluster/host/control"
	"github.com/ozanturksever/go-cluster/pluginapi"
)

// How long a command tries to connect to a NATS, and to the host of its own
// machine, and to say good-bye.
const (
	connectTimeout = 3 * time.Second
	localTimeout   = time.Second
	ownTimeout     = 2 * time.Second // for the host of this machine to answer
	closeTimeout   = time.Second
)

// connect is the dialer of the real program: it goes to the NATS that the
// configuration names, or to the server of the host of this machine.
func connect(ctx context.Context, cfg Config, origins Origins) (conversation, error) {
	where, err := address(cfg, origins)
	if err != nil {
		return nil, err
	}
	names, err := bus.NewNames(where.platform)
	if err != nil {
		return nil, err
	}
	conn, err := bus.Dial(ctx, where.bus)
	if err != nil {
		if !errors.Is(err, pluginapi.ErrInvalid) {
			err = fmt.Errorf("%w: %w", control.ErrUnreachable, err)
		}
		return nil, err
	}
	return &busConversation{conn, names, where.node}, nil
}

// target is where a platform is, and what it is called.
type target struct {
	bus            bus.Config
	platform, node string // node is that of this machine; "" with an existing NATS
}

// address finds the platform.
func address(cfg Config, origins Origins) (target, error) {
	out := bus.Config{Name: "gchost command", ConnectTimeout: connectTimeout}
	if cfg.External() {
		n := cfg.NATS
		for u := range strings.SplitSeq(n.URL, ",") {
			out.URLs = append(out.URLs, strings.TrimSpace(u))
		}
		out.Auth = bus.Auth{CredsFile: n.Creds, NKeyFile: n.NKey, User: n.User, Password: n.Password.Reveal(), Token: n.Token.Reveal(), TLS: bus.TLS(n.TLS)}
		return target{out, cfg.Platform, ""}, nil
	}
	f, err := readCLIFile(cfg.DataDir)
	if err != nil {
		return target{}, err
	}
	if given := origins.Of("platform"); given != (Origin{}) && cfg.Platform != f.Platform {
		return target{}, Faults{{Where: given.Where, Key: "platform", Text: fmt.Sprintf("is %s, but the host with the data folder %s is of platform %s: correct one of them", cfg.Platform, cfg.DataDir, f.Platform)}}
	}
	out.URLs, out.InboxPrefix = f.URLs, f.InboxPrefix
	if len(f.URLs) == 1 { // else the first may be of a machine that is lost
		out.ConnectTimeout = localTimeout
	}
	out.Auth = bus.Auth{User: f.User, Password: f.Password, TLS: bus.TLS(f.TLS)}
	return target{out, f.Platform, f.Node}, nil
}

// busConversation asks over NATS.
type busConversation struct {
	conn  *bus.Conn
	names bus.Names
	own   string // the node of this machine, "" when there is none
}

// Request implements control.Requester. What any node may answer is asked of the
// one of this machine first.
func (b *busConversation) Request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	if node == "" && b.own != "" {
		first, cancel := context.WithTimeout(ctx, ownTimeout)
		defer cancel()
		if answer, err := b.request(first, b.own, verb, data); err == nil || ctx.Err() != nil {
			return answer, err
		}
	}
	return b.request(ctx, node, verb, data)
}

func (b *busConversation) request(ctx context.Context, node, verb string, data []byte) ([]byte, error) {
	subject := b.names.ControlAny(verb)
	if node != "" {
		subject = b.names.ControlNode(node, verb)
	}
	answer, err := b.conn.Request(ctx, subject, data)
	if errors.Is(err, bus.ErrRefused) {
		return nil, fmt.Errorf("%w: %w", control.ErrUnreachable, err)
	}
	return answer, err
}

// Close ends the connection.
func (b *busConversation) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return b.conn.Close(ctx)
}
