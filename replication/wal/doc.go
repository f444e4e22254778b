// Package wal reads the write-ahead log of SQLite and its index from bytes: the
// header, the frames with their salts and chained checksums, commits, restarts.
// It opens no file and takes no lock; who calls it does.
//
// The format is SQLite's own, https://www.sqlite.org/fileformat2.html section 4
// and https://www.sqlite.org/walformat.html.
package wal
