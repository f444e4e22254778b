// Package backend holds the backends that are compiled in: [ProcessBackend] runs
// a program as a child of the host, [DockerBackend] a container, [SystemdBackend]
// a unit of systemd.
//
// A service is not its main process but everything that the main process
// started. So each service lives in a cage: on Linux a control group (cgroup
// v2) into which children are cloned directly, elsewhere a process group. What
// is in the cage can be killed as a whole, also by a guard that knows nothing
// but the cage's name, and a cage that a guard has removed takes no children
// any more: a host that was frozen and thaws cannot start the service again.
//
// The parts, from the outside in:
//
//	ProcessBackend  the user's face: Start, Stop, Health
//	run             one service from its start to its end; its goroutine is the supervisor
//	child           one main process, its output and its readiness checks
//	cage            what holds all processes of a service
//	output          lines from the child's pipes to the log file and the handler
//
// A container and a unit are run by somebody else, who goes on when the host is
// dead and would restart them. Both have the same supervisor, the keeper: who
// runs the service is told never to start it by himself, each start is under a
// lease that holds before and after it, and what was told to systemd or an engine
// is looked at again, not believed. Their processes carry the instance's mark in
// their environment, so that a guard finds them whoever started them.
//
//	DockerBackend, SystemdBackend   the user's faces
//	keeper                          start, stop and restart, one at a time
//	vigil                           the keeper's watch over a service that was started
//	container, unit                 what the keeper asks: up, down, look, watch
//	engine                          a room below: the client of the Docker Engine API
package backend
