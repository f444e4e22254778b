// Package segment is the message in which a primary tells its standbys what has
// changed in a database: the pages of one or more whole transactions, as byte
// ranges that differ from the version before, with the checksum of the whole
// database before and after. FORMAT.md says every byte.
//
// A change too large for one message is cut into parts, see [Encode] and
// [Assembler]; one too large for a batch of messages is stored as chunks first
// and told by one small message that names them, see [Chunked].
//
// Everything that is decoded may come from anywhere: every length is checked
// before it is used, and a message is accepted as a whole or not at all.
package segment
