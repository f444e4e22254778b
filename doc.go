// Package cluster makes a service that runs on one machine highly available on
// several: it elects one leader for each app, starts the app's backend there,
// and moves it when the leader's machine, process or link fails. Coordination
// rides on NATS JetStream, embedded in the process or outside of it.
//
// # Leadership
//
// Each node keeps one lease for everything it owns. A leadership carries an
// epoch, a number that rises with each change of owner and never goes down. A
// leader compares its lease's deadline with a clock that counts suspend at the
// moment of use, so that a process that was paused finds out before it acts.
//
// docs/GUARANTEES.md lists what is promised, in figures, with the test that
// holds each promise; RATIONALE.md says why it is built this way.
package cluster
