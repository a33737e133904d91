package main

import (
	"github.com/urfave/cli/v2"

	"sweep/pkg/load"
)

// agentVerb is what sweep runs of itself inside the service's network
// namespace. It isn't for people, so help doesn't list it.
func agentVerb(c console) *cli.Command {
	return &cli.Command{
		Name:   "agent",
		Usage:  "play users as told on stdin (started by sweep itself)",
		Hidden: true,
		Action: func(x *cli.Context) error {
			return load.Serve(x.Context, c.in, c.out)
		},
	}
}
