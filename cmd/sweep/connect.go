package main

import "github.com/urfave/cli/v2"

// contextFlag chooses an engine, as it does for the docker command. Every verb
// that talks to one has it.
func contextFlag() cli.Flag {
	return &cli.StringFlag{Name: "context", Usage: "use the engine of docker's context `NAME`, rather than the one that the docker command would use"}
}
