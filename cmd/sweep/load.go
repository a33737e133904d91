package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sweep/pkg/experiment"
	"sweep/pkg/load"
	"sweep/pkg/measure"
	"sweep/pkg/report"
)

func loadVerb(c console) *cli.Command {
	return &cli.Command{
		Name:      "load",
		Usage:     "load a URL on this machine, without Docker",
		UsageText: "sweep load URL [--users N | --rate N/s] [--ramp D] [--hold D] [--wait D] [--method M] [--header H]... [--body B] [--json]",
		Description: "Plays users on a URL and prints what they saw, apart from how late the generator itself was.\n" +
			"A host that isn't this machine must be allowed by name.\n" +
			"Example:\n   sweep load http://127.0.0.1:8000/predict --users 1000 --ramp 20s --body '{\"features\": [12.5, 3, 17.5]}'",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "users", Value: 100, Usage: "`N` users, each on a connection of its own"},
			&cli.StringFlag{Name: "rate", Usage: "instead of users: open arrivals, `N/s` of them"},
			&cli.DurationFlag{Name: "ramp", Value: 10 * time.Second, Usage: "get there in `D`, every user at an instant of its own"},
			&cli.DurationFlag{Name: "hold", Value: 10 * time.Second, Usage: "stay there for `D`"},
			&cli.DurationFlag{Name: "wait", Value: time.Second, Usage: "wait `D` between an answer and the next request; 0 is flat out"},
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "an answer that takes longer than `D` is an error"},
			&cli.StringFlag{Name: "method", Usage: "send `METHOD`; default GET, or POST where there is a body"},
			&cli.StringSliceFlag{Name: "header", Usage: "send this header, `'NAME: VALUE'`; may be repeated"},
			&cli.StringFlag{Name: "body", Usage: "send this `TEXT`, or the content of @FILE; with --feed it may have {{fields}} in it"},
			&cli.StringFlag{Name: "feed", Usage: "take each request's body or {{fields}} from a row of `FILE` (.jsonl or .csv)"},
			&cli.BoolFlag{Name: "random", Usage: "take the feed's rows in random order"},
			&cli.IntSliceFlag{Name: "status", Value: cli.NewIntSlice(200), Usage: "a right answer has this `STATUS`; may be repeated"},
			&cli.StringFlag{Name: "contains", Usage: "a right answer has this `TEXT` in its body"},
			&cli.BoolFlag{Name: "fresh", Usage: "open a connection for every request"},
			&cli.BoolFlag{Name: "connections-only", Usage: "open the connections and send nothing: what does a connection alone cost?"},
			&cli.BoolFlag{Name: "h2c", Usage: "speak HTTP/2 without TLS; https speaks HTTP/2 where the server offers it"},
			&cli.BoolFlag{Name: "insecure", Usage: "take any certificate"},
			&cli.StringSliceFlag{Name: "allow-host", Usage: "load this `HOST` though it isn't this machine: you answer for it"},
			&cli.StringFlag{Name: "hlog", Usage: "write each second's histograms to `FILE`, as an HdrHistogram log"},
			&cli.StringFlag{Name: "csv", Usage: "write a line a second to `FILE`, with the columns of Locust's stats_history.csv"},
			&cli.Int64Flag{Name: "seed", Value: 1, Usage: "makes random choices repeatable"},
			&cli.BoolFlag{Name: "quiet", Usage: "show no progress"},
			&cli.BoolFlag{Name: "json", Usage: "print the summary as JSON"},
		},
		Action: func(x *cli.Context) error {
			address, err := oneArgument(x, "one URL")
			if err != nil {
				return err
			}
			o := loadOptions{
				url: address, users: x.Int("users"), rate: x.String("rate"), ramp: x.Duration("ramp"), hold: x.Duration("hold"),
				wait: x.Duration("wait"), timeout: x.Duration("timeout"), method: x.String("method"), headers: x.StringSlice("header"),
				body: x.String("body"), feed: x.String("feed"), random: x.Bool("random"), status: x.IntSlice("status"),
				contains: x.String("contains"), fresh: x.Bool("fresh"), connectionsOnly: x.Bool("connections-only"), h2c: x.Bool("h2c"),
				insecure: x.Bool("insecure"), allowed: x.StringSlice("allow-host"), hlog: x.String("hlog"), csv: x.String("csv"),
				seed: x.Int64("seed"), quiet: x.Bool("quiet"), json: x.Bool("json"),
			}
			return loadURL(x.Context, c, o)
		},
	}
}

type loadOptions struct {
	url, rate                 string
	users                     int
	ramp, hold, wait, timeout time.Duration
	method, body, feed        string
	headers, allowed          []string
	status                    []int
	contains, hlog, csv       string
	seed                      int64

	random, fresh, connectionsOnly, h2c, insecure, quiet, json bool
}

// loadURL loads a URL and prints what was seen, also when it is interrupted.
func loadURL(ctx context.Context, c console, o loadOptions) error {
	e, address, err := o.experiment()
	if err != nil {
		return err
	}
	if err := checkHost(ctx, address, o.allowed); err != nil {
		return err
	}
	plan, err := load.NewPlan(e, address)
	if err != nil {
		return usagef("%v", err)
	}
	plan.Mute = o.connectionsOnly
	began := time.Now()
	series, err := play(ctx, c, plan, e, o)
	if err != nil {
		return err
	}
	if err := o.export(series, began); err != nil {
		return err
	}
	s := summarise(o.url, e, plan, series)
	if o.json {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
		fmt.Fprintf(c.out, "%s\n", text)
	} else {
		s.print(c.out)
	}
	return ctx.Err() //nolint:wrapcheck // it was interrupted, and has said what it saw
}

// play makes the load and shows its progress.
func play(ctx context.Context, c console, plan load.Plan, e *experiment.Experiment, o loadOptions) (measure.Series, error) {
	show := newDisplay(c.err, o.quiet, e)
	defer show.end()
	var series measure.Series
	for tick, err := range load.Run(ctx, plan) {
		if err != nil {
			return series, err //nolint:wrapcheck // says what failed
		}
		series.Add(tick)
		show.load(&series, &tick, plan.Ramp.Length())
	}
	return series, nil
}

// experiment returns what the flags ask for as an experiment, which knows what
// can be asked, and the service's address.
func (o loadOptions) experiment() (*experiment.Experiment, string, error) {
	u, err := url.Parse(o.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", usagef("%q is no URL to load; write one such as http://127.0.0.1:8000/predict", o.url)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	e := &experiment.Experiment{}
	e.Search.Seed = o.seed
	if e.Request, err = o.request(u); err != nil {
		return nil, "", err
	}
	if e.Users, err = o.load(); err != nil {
		return nil, "", err
	}
	e.Objective = experiment.DefaultObjective()
	return e, address, nil
}

func (o loadOptions) request(u *url.URL) (experiment.Request, error) {
	r := experiment.Request{
		Method: strings.ToUpper(o.method), Path: o.path(u), Headers: map[string]experiment.Value{},
		Timeout: experiment.Duration(o.timeout), Expect: experiment.Expect{Status: o.status, Contains: o.contains},
		Protocol: u.Scheme, Insecure: o.insecure, Connections: experiment.KeepAlive,
	}
	if o.timeout <= 0 {
		return r, usagef("--timeout %s: must be more than 0", o.timeout)
	}
	if o.h2c {
		r.Protocol = experiment.H2C
	}
	if o.fresh {
		r.Connections = experiment.Fresh
	}
	if err := o.setHeaders(&r); err != nil {
		return r, err
	}
	body := o.body
	if file, ok := strings.CutPrefix(body, "@"); ok {
		text, err := os.ReadFile(file)
		if err != nil {
			return r, usagef("--body: %v", err)
		}
		body = string(text)
	}
	r.Body = experiment.Literal(body)
	if o.feed != "" {
		rows, err := os.ReadFile(o.feed)
		if err != nil {
			return r, usagef("--feed: %v", err)
		}
		r.Feed = &experiment.Feed{File: filepath.Base(o.feed), Order: "sequential"}
		if err := r.Feed.Take(rows); err != nil {
			return r, usagef("--feed %s: %v", o.feed, err)
		}
		if o.random {
			r.Feed.Order = "random"
		}
	}
	if r.Method == "" {
		r.Method = "GET"
		if body != "" || o.feed != "" {
			r.Method = "POST"
		}
	}
	return r, nil
}

func (o loadOptions) setHeaders(r *experiment.Request) error {
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(h, "\r\n\x00") {
			return usagef("--header %q: write 'NAME: VALUE'", h)
		}
		r.Headers[name] = experiment.Literal(strings.TrimSpace(value))
	}
	return nil
}

// path returns path and query as they are written, with the fields of a feed
// that they may have in them.
func (o loadOptions) path(u *url.URL) string {
	if !strings.Contains(o.url, "{{") {
		return u.RequestURI()
	}
	_, rest, _ := strings.Cut(o.url, u.Host)
	rest, _, _ = strings.Cut(rest, "#")
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest
}

func (o loadOptions) load() (experiment.Users, error) {
	const most = 1_000_000
	wait := experiment.Duration(o.wait)
	u := experiment.Users{Target: o.users, RampOver: experiment.Duration(o.ramp), Hold: experiment.Duration(o.hold), Wait: experiment.Wait{Constant: &wait}}
	switch {
	case o.ramp < 0 || o.hold < 0 || o.ramp+o.hold <= 0:
		return u, usagef("--ramp %s --hold %s: a load takes some time; write at least one of the two", o.ramp, o.hold)
	case o.wait < 0:
		return u, usagef("--wait %s: is less than 0", o.wait)
	}
	if o.rate != "" {
		u.Rate, u.Wait = new(experiment.Rate), experiment.Wait{}
		if err := u.Rate.UnmarshalText([]byte(o.rate)); err != nil {
			return u, usagef("--rate: %v", err)
		}
		u.Target = int(*u.Rate)
	}
	if u.Target < 1 || u.Target > most {
		return u, usagef("--users %d: must be from 1 to %d", u.Target, most)
	}
	return u, nil
}

// checkHost refuses to load what isn't on this machine, unless it is allowed
// by name: load is an attack on whoever hasn't asked for it.
func checkHost(ctx context.Context, address string, allowed []string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usagef("%s: %v", address, err)
	}
	if slices.Contains(allowed, host) {
		return nil
	}
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return usagef("%v", err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("asking for this machine's addresses: %w", err)
	}
	for _, ip := range ips {
		mine := slices.ContainsFunc(own, func(a net.Addr) bool { n, ok := a.(*net.IPNet); return ok && n.IP.Equal(ip) })
		if !mine && !ip.IsLoopback() {
			return usagef("%s (%s) is not this machine. If you answer for it, say so: --allow-host %s", host, ip, host)
		}
	}
	return nil
}

// export writes the files that were asked for.
func (o loadOptions) export(s measure.Series, began time.Time) error {
	for file, write := range map[string]func(io.Writer, measure.Series, time.Time) error{o.hlog: report.HistogramLog, o.csv: report.LocustHistory} {
		if file == "" {
			continue
		}
		f, err := os.Create(file)
		if err != nil {
			return fmt.Errorf("writing each second: %w", err)
		}
		if err := errors.Join(write(f, s, began), f.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	return nil
}
