package main

import (
	"fmt"
	"os"
	"testing"

	"sweep/pkg/store"
)

// sideBySide is two cells of the FastAPI service, to be asked by two generators.
const sideBySide = `version: 1
name: small
service: {image: sweep/fastapi:dev, port: 8000, ready: {path: /health}}
matrix: {cpus: [0.25, 0.5], memory: [300M]}
users: {target: 400, ramp: 60s, hold: 15s, settle: 5s, wait: {constant: 1s}, from: network}
search: {precision: 10%}
`

var generators = []struct{ name, asks string }{
	{"native", `request: {path: /predict, headers: {Content-Type: application/json}, body: '{"features": [12.5, 3, 17.5]}'}` + "\n"},
	{"locust", "generator: {locust: {file: locustfile.py, workers: 2}}\n"},
}

// BenchmarkLocust asks the same of the same service by the native generator and
// by Locust's workers with the team's locustfile, and prints both brackets and
// what the load cost.
func BenchmarkLocust(b *testing.B) {
	file, err := os.ReadFile("../../compose/locustfile.py")
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		for _, g := range generators {
			bench := &bench{t: b, dir: b.TempDir()}
			bench.write("locustfile.py", string(file))
			bench.write("small.yaml", sideBySide+g.asks)
			for _, c := range bench.sweep().Cells {
				var carried, failed int
				if c.LastPass != nil {
					carried = c.LastPass.Users
				}
				if c.FirstFail != nil {
					failed = c.FirstFail.Users
				}
				fmt.Fprintf(os.Stderr, "%-7s  %4g CPU  %-17s last pass %4d, first fail %4d users, proved: %v\n", g.name, c.CPUs, c.Outcome, carried, failed, c.Proved)
				for _, w := range c.Warnings {
					fmt.Fprintln(os.Stderr, "         ", w)
				}
			}
			cores, each := bench.cost()
			fmt.Fprintf(os.Stderr, "%-7s  generator: %.2f CPU, %.2f ms of it a request\n", g.name, cores, 1000*each)
		}
	}
}

// cost returns how many cores the generator used while it made load, and how
// many CPU seconds a request took of it.
func (b *bench) cost() (cores, perRequest float64) {
	b.t.Helper()
	run, err := store.Open(b.runDir())
	if err != nil {
		b.t.Fatal(err)
	}
	results, err := run.Results()
	if err != nil {
		b.t.Fatal(err)
	}
	var cpu, seconds, requests float64
	for _, r := range results {
		for _, w := range r.Series.Windows {
			if w.Effort != nil {
				cpu += w.Effort.CPU * w.Length.Seconds()
				seconds += w.Length.Seconds()
				requests += float64(w.Sent)
			}
		}
	}
	return cpu / seconds, cpu / requests
}
