// Package chaos holds the tests with real faults: gchost hosts and nodes that
// use the library, as processes of their own with real NATS servers, in network
// namespaces. Links are cut, processes are frozen and killed, servers vanish.
//
// What a service does is written to a journal outside of the platform, one line
// every 2 ms, with the clock that all processes of the machine share. A checker
// reads it afterwards: of one app no two nodes may ever have acted at the same
// time, and epochs never go down. Each fault is verified by a probe, because a
// fault that did not happen proves nothing.
//
// A service that writes a database has a ledger of another kind: the rows that a
// barrier has made safe. After each fault they must all be there, in copies that
// are the same and whole.
//
// Clients inside of library nodes take locks and handle events, and write what
// they know of that to the same journal. The histories of locks are judged by
// porcupine, with every end that nobody knows left open.
//
// There is no fault "wrong wall clock" here: the wall clock of one process
// cannot be set apart from the machine's. Package host/sim makes it jump.
//
// The tests need Linux, root, network namespaces, nft and a cgroup v2, and skip
// with the reason where one of these is missing. CHAOS=long makes them take
// longer: more kills, longer outages.
package chaos
