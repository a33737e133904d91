package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"sweep/pkg/engine"
	"sweep/pkg/store"
)

// A guard is a second process of sweep that lives as long as the first one and
// puts everything back where that is killed before it could: the kernel closes
// the pipe between the two, however the first one ends. It has a session of its
// own, so that what a terminal or a shell sends to sweep doesn't reach it.

// farewell is what the guard reads where there is nothing to put back.
const farewell = "done"

// What a killed process had asked the engine for may still be under way, such
// as a container that is about to be made. So the guard looks again until it
// has found nothing for quietFor, and gives up after guardsFor.
const (
	quietFor  = 2 * time.Second
	guardsFor = 10 * time.Minute // a container may take minutes to stop, and an engine to come back
	looks     = 500 * time.Millisecond

	diesWithin = 3 * time.Second // the process whose pipe has been closed
	backWithin = 2 * time.Minute // an engine that is gone
)

func guardVerb(c console) *cli.Command {
	return &cli.Command{
		Name:   "guard",
		Usage:  "put back what a run left, once it has been killed; sweep run starts this itself",
		Hidden: true,
		Flags:  []cli.Flag{contextFlag()},
		Action: func(x *cli.Context) error {
			dir, err := oneArgument(x, "the folder of a run")
			if err != nil {
				return err
			}
			return guard(x.Context, c, dir, x.String("context"))
		},
	}
}

// guard waits for the end of the process that started it.
func guard(ctx context.Context, c console, dir, contextName string) error {
	last, err := io.ReadAll(c.in)
	if err != nil || string(last) == farewell {
		return err //nolint:wrapcheck // a pipe between two of us
	}
	run, err := store.Open(dir)
	if err != nil {
		return err //nolint:wrapcheck // says which file
	}
	owner, err := ownerOf(run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, guardsFor)
	defer cancel()
	eng, err := connectAgain(ctx, contextName)
	if err != nil {
		return err
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	// Not before: as long as the engine is gone, whoever can should clean up.
	switch err := lockAsGuard(ctx, run); {
	case errors.Is(err, store.ErrLocked):
		return nil // the run goes on already, and has cleaned up itself
	case err != nil:
		return err
	}
	defer run.Close() //nolint:errcheck // nothing was written
	return cleanUntilQuiet(ctx, c.err, eng, owner)
}

// connectAgain connects to an engine that may be gone and come back.
func connectAgain(ctx context.Context, contextName string) (*engine.Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	for {
		eng, err := engine.Connect(ctx, contextName)
		if err == nil {
			return eng, nil
		}
		select {
		case <-ctx.Done():
			return nil, err //nolint:wrapcheck // says what to do
		case <-time.After(looks):
		}
	}
}

// lockAsGuard locks the run. A process that is being killed may close its pipe
// before it gives up its lock.
func lockAsGuard(ctx context.Context, run *store.Run) error {
	began := time.Now()
	for {
		err := run.LockAsGuard()
		if !errors.Is(err, store.ErrLocked) || time.Since(began) > diesWithin {
			return err //nolint:wrapcheck // says what to do
		}
		select {
		case <-ctx.Done():
			return err //nolint:wrapcheck // likewise
		case <-time.After(looks):
		}
	}
}

func cleanUntilQuiet(ctx context.Context, w io.Writer, eng *engine.Engine, owner engine.Owner) error {
	quiet := time.Now()
	for {
		did, err := eng.Clean(ctx, func(o engine.Owner) bool { return o == owner })
		for _, what := range did {
			fmt.Fprintf(w, "sweep ended without cleaning up: %s.\n", what)
		}
		if len(did) > 0 || err != nil {
			quiet = time.Now()
		} else if time.Since(quiet) >= quietFor {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("putting back what a killed run left: %w; `sweep restore` tries again", ctx.Err()), err)
		case <-time.After(looks):
		}
	}
}

// startGuard starts the guard of a run. Its dismiss has to be called where nothing
// is left to put back; it waits for the guard. Otherwise the guard begins when
// this process has ended; a terminal is told what it does. Nobody else is, for
// whoever reads our output to its end would have to wait for the guard's.
func startGuard(w io.Writer, dir, contextName string) (dismiss func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("starting the guard, which is this program: %w", err)
	}
	cmd := exec.Command(self, "guard", dir, "--context", contextName) //nolint:noctx // it has to outlive this process, let alone its context
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if f, ok := beneath(w).(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		cmd.Stderr = f
	}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	return func() {
		_, _ = io.WriteString(pipe, farewell) // where it has died, there is nobody to tell
		_ = pipe.Close()
		_ = cmd.Wait()
	}, nil
}
