// Package extend lets an app use plugins: as hooks, as its backend, as the
// policy that ranks the nodes for it. A plugin may come, change and go while the
// node runs; each use looks for the present version when it is needed, and what
// it does when there is none is a matter of the rules of package failure.
package extend
