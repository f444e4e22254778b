//go:build unix

package wasm

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// foreignOwner is the user id of a file that does not belong to this user.
func foreignOwner(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int64(stat.Uid) != int64(os.Geteuid()) {
		return "user " + strconv.FormatInt(int64(stat.Uid), 10)
	}
	return ""
}

// othersWrite says whether others than the owner may write.
func othersWrite(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }
