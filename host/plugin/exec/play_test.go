//go:build unix

package exec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ozanturksever/go-cluster/host/plugin"
	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/plugintest/reference"
	"github.com/ozanturksever/go-cluster/pluginapi/serve"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// play plays a plugin's part, or a host's.
func play(part string) int {
	switch part {
	case "actor":
		serve.Operations(act)
		return 0
	case "noise": // prints before it serves
		fmt.Println("starting up ...")
		serve.Operations(act)
		return 0
	case "line": // prints a line without an end
		os.Stdout.Write(bytes.Repeat([]byte("x"), 1<<20))
		return 0
	case "mute": // never gets to its handshake
		<-time.After(time.Hour)
	case "quit": // ends before it
		fmt.Fprintln(os.Stderr, "cannot open the shop")
		return 3
	case "backend":
		serve.Backend(serve.About{Name: "b", Version: "1.0.0"}, func(wire.Configure) (pluginapi.Backend, error) {
			return nil, fmt.Errorf("never asked for")
		})
		return 0
	case "picky":
		serve.Hook(serve.About{Name: "picky", Version: "1.0.0"}, func(c wire.Configure) (pluginapi.Hook, error) {
			return nil, fmt.Errorf("%w: word %s is not polite", pluginapi.ErrInvalid, c.Config)
		})
		return 0
	case "reference policy", "reference hook", "reference backend":
		playReference(part)
		return 0
	case "flooding broker":
		serveBrokerFlood()
		return 0
	case "version9":
		serveVersion(9)
		return 0
	case "host":
		return playHost()
	}
	if line, ok := strings.CutPrefix(part, "says "); ok { // any handshake
		fmt.Println(strings.ReplaceAll(line, "DIR", os.Getenv("PLUGIN_UNIX_SOCKET_DIR")))
		<-time.After(time.Hour)
	}
	return 99
}

// serveVersion is a plugin of another version of the ABI.
func serveVersion(v int) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: frame.CookieKey, MagicCookieValue: frame.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{v: {frame.SetName: otherSet{}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}

type otherSet struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (otherSet) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (otherSet) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// act does what a test asks for, good and bad.
func act(ctx context.Context, op string, in []byte) ([]byte, error) {
	switch op {
	case wire.OpDescribe:
		d := wire.Description{Contract: wire.ContractHook, Name: "actor", Version: "1.0.0"}
		return d.Append(nil), nil
	case wire.OpConfigure:
		return nil, os.WriteFile("configured", in, 0o600) // in its own folder: a mark of this process
	case "configured":
		return os.ReadFile("configured")
	case "echo":
		return in, nil
	case "pid":
		return []byte(strconv.Itoa(os.Getpid())), nil
	case "env":
		return []byte(strings.Join(os.Environ(), "\n")), nil
	case "exit":
		fmt.Fprintln(os.Stderr, "last words of mine")
		os.Exit(7)
	case "panic":
		panic("oh no")
	case "fail":
		return nil, &wire.Error{Code: string(in), Text: "because", Retry: true}
	case "wait": // until it is given up
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "gave up waiting")
		return nil, ctx.Err()
	case "hang":
		<-make(chan int)
	case "deadline":
		end, ok := ctx.Deadline()
		return fmt.Appendf(nil, "%v %v", ok, time.Until(end).Milliseconds()), nil
	case "big":
		n, err := strconv.Atoi(string(in))
		return bytes.Repeat([]byte("b"), n), err
	case "ask":
		host, arg, _ := bytes.Cut(in, []byte(" "))
		return serve.HostOf(ctx).Call(ctx, string(host), arg)
	}
	return actOutside(ctx, op, in)
}

// actOutside does what is seen outside of its own process.
func actOutside(ctx context.Context, op string, in []byte) ([]byte, error) {
	switch op {
	case "askmany":
		n, err := strconv.Atoi(string(in))
		for range n {
			if _, err := serve.HostOf(ctx).Call(ctx, "echo", nil); err != nil {
				return nil, err
			}
		}
		return nil, err
	case "fork": // children in a session of their own, with and without its pipes
		for _, quiet := range []bool{true, false} {
			cmd := exec.Command("sh", "-c", "sleep 1000 & sleep 1001")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if !quiet {
				cmd.Stdout, cmd.Stderr = os.Stdout, os.NewFile(2, "stderr")
			}
			if err := cmd.Start(); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "log":
		slog.Warn(string(in), "number", 7, "list", []int{1, 2})
		return nil, nil
	case "print": // to what was stdout, and to what is now
		fmt.Fprintln(os.Stdout, string(in))
		fmt.Fprintln(os.Stderr, string(in))
		_, err := fmt.Fprintln(os.NewFile(1, "stdout"), string(in))
		return nil, err
	case "stderr":
		_, err := os.NewFile(2, "stderr").Write(in)
		return nil, err
	case "flood":
		go func() {
			line := append(bytes.Repeat([]byte("f"), 1000), '\n')
			for f := os.NewFile(2, "stderr"); ; {
				if _, err := f.Write(line); err != nil {
					return
				}
			}
		}()
		return nil, nil
	}
	return nil, fmt.Errorf("%w: %q", pluginapi.ErrNoMethod, op)
}

// playHost is a host that loads an actor which forks, says so and waits.
func playHost() int {
	cfg := Config{
		Dir: os.Getenv("GCTEST_DIR"), Platform: "test", Node: "n1", StartTimeout: longTime,
		Env: []string{partVar + "=actor", "GCTEST_MARK=" + os.Getenv("GCTEST_MARK_CHILD"), "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")},
	}
	i, err := hostLoad(cfg)
	if err == nil {
		_, err = i.Call(context.Background(), "fork", nil)
	}
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("ready")
	<-time.After(time.Hour)
	return 0
}

func hostLoad(cfg Config) (*Instance, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return nil, err
	}
	a := plugin.Artifact{Name: "actor", Contract: wire.ContractHook, Path: exe, Digest: sha256.Sum256(b)}
	o := plugin.Options{Limits: plugin.Limits{Memory: 1 << 42, Tasks: 10000, CPU: 16, Call: longTime}}
	in, err := New(cfg).Load(context.Background(), a, o)
	if err != nil {
		return nil, err
	}
	return in.(*Instance), nil
}

// playReference is a plugin whose every answer is known.
func playReference(part string) {
	switch part {
	case "reference policy":
		d := reference.AboutPolicy()
		serve.Policy(serve.About{Name: d.Name, Version: d.Version}, func(wire.Configure) (pluginapi.Policy, error) { return reference.Policy{}, nil })
	case "reference hook":
		d := reference.AboutHook()
		var kinds []pluginapi.HookKind
		for _, e := range d.Events {
			kinds = append(kinds, pluginapi.HookKind(e))
		}
		serve.Hook(serve.About{Name: d.Name, Version: d.Version}, func(wire.Configure) (pluginapi.Hook, error) { return reference.Hook{}, nil }, kinds...)
	case "reference backend":
		d := reference.AboutBackend()
		serve.Backend(serve.About{Name: d.Name, Version: d.Version}, func(wire.Configure) (pluginapi.Backend, error) { return reference.NewBackend(), nil })
	}
}

// serveBrokerFlood is an actor whose go-plugin broker sends without end: every
// other message makes an entry that stays, the rest a goroutine for 5 s.
func serveBrokerFlood() {
	flood := func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if info.FullMethod != "/plugin.GRPCBroker/StartStream" {
			return next(srv, s)
		}
		for n := uint64(1); ; n++ {
			m := &emptypb.Empty{}
			b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n) // ConnInfo.service_id
			m.ProtoReflect().SetUnknown(b)
			if err := s.SendMsg(m); err != nil {
				return err
			}
		}
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: frame.CookieKey, MagicCookieValue: frame.CookieValue},
		VersionedPlugins: map[int]goplugin.PluginSet{wire.Version: {frame.SetName: otherSet{}}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(o, grpc.StreamInterceptor(flood), grpc.ForceServerCodecV2(frame.Codec{}))...)
			desc := frame.StreamDesc()
			desc.Handler = func(_ any, s grpc.ServerStream) error {
				var f frame.Frame
				if err := s.RecvMsg(&f); err != nil {
					return err
				}
				out, err := act(s.Context(), f.Op, f.Body)
				if err != nil {
					return err
				}
				return s.SendMsg(&frame.Frame{Kind: frame.Answer, Body: out})
			}
			s.RegisterService(&grpc.ServiceDesc{ServiceName: frame.ServiceName, Streams: []grpc.StreamDesc{*desc}}, nil)
			return s
		},
	})
}
