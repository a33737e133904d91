package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sweep/pkg/experiment"
)

// Free returns how much may still be written to dir or, where that isn't there
// yet, to the folder in which it will be made. It is nil where that isn't known.
func Free(dir string) (*experiment.Bytes, error) {
	for parent := filepath.Clean(dir); ; parent = filepath.Dir(parent) {
		var stat unix.Statfs_t
		err := unix.Statfs(parent, &stat)
		switch {
		case err == nil:
			return new(experiment.Bytes(int64(stat.Bavail) * stat.Bsize)), nil
		case !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent):
			return nil, fmt.Errorf("asking how much is free in %s: %w", parent, err)
		}
	}
}
