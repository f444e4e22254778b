// Empty. The compiler accepts functions without a body, which go:linkname binds
// to a body elsewhere, only in a package that has an assembly file.
