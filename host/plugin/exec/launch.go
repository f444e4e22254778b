package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ozanturksever/go-cluster/pluginapi"
	"github.com/ozanturksever/go-cluster/pluginapi/frame"
	"github.com/ozanturksever/go-cluster/pluginapi/wire"
)

// process is one process of an instance, from its start to its burial.
type process struct {
	instance *Instance
	client   *goplugin.Client
	conn     *grpc.ClientConn
	run      *child
	calls    sync.WaitGroup // what runs for its calls
	held     any            // by whoever has the guest for himself
	probing  atomic.Bool

	mu      sync.Mutex
	verdict error // why we end it; nil while we do not
	buried  bool  // it takes no calls
}

// launch starts a process, connects to it, and gives it its configuration.
// Nothing of it is left after an error.
func (i *Instance) launch(life context.Context) (*process, error) {
	if err := i.verify(); err != nil {
		return nil, err
	}
	p := &process{instance: i}
	sockets, err := i.runtime.socketDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if p.conn == nil { // else it is removed when the process is buried
			os.RemoveAll(sockets)
		}
	}()
	cage, note, err := openCage(i.group, i.artifact.Contract, i.options.Limits, i.runtime.groups)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.note = note
	i.mu.Unlock()
	p.run = newChild(i, cage, sockets)
	p.client = goplugin.NewClient(i.clientConfig(p.run, sockets))
	if err := p.open(life); err != nil {
		err = p.explain(err)
		i.bury(p)
		return nil, err
	}
	return p, nil
}

// clientConfig is what go-plugin needs. It starts processes through the runner
// and hence cannot compare digests itself.
func (i *Instance) clientConfig(run *child, sockets string) *goplugin.ClientConfig {
	sets := map[int]goplugin.PluginSet{}
	for _, v := range versions {
		sets[v] = goplugin.PluginSet{frame.SetName: connector{}}
	}
	limits := i.options.Limits
	return &goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: wire.Version, MagicCookieKey: frame.CookieKey, MagicCookieValue: frame.CookieValue,
		},
		VersionedPlugins: sets,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     i.runtime.cfg.StartTimeout,
		Logger:           hclog.NewNullLogger(), // what matters comes back as an error
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: sockets},
		SyncStdout:       i.log.writer("stdout", run.exited),
		SyncStderr:       i.log.writer("stderr", run.exited),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			run.prepare(cmd.Env, dir)
			return run, nil
		},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(limits.Output)+frame.Overhead), grpc.MaxCallSendMsgSize(int(limits.Input)+frame.Overhead)),
			grpc.WithMaxHeaderListSize(64 << 10),
			grpc.WithDisableRetry(), // nothing is sent twice
			grpc.WithStreamInterceptor(refuseBroker),
			grpc.WithDisableServiceConfig(),
			grpc.WithIdleTimeout(0),
		},
	}
}

// refuseBroker keeps go-plugin from opening the stream of its broker, which
// nobody here uses: each message that a plugin sends there costs the host a
// goroutine or an entry of a map that only grows.
func refuseBroker(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
	if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
		return nil, status.Error(codes.Unimplemented, "there is no broker")
	}
	return open(ctx, d, conn, method, o...)
}

// connector hands out the connection that go-plugin has made.
type connector struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (connector) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host is not a plugin")
}

func (connector) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// open brings a process from its start to its configuration. Whatever go-plugin
// waits for ends when the process does, so a watchdog bounds it all.
func (p *process) open(life context.Context) error {
	timeout := p.instance.runtime.cfg.StartTimeout
	watchdog := time.AfterFunc(timeout, func() {
		p.condemn(fmt.Errorf("%w: %w: it did not get ready within %v", pluginapi.ErrPluginLimit, pluginapi.ErrTimeout, timeout))
	})
	defer watchdog.Stop()
	stop := context.AfterFunc(life, func() { p.condemn(fmt.Errorf("%w: it is given up", pluginapi.ErrPluginDisabled)) })
	defer stop()
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	conn, err := protocol.Dispense(frame.SetName)
	if err != nil {
		return err
	}
	p.conn = conn.(*grpc.ClientConn)
	if watchdog.Stop(); p.condemned() {
		return p.why()
	}
	return p.configure(life)
}

// configure asks the plugin what it is and gives it its configuration.
func (p *process) configure(life context.Context) error {
	i := p.instance
	out, err := p.call(life, wire.OpDescribe, nil)
	if err != nil {
		return fmt.Errorf("ask what it is: %w", err)
	}
	var d wire.Description
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("ask what it is: %w: %w", pluginapi.ErrPluginProtocol, err)
	}
	if d.Contract != i.artifact.Contract {
		return fmt.Errorf("%w: it is a plugin for %.40q, not for %s", pluginapi.ErrPluginProtocol, d.Contract, i.artifact.Contract)
	}
	_, err = p.call(life, wire.OpConfigure, i.options.Configure.Append(nil))
	if err != nil && !errors.Is(err, pluginapi.ErrNoMethod) {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// explain says why a process could not be opened: what we know is better than
// what go-plugin does.
func (p *process) explain(err error) error {
	var told *wire.Error
	if errors.As(err, &told) {
		return err
	}
	switch flaw := p.run.flaw(); {
	case p.condemned():
		return p.why()
	case flaw == errSilent && p.run.endsSoon():
		return fmt.Errorf("it ended before its handshake: %w", p.why())
	case flaw != nil:
		return fmt.Errorf("%w%s", flaw, p.run.lastWords())
	case p.run.hasExited():
		return errors.Join(p.why(), err)
	}
	return fmt.Errorf("start: %w", err)
}

// condemn kills the process; the first reason is the reason of its end.
func (p *process) condemn(why error) {
	if p.sentence(why) {
		p.run.kill()
	}
}

// sentence says that the process is about to be ended. It returns false when
// that was so already, or it has ended by itself.
func (p *process) sentence(why error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verdict != nil || p.run.hasExited() {
		return false
	}
	p.verdict = why
	return true
}

func (p *process) condemned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.verdict != nil
}

// why says why the process has ended or must end.
func (p *process) why() error {
	p.run.settle()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.verdict != nil {
		return p.verdict
	}
	if p.run.outOfMemory() {
		return fmt.Errorf("%w: %w: it needs more than its %d bytes of memory", pluginapi.ErrPluginLimit, pluginapi.ErrPluginCrashed, p.instance.options.Limits.Memory)
	}
	return fmt.Errorf("%w: %s%s", pluginapi.ErrPluginCrashed, p.run.outcome(), p.run.lastWords())
}

// stop asks the process to end, and kills it when it has not within 2 s or the
// life of the instance.
func (p *process) stop(life context.Context) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		p.client.Kill() // never returns while the process is stopped: then the kill below ends it
	}()
	t := time.NewTimer(stopTimeout)
	defer t.Stop()
	select {
	case <-p.run.exited:
	case <-t.C:
	case <-life.Done():
	}
	p.run.kill()
	p.run.finish()
	<-told
}

// socketDir makes a folder for the socket of one process: in the runtime's own,
// or among the temporary ones when that has too long a name. The path of a socket
// has at most 107 bytes; go-plugin adds 38, and this 17.
func (r *Runtime) socketDir() (string, error) {
	const most = 107 - 38 - 17
	dir := r.cfg.Dir
	if len(dir) > most {
		dir = os.TempDir()
	}
	if len(dir) > most {
		return "", fmt.Errorf("%w: the folder of plugins %s has a path of more than %d bytes, too long for a socket in it: give a shorter one",
			pluginapi.ErrInvalid, r.cfg.Dir, most)
	}
	sockets, err := os.MkdirTemp(dir, "gchost")
	if err != nil {
		return "", fmt.Errorf("make folder for socket: %w", err)
	}
	return sockets, nil
}

// env is the environment of a process: what the runtime was told to give, what
// go-plugin needs, the mark.
func (i *Instance) env(ofPlugin []string) []string {
	env := append([]string{}, i.runtime.cfg.Env...)
	return append(append(env, ofPlugin...), i.mark)
}

// name is what a process is called in lists of processes.
func (i *Instance) name() string { return filepath.Base(i.binary()) }
