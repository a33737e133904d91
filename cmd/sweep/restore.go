package main

import (
	"context"
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
		UsageText:   "sweep restore [--context NAME]",
		Description: "Removes what sweep made itself and no living sweep uses, and starts the containers again that it had stopped.\nsweep run does the same before it begins, and so does a guard as soon as sweep is killed.\nExample:\n   sweep restore",
		Flags:       []cli.Flag{contextFlag()},
		Action: func(x *cli.Context) error {
			if x.Args().Present() {
				return usagef("restore takes no argument")
			}
			return restore(x.Context, c.out, x.String("context"))
		},
	}
}

func restore(ctx context.Context, w io.Writer, contextName string) error {
	eng, err := engine.Connect(ctx, contextName)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	did, err := clean(ctx, eng)
	for _, what := range did {
		fmt.Fprintln(w, what)
	}
	if err == nil && len(did) == 0 {
		fmt.Fprintln(w, "nothing to put back")
	}
	return err
}

// guardWithin is how long to wait for a guard that is at work.
const guardWithin = 30 * time.Second

// clean puts back what runs of this host left in the engine that are no longer
// at work, those whose folder nobody has locked. Where a guard has just begun to,
// it is waited for.
func clean(ctx context.Context, eng *engine.Engine) ([]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for this host's name: %w", err)
	}
	did, err := eng.Clean(ctx, func(o engine.Owner) bool {
		return o.Host == host && abandoned(ctx, o.Dir)
	})
	if err != nil {
		return did, fmt.Errorf("putting back what an earlier run left: %w", err)
	}
	return did, nil
}

func abandoned(ctx context.Context, dir string) bool {
	for began := time.Now(); store.Guarded(dir) && ctx.Err() == nil && time.Since(began) < guardWithin; {
		select {
		case <-ctx.Done():
		case <-time.After(looks):
		}
	}
	return store.Abandoned(dir)
}

// ownerOf says whose what a run makes is.
func ownerOf(run *store.Run) (engine.Owner, error) {
	host, err := os.Hostname()
	if err != nil {
		return engine.Owner{}, fmt.Errorf("asking for this host's name: %w", err)
	}
	dir, err := filepath.Abs(run.Dir())
	if err != nil {
		return engine.Owner{}, fmt.Errorf("finding the results folder: %w", err)
	}
	return engine.Owner{Run: run.Manifest.Run, Dir: dir, Host: host}, nil
}
