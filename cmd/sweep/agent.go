package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/urfave/cli/v2"

	"sweep/pkg/engine"
	"sweep/pkg/load"
)

// keyVariable is the environment variable that holds the key of a relay and of
// those that come to it: a command line can be read by everybody.
const keyVariable = "SWEEP_KEY"

// agentVerb is what sweep runs of itself inside the service's network
// namespace, or on other machines. It isn't for people, so help doesn't list it.
func agentVerb(c console) *cli.Command {
	return &cli.Command{
		Name:   "agent",
		Usage:  "play users as told on stdin (started by sweep itself)",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "probe", Usage: "find out whether the limits of this container hold, and die of it"},
			&cli.StringFlag{Name: "locust", Usage: "drive Locust's workers instead, who come to `ADDRESS`"},
			&cli.StringFlag{Name: "relay", Usage: "listen at `ADDRESS` for agents elsewhere, and pass on what is said on stdin and stdout; the key is in " + keyVariable},
			&cli.StringFlag{Name: "join", Usage: "be told by the relay at `ADDRESS`; the key is in " + keyVariable},
		},
		Action: func(x *cli.Context) error {
			if x.Bool("probe") {
				return engine.Probe(c.out) //nolint:wrapcheck // says what failed
			}
			if address := x.String("locust"); address != "" {
				return serveLocust(x.Context, c, address)
			}
			if relay, join := x.String("relay"), x.String("join"); relay != "" || join != "" {
				return elsewhere(x.Context, c, relay, join, os.Getenv(keyVariable))
			}
			return load.Serve(x.Context, c.in, c.out)
		},
	}
}

// elsewhere is a relay that listens, or an agent that joins one.
func elsewhere(ctx context.Context, c console, relay, join, secret string) error {
	key, err := load.ParseKey(secret)
	if err != nil {
		return usagef("%s: %v", keyVariable, err)
	}
	if join != "" {
		return load.Join(ctx, key, version(), join) //nolint:wrapcheck // says which relay
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", relay)
	if err != nil {
		return fmt.Errorf("listening for agents: %w", err)
	}
	return load.Relay(ctx, key, version(), l, c.in, c.out) //nolint:wrapcheck // says that it is the relay
}
