//go:build !linux

package load

import "sweep/pkg/measure"

// networkCounts is known on Linux alone.
func networkCounts() (measure.Network, bool) { return measure.Network{}, false }
