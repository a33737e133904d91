package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// ParseObjective reads an objective by which what was measured for e is to be
// judged again. The file is the objective itself, {errors: 0.5%, p95: 300ms}, or
// has it under the key objective, as an experiment file does; what else such a
// file says isn't read. An experiment file without that key asks by the default.
//
// It is as strict as [Parse], whose arguments and error it has. What answers to
// e can't show is a fault too: those that took longer than its timeout were
// never seen.
func ParseObjective(name string, src []byte, lookup func(string) (string, bool), e *Experiment) (Objective, error) {
	d := newDecoder(name, lookup)
	var o Objective
	if root := d.root(src); root != nil {
		at := d.objective(root, &o)
		d.checkCarried(at, &o, e)
	}
	if len(d.faults) > 0 {
		d.faults.sort()
		return Objective{}, d.faults
	}
	return o, nil
}

// objective decodes the objective that is n, or under a key of it, and returns
// its path.
func (d *decoder) objective(n ast.Node, o *Objective) (at string) {
	v := reflect.ValueOf(o).Elem()
	file, ok := n.(ast.MapNode)
	if !ok {
		d.decode("", n, v, "")
		return ""
	}
	first, names := d.keysOf(file), keys(v.Type())
	switch {
	case slices.Contains(first, "objective"):
		for key, value := range d.entries("", file) {
			if key == "objective" {
				d.decode(key, value, v, "")
			} else if slices.Contains(names, key) {
				d.fault(key, "stands beside objective and isn't read; write it below objective")
			}
		}
		return "objective"
	case slices.Contains(first, "version"): // an experiment that leaves it to the default
		*o = DefaultObjective()
		return "objective"
	default:
		d.decode("", n, v, "")
		d.demand(len(d.faults) > 0 || *o != (Objective{}), "", "asks for nothing; write such as {errors: 1%%, p99: 1s}")
		return ""
	}
}

// keysOf returns the keys of a map, without a look at its values.
func (d *decoder) keysOf(n ast.MapNode) []string {
	var names []string
	for it := n.MapRange(); it.Next(); {
		if scalar, ok := it.Key().(ast.ScalarNode); ok {
			names = append(names, scalar.GetToken().Value)
		}
	}
	return names
}

// checkCarried fills in the default, and reports what the answers to e can't
// show.
func (d *decoder) checkCarried(at string, o *Objective, e *Experiment) {
	if d.bad[""] {
		return
	}
	if *o == (Objective{}) {
		*o = DefaultObjective()
	}
	for _, q := range o.Quantiles() {
		path, limit := join(at, q.Name), Duration(q.Limit)
		d.demand(limit > 0, path, "must be more than 0")
		d.demand(limit <= e.Request.Timeout, path, "%s can't be judged: the timeout of %s was %s, and no answer that took longer was seen; ask for no more than that, or measure again with a longer request.timeout",
			limit, e.Name, e.Request.Timeout)
	}
	if o.Goodput != nil && !e.Users.Open() {
		d.demand(e.Users.Wait.Mean() > 0, join(at, "goodput"), "can't be judged: the users of %s didn't wait, so that there was no demanded rate", e.Name)
	}
}

// Digest returns a short name, in hexadecimal, of what the objective asks.
func (o Objective) Digest() string {
	sum := sha256.Sum256([]byte(o.String()))
	return hex.EncodeToString(sum[:4])
}
