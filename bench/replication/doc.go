// Package replication measures the replication of SQLite databases that a program
// of another language writes (CPython with its own SQLite, in a process of its
// own), beside Litestream, in the same run and in turns. Litestream is the program
// that LITESTREAM names, or that of the path; without it only this platform is
// measured, and that is said.
package replication
