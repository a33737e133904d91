// Command sweep finds the least CPU and memory with which a service in Docker
// carries its users: it starts the service under each limit of a matrix, ramps
// users up, finds where it fails and why, and draws the answer.
//
// One verb is one file. Each verb's action takes what it needs from the
// command line and calls a function that knows nothing of flags.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"sweep/pkg/experiment"
	"sweep/pkg/report"
)

// Exit codes, for scripts.
const (
	exitDone         = 0
	exitInstrument   = 1 // the instrument failed: engine gone, disk full
	exitUsage        = 2 // wrong usage or experiment file
	exitRegressed    = 3 // check: capacity regressed, or nothing is viable
	exitInconclusive = 4 // check: it can't be told
	exitInterrupted  = 130
)

func main() {
	// The second signal meets no handler any more and ends sweep at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	// Whoever read our output may go: that must not end sweep before it has
	// cleaned up.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(execute(ctx, os.Args, console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// errUsage marks errors of the command line, which end with exit code 2.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// answerError is the exit code of a command that has said all there is to say.
type answerError int

func (a answerError) Error() string { return fmt.Sprintf("exit code %d", int(a)) }

// execute runs the command line and returns its exit code.
func execute(ctx context.Context, args []string, c console) int {
	err := application(c).RunContext(ctx, interspersed(args, verbs(c)))
	var faults experiment.Faults
	var answer answerError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &answer):
		return int(answer)
	case errors.As(err, &faults):
		fmt.Fprintln(c.err, report.Harmless(faults.Error()))
		return exitUsage
	case errors.Is(err, errUsage):
		fmt.Fprintln(c.err, "sweep:", report.Harmless(strings.TrimPrefix(err.Error(), errUsage.Error()+": ")))
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted // the verb has said what there is to say
	default:
		fmt.Fprintln(c.err, "sweep:", report.Harmless(err.Error()))
		return exitInstrument
	}
}

func application(c console) *cli.App {
	return &cli.App{
		Name:                   "sweep",
		Usage:                  "find the least CPU and memory with which a service in Docker carries its users",
		UsageText:              "sweep VERB [arguments]",
		Description:            "Example:\n   sweep run experiments/matrix.yaml",
		Version:                version(),
		Writer:                 c.out,
		ErrWriter:              c.err,
		Commands:               verbs(c),
		HideHelpCommand:        true,
		Suggest:                true,
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // execute does
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return usagef("%v; see sweep --help", err)
		},
		Action: func(x *cli.Context) error {
			if verb := x.Args().First(); verb != "" {
				return usagef("there is no verb %q%s; see sweep --help", verb, nearest(verb, x.App.Commands))
			}
			return cli.ShowAppHelp(x)
		},
	}
}

func verbs(c console) []*cli.Command {
	h := c.harmless()
	all := []*cli.Command{initVerb(h), runVerb(h), checkVerb(h), planVerb(h), reportVerb(c), loadVerb(h), doctorVerb(h), restoreVerb(h), agentVerb(c), guardVerb(c)}
	for _, v := range all {
		v.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
			return usagef("%v; see sweep %s --help", err, v.Name)
		}
	}
	return all
}

// nearest suggests the verb that was meant.
func nearest(verb string, all []*cli.Command) string {
	if s := strings.TrimSpace(cli.SuggestCommand(all, verb)); s != "" {
		return " (" + strings.ToLower(s[:1]) + s[1:] + ")"
	}
	return ""
}

// interspersed moves a verb's flags before its arguments, for the flag parser
// stops at the first argument and people write flags wherever they think of them.
func interspersed(args []string, all []*cli.Command) []string {
	if len(args) < 2 {
		return args
	}
	takesValue := map[string]bool{}
	for _, v := range all {
		for _, f := range v.Flags {
			if _, isBool := f.(*cli.BoolFlag); v.Name == args[1] && !isBool {
				takesValue[f.Names()[0]] = true
			}
		}
	}
	var flags, rest []string
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		if takesValue[strings.TrimLeft(arg, "-")] && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	if len(rest) > 0 {
		flags = append(flags, "--")
	}
	return append(append(args[:2:2], flags...), rest...)
}

// oneArgument returns a verb's only argument.
func oneArgument(x *cli.Context, what string) (string, error) {
	if x.Args().Len() != 1 {
		return "", usagef("%s takes %s; see sweep %s --help", x.Command.Name, what, x.Command.Name)
	}
	return x.Args().First(), nil
}

// version is the version control's word on what this was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	return v
}
