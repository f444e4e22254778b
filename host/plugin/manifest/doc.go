// Package manifest is what a plugin says of itself in its plugin.yaml, the
// signature over that, and the package that holds both together with the
// plugin's file.
//
// The signature covers the manifest, and the manifest covers the file by its
// digest and size: whoever trusts the key trusts the file, its capabilities and
// its limits. A package is a tar with exactly plugin.yaml, plugin.sig and the
// file, in this order, or a folder that has them.
//
// What is signed is the canonical form of the manifest, see [Manifest.Canonical].
package manifest
