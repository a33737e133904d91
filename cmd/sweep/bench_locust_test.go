package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sweep/pkg/store"
)

// sideBySide is one cell of the FastAPI service, to be asked by two generators.
const sideBySide = `version: 1
name: small
service: {image: sweep/fastapi:dev, port: 8000, ready: {path: /health}}
matrix: {cells: [{cpus: 0.25, memory: 300M}]}
users: {target: 1000, ramp: 100s, hold: 15s, settle: 5s, wait: {constant: 1s}, from: network}
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
			c := bench.sweep().Cells[0]
			bracket := "none"
			if c.LastPass != nil && c.FirstFail != nil {
				bracket = fmt.Sprintf("%d to %d users", c.LastPass.Users, c.FirstFail.Users)
			}
			cpu, sent := bench.cost()
			fmt.Fprintf(os.Stderr, "%-7s  %-12s %-18s proved %-5v  generator %.2f CPU, %.2f ms of it a request\n",
				g.name, c.Outcome, bracket, c.Proved, cpu, 1000*sent)
			if len(c.Warnings) > 0 {
				fmt.Fprintf(os.Stderr, "         %s\n", strings.Join(c.Warnings, "\n         "))
			}
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
