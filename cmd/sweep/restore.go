package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"sweep/pkg/engine"
	"sweep/pkg/store"
)

func restoreVerb(c console) *cli.Command {
	return &cli.Command{
		Name:        "restore",
		Usage:       "put back whatever a killed run left in the engine; safe to repeat",
		UsageText:   "sweep restore [--all] [--context NAME]",
		Description: "Removes what sweep made itself and no living sweep uses, and starts the containers again that it had stopped.\nsweep run does the same before it begins, and so does a guard as soon as sweep is killed.\nExample:\n   sweep restore",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "put back what runs of other hosts left, too; only where none of them is at work"},
			contextFlag(),
		},
		Action: func(x *cli.Context) error {
			if x.Args().Present() {
				return usagef("restore takes no argument")
			}
			return restore(x.Context, c.out, x.String("context"), x.Bool("all"))
		},
	}
}

func restore(ctx context.Context, w io.Writer, contextName string, all bool) error {
	eng, err := engine.Connect(ctx, contextName)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	var others []engine.Owner
	did, err := clean(ctx, eng, func(o engine.Owner) bool {
		others = append(others, o)
		return all
	})
	for _, what := range did {
		fmt.Fprintln(w, what)
	}
	if err == nil && len(did) == 0 {
		fmt.Fprintln(w, "nothing to put back")
	}
	for _, o := range others {
		if !all {
			fmt.Fprintf(w, "left alone: what run %s of host %s made, in %s; if no sweep is at work there, `sweep restore --all` puts that back too\n", o.Run, o.Host, o.Dir)
		}
	}
	return err
}

// guardWithin is how long to wait for a guard that is at work.
const guardWithin = 30 * time.Second

// clean puts back what runs of this host left in the engine that are no longer
// at work, those whose folder nobody has locked. Where a guard has just begun to,
// it is waited for. Of runs of other hosts, whether they are at work can't be seen
// from here: foreign is asked.
func clean(ctx context.Context, eng *engine.Engine, foreign func(engine.Owner) bool) ([]string, error) {
	host, err := thisHost()
	if err != nil {
		return nil, err
	}
	did, err := eng.Clean(ctx, func(o engine.Owner) bool {
		if o.Host != host {
			return foreign(o)
		}
		return abandoned(ctx, o.Dir)
	})
	if err != nil {
		return did, fmt.Errorf("putting back what an earlier run left: %w", err)
	}
	return did, nil
}

func abandoned(ctx context.Context, dir string) bool {
	awaitGuard(ctx, dir)
	return store.Abandoned(dir)
}

// awaitGuard waits for the guard of a run where it is at work.
func awaitGuard(ctx context.Context, dir string) {
	for began := time.Now(); store.Guarded(dir) && time.Since(began) < guardWithin; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(looks):
		}
	}
}

// thisHost names this host, to tell whether a run that has left something was
// here. Machines of a kind may all have one name; their ids differ.
func thisHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("asking for this host's name: %w", err)
	}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(id) > 0 { // not every system has one
		sum := sha256.Sum256(id) // the id itself is not to be told
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name, nil
}

// ownerOf says whose what a run makes is.
func ownerOf(run *store.Run) (engine.Owner, error) {
	host, err := thisHost()
	if err != nil {
		return engine.Owner{}, err
	}
	dir, err := filepath.Abs(run.Dir())
	if err != nil {
		return engine.Owner{}, fmt.Errorf("finding the results folder: %w", err)
	}
	return engine.Owner{Run: run.Manifest.Run, Dir: dir, Host: host}, nil
}
