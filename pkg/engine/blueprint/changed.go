package blueprint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// restarted is what any restart changes in what inspecting a container tells.
// The addresses are among them where nobody had chosen them.
var restarted = map[string]bool{ //nolint:gochecknoglobals // a table
	"State.Pid": true, "State.StartedAt": true, "State.FinishedAt": true, "State.Health": true,
	"State.ExitCode": true, "State.OOMKilled": true, "State.Error": true, "RestartCount": true,
	"NetworkSettings": true, "ResolvConfPath": true, "ExecIDs": true,
}

// Changed returns in what a container differs from what it was, but for what
// any restart changes, as "HostConfig.Memory: 0, now 209715200". Of its
// networks, it compares which they are and how it joins them.
func Changed(before, after container.InspectResponse) ([]string, error) {
	was, err := flat(before)
	if err != nil {
		return nil, err
	}
	is, err := flat(after)
	if err != nil {
		return nil, err
	}
	var out []string
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if was[path] != is[path] {
			out = append(out, fmt.Sprintf("%s: %s, now %s", path, told(was[path]), told(is[path])))
		}
	}
	return out, nil
}

func told(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// flat returns what is in a container, by its path, in JSON.
func flat(c container.InspectResponse) (map[string]string, error) {
	c.Mounts = slices.SortedFunc(slices.Values(c.Mounts), func(a, b container.MountPoint) int { // told in any order
		return strings.Compare(a.Destination, b.Destination)
	})
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("compare a container: %w", err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("compare a container: %w", err)
	}
	tree["Networks"] = networks(c)
	out := map[string]string{}
	return out, flatten(out, "", tree)
}

func flatten(out map[string]string, path string, node any) error {
	if restarted[path] {
		return nil
	}
	tree, ok := node.(map[string]any)
	if !ok {
		text, err := json.Marshal(node)
		if err != nil {
			return fmt.Errorf("compare %s: %w", path, err)
		}
		if string(text) != "null" {
			out[path] = string(text)
		}
		return nil
	}
	for key, value := range tree {
		under := key
		if path != "" {
			under = path + "." + key
		}
		if err := flatten(out, under, value); err != nil {
			return err
		}
	}
	return nil
}
