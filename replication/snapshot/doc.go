// Package snapshot keeps whole databases: in chunks of 64 KiB that are stored
// once under the digest of their content, and a manifest that lists them and
// says which position of the app's feed the database is at. A snapshot of a
// database that has changed little stores little. Memory is bounded by the
// number of chunks on their way, whatever the size of the database.
//
// Chunks that no manifest names are swept. A manifest that is deleted stays for
// [Grace] with a mark, and its chunks with it: a snapshot that is being taken may
// count on chunks of the manifest that it was told is the last one, as long as it
// takes less than that.
package snapshot
