package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"strings"

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

// build tells this program from those that may not say the same: by its version
// where that is a release's, and else by its very content.
func build() string {
	v := version()
	if strings.HasPrefix(v, "v") && !strings.Contains(v, "+") {
		return v
	}
	self, err := os.Executable()
	if err != nil {
		return v
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return v
	}
	sum := sha256.Sum256(program)
	return fmt.Sprintf("%s %x", v, sum[:6])
}

// elsewhere is a relay that listens, or an agent that joins one.
func elsewhere(ctx context.Context, c console, relay, join, secret string) error {
	key, err := load.ParseKey(secret)
	if err != nil {
		return usagef("%s: %v", keyVariable, err)
	}
	if join != "" {
		return load.Join(ctx, key, build(), join) //nolint:wrapcheck // says which relay
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", relay)
	if err != nil {
		return fmt.Errorf("listening for agents: %w", err)
	}
	return load.Relay(ctx, key, build(), l, c.in, c.out) //nolint:wrapcheck // says that it is the relay
}
