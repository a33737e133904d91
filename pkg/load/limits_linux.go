package load

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spareFiles is what a process or loop has open besides its users' connections.
const spareFiles = 100

// room makes room for a connection for every user of the plan: it raises this
// process's limit of open files as far as it may, and where that isn't enough
// returns more loops, each of which needs a file table of its own (apart).
func room(plan *Plan) (loops int, apart bool, err error) {
	loops = halfOfCores()
	users := uint64(plan.peak())
	need := users + spareFiles
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false, fmt.Errorf("asking how many files may be open: %w", err)
	}
	if limit.Cur >= need {
		return loops, false, nil
	}
	raised := unix.Rlimit{Cur: need, Max: max(limit.Max, need)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
		return loops, false, nil
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max <= spareFiles {
		return 0, false, tooFew(plan)
	}
	each := limit.Max - spareFiles
	return max(loops, int((users+each-1)/each)), true, nil
}

// tooFew says what to do where there can't be as many connections as users.
func tooFew(plan *Plan) error {
	need := plan.peak() + spareFiles
	return fmt.Errorf("%d users need %d open files, more than are allowed here: raise the limit (ulimit -n %d; of containers: default-ulimits in the engine's daemon.json), or ask for fewer users",
		plan.peak(), need, need)
}
