package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"sweep/pkg/engine"
	"sweep/pkg/store"
)

func restoreVerb(c console) *cli.Command {
	return &cli.Command{
		Name:        "restore",
		Usage:       "remove whatever a killed run left in the engine; safe to repeat",
		UsageText:   "sweep restore",
		Description: "Only what sweep made itself, and no living sweep uses, is removed. sweep run does the same before it begins.\nExample:\n   sweep restore",
		Action: func(x *cli.Context) error {
			if x.Args().Present() {
				return usagef("restore takes no argument")
			}
			return restore(x.Context, c.out)
		},
	}
}

func restore(ctx context.Context, w io.Writer) error {
	eng, err := engine.Connect(ctx)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	removed, err := clean(ctx, eng, "")
	for _, name := range removed {
		fmt.Fprintln(w, "removed", name)
	}
	if err == nil && len(removed) == 0 {
		fmt.Fprintln(w, "nothing to remove")
	}
	return err
}

// clean removes what runs that are no longer at work left in the engine: those
// of this host whose folder nobody has locked, and those of ownDir, which the
// caller has.
func clean(ctx context.Context, eng *engine.Engine, ownDir string) ([]string, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("asking for this host's name: %w", err)
	}
	removed, err := eng.Clean(ctx, func(o engine.Owner) bool {
		return o.Host == host && (o.Dir == ownDir || store.Abandoned(o.Dir))
	})
	if err != nil {
		return removed, fmt.Errorf("removing what an earlier run left: %w", err)
	}
	return removed, nil
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
