//go:build mutant

package election

// Mutant names the planted defect that is switched on. The simulator must find
// each of them: a check that cannot fail proves nothing.
var Mutant string

// The planted defects.
const (
	MutantFromReply  = "lease counted from the reply"
	MutantCachedFlag = "a cached flag guards an effect"
	MutantNoRevoke   = "takeover without revoking"
	MutantNoMargin   = "no clock margin"
)

func mutated(name string) bool { return Mutant == name }
