// Package backend holds the backends that are compiled in. Today this is one:
// [ProcessBackend] runs a program as a child of the host.
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
package backend
