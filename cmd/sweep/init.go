package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"sweep/cmd/sweep/internal/draft"
	"sweep/pkg/engine"
	"sweep/pkg/experiment"
)

func initVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "init",
		Usage:     "write an experiment file for what is running",
		UsageText: "sweep init [--container NAME | --compose FILE [--service NAME]] [--out FILE] [--force] [--context NAME]",
		Description: "Looks at a running service from inside its network namespace: where it answers, what its\n" +
			"OpenAPI document says that it takes. Makes a request of that, sends it once, and writes what it\n" +
			"found to NAME.yaml. Without flags it takes the only container that runs and has a port.\n" +
			"Example:\n   sweep init --container api",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "container", Usage: "look at the running container `NAME`"},
			&cli.StringFlag{Name: "compose", Usage: "write it for a service of the Compose file `FILE`, and look at that where it runs"},
			&cli.StringFlag{Name: "service", Usage: "with --compose: the service `NAME`, where several have a port"},
			&cli.StringFlag{Name: "out", Usage: "write to `FILE`, - is standard output; default NAME.yaml"},
			&cli.BoolFlag{Name: "force", Usage: "overwrite the file"},
			contextFlag(),
		},
		Action: func(x *cli.Context) error {
			if x.Args().Present() {
				return usagef("init takes no argument; write sweep init --container %s", quoted(x.Args().First()))
			}
			return initialise(x.Context, c, initOptions{
				container: x.String("container"), compose: x.String("compose"), service: x.String("service"),
				out: x.String("out"), force: x.Bool("force"), context: x.String("context"),
			})
		},
	}
}

type initOptions struct {
	container, compose, service, out string
	context                          string
	force                            bool
}

// stdout is the name of the file that is standard output.
const stdout = "-"

// initialise writes an experiment file for what is running.
func initialise(ctx context.Context, c console, o initOptions) error {
	switch {
	case o.container != "" && o.compose != "":
		return usagef("init takes either --container or --compose")
	case o.service != "" && o.compose == "":
		return usagef("--service names a service of a Compose file: write --compose FILE too")
	}
	eng, err := engine.Connect(ctx, o.context)
	if err != nil {
		return err //nolint:wrapcheck // says what to do
	}
	defer eng.Close() //nolint:errcheck // nothing is under way any more
	facts, running, err := target(ctx, eng, o)
	if err != nil {
		return err
	}
	if o.out == "" {
		o.out = facts.Name + ".yaml"
	}
	if err := absent(o); err != nil {
		return err // before anything is asked of the service
	}
	facts.Host, err = hostLimits(ctx, eng)
	if err != nil {
		return err
	}
	if running != nil {
		if err := look(ctx, c.err, eng, *running, &facts); err != nil {
			return err
		}
	}
	if facts.Compose != nil && o.out != stdout { // paths are relative to the file
		facts.Compose.File = relative(filepath.Dir(o.out), facts.Compose.File)
	}
	return write(c, o, draft.Write(facts))
}

// target returns what to write a file for, and the container that runs it, nil
// where none does.
func target(ctx context.Context, eng *engine.Engine, o initOptions) (draft.Facts, *engine.Running, error) {
	if o.compose != "" {
		return composeTarget(ctx, eng, o)
	}
	running, err := chosen(ctx, eng, o.container)
	if err != nil {
		return draft.Facts{}, nil, err
	}
	// What a run would refuse is refused now.
	if _, err := eng.Find(ctx, &experiment.Experiment{Service: experiment.Service{Container: running.Name}}, ""); err != nil {
		return draft.Facts{}, nil, err //nolint:wrapcheck // says what to do
	}
	return draft.Facts{Name: draft.Name(running.Name), Container: running.Name}, &running, nil
}

// chosen returns the container of this name or, without one, the only one that
// could be meant.
func chosen(ctx context.Context, eng *engine.Engine, name string) (engine.Running, error) {
	if name != "" {
		return eng.FindRunning(ctx, name) //nolint:wrapcheck // says what to do
	}
	all, err := eng.Running(ctx)
	if err != nil {
		return engine.Running{}, err //nolint:wrapcheck // says what failed
	}
	var open []engine.Running
	var commands strings.Builder
	for _, r := range all {
		if len(r.Ports) > 0 {
			open = append(open, r)
			fmt.Fprintf(&commands, "\n   sweep init --container %-24s # %s, port %s", quoted(r.Name), r.Image, numbers(r.Ports))
		}
	}
	switch len(open) {
	case 0:
		return engine.Running{}, usagef("no container runs that publishes or exposes a TCP port; start the service, name one that has none with --container, or write --compose FILE")
	case 1:
		return open[0], nil
	default:
		return engine.Running{}, usagef("%d containers run that could be meant; choose one:%s", len(open), commands.String())
	}
}

func numbers(list []int) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, ", ")
}

func hostLimits(ctx context.Context, eng *engine.Engine) (experiment.Limits, error) {
	host, err := eng.Host(ctx)
	if err != nil {
		return experiment.Limits{}, err //nolint:wrapcheck // says what failed
	}
	cpus, err := experiment.ParseCPUs(strconv.Itoa(host.CPUs))
	return experiment.Limits{CPU: cpus, Memory: host.Memory}, err //nolint:wrapcheck // says what is no number of CPUs
}

// absent returns an error where the file is there and may not be overwritten.
func absent(o initOptions) error {
	if o.out == stdout || o.force {
		return nil
	}
	_, err := os.Lstat(o.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return usagef("writing the experiment: %v", err)
	default:
		return exists(o.out)
	}
}

func exists(file string) error {
	return usagef("%s exists already; --force overwrites it, --out FILE writes another", file)
}

// relative returns file as seen from dir, or as it is where that can't be said.
func relative(dir, file string) string {
	from, err := filepath.Abs(dir)
	if err != nil {
		return file
	}
	to, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	if seen, err := filepath.Rel(from, to); err == nil {
		return filepath.ToSlash(seen)
	}
	return file
}

// write writes the file, and says how to go on.
func write(c console, o initOptions, text string) error {
	if o.out == stdout {
		_, err := io.WriteString(c.out, text)
		return err //nolint:wrapcheck // nothing to add to a closed pipe
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(o.out, how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return exists(o.out)
	}
	if err != nil {
		return usagef("writing the experiment: %v", err)
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the experiment: %w", err)
	}
	fmt.Fprintf(c.out, "Wrote %s. Mend its numbers, then: sweep plan %[2]s, and sweep run %[2]s\n", o.out, quoted(o.out))
	return nil
}
