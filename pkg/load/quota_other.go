//go:build !linux

package load

import "runtime"

// allowed returns how many cores this process may use.
func allowed() float64 { return float64(runtime.NumCPU()) }

// quota is known on Linux alone.
func quota() (periods, throttled uint64, ok bool) { return 0, 0, false }
