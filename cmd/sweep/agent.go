package main

import (
	"github.com/urfave/cli/v2"

	"sweep/pkg/engine"
	"sweep/pkg/load"
)

// agentVerb is what sweep runs of itself inside the service's network
// namespace. It isn't for people, so help doesn't list it.
func agentVerb(c console) *cli.Command {
	return &cli.Command{
		Name:   "agent",
		Usage:  "play users as told on stdin (started by sweep itself)",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "probe", Usage: "find out whether the limits of this container hold, and die of it"},
			&cli.BoolFlag{Name: "locust", Usage: "drive Locust's workers instead"},
		},
		Action: func(x *cli.Context) error {
			if x.Bool("probe") {
				return engine.Probe(c.out) //nolint:wrapcheck // says what failed
			}
			if x.Bool("locust") {
				return serveLocust(x.Context, c)
			}
			return load.Serve(x.Context, c.in, c.out)
		},
	}
}
