package engine

import "strings"

// The labels that everything which sweep makes on an engine carries.
const (
	labelRun  = "sweep.run"
	labelDir  = "sweep.dir"
	labelHost = "sweep.host"
	labelRole = "sweep.role"
)

type role string

const (
	roleService role = "service"
	roleAgent   role = "agent"
	roleNote    role = "note" // of a container that was stopped; see park

	roleDependency role = "dependency" // of the service under test
	roleNetwork    role = "network"    // that it and its dependencies join
	roleVolume     role = "volume"     // that they mount
)

// Owner says who made a container or an image. It is all that is left of a
// run that was killed, so it names what tells whether that run still lives.
type Owner struct {
	Run  string // the run's name
	Dir  string // the absolute path of the run's folder of results
	Host string // the host name of the process
}

func (o Owner) labels(r role) map[string]string {
	return map[string]string{labelRun: o.Run, labelDir: o.Dir, labelHost: o.Host, labelRole: string(r)}
}

func ownerOf(labels map[string]string) Owner {
	return Owner{Run: labels[labelRun], Dir: labels[labelDir], Host: labels[labelHost]}
}

// safe returns s fit to be part of a container's name and to be an image's
// tag: with every other character replaced by "-", and beginning with neither
// "-" nor ".".
func safe(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		default:
			return '-'
		}
	}, s)
	return strings.TrimLeft(s, "-.")
}

// name returns the name of a part of what the run makes.
func (o Owner) name(part string) string { return safe("sweep-" + o.Run + "-" + part) }

// agentImage is what the images of agents are called, before their tag.
const agentImage = "sweep/agent:"

// tag returns the tag of the run's agent. A tag has at most 128 characters.
func (o Owner) tag() string {
	run := safe(o.Run)
	return agentImage + run[:min(len(run), 128)]
}
