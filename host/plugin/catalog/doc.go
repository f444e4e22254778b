// Package catalog puts plugins on all nodes of a platform.
//
// What is wanted is in the platform's records, packages are in its object
// store, and room plan decides; here it is done. Every node has an agent,
// which fetches what is wanted, verifies it by itself, loads it beside the
// version that runs, and swaps. The controller of the platform carries rollouts
// on. A [Handle] is what the rest of the host holds of a plugin: its calls go to
// whatever version is active.
//
// Nobody but a host writes packages. The command line sends one to a host in
// pieces; the host verifies it as any node would, and only then stores it. No
// node trusts another: each one compares the digest of what it fetched, checks
// signature, capabilities and platform against its own configuration, and does
// so again at each start.
package catalog
