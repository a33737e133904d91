package load

import (
	"os"
	"strconv"
	"strings"

	"sweep/pkg/measure"
)

// networkCounts returns what the kernel has counted since this process's
// network namespace was made, or false where it doesn't say.
func networkCounts() (measure.Network, bool) {
	extended, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return measure.Network{}, false
	}
	basic, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		return measure.Network{}, false
	}
	return parseNetwork(string(extended), string(basic))
}

// parseNetwork reads the texts of /proc/net/netstat and /proc/net/snmp, or
// returns false where one of the counters isn't in them.
func parseNetwork(extended, basic string) (n measure.Network, ok bool) {
	for _, c := range []struct {
		to                   *uint64
		text, protocol, name string
	}{
		{&n.ListenOverflows, extended, "TcpExt", "ListenOverflows"},
		{&n.ListenDrops, extended, "TcpExt", "ListenDrops"},
		{&n.Retransmits, basic, "Tcp", "RetransSegs"},
	} {
		if *c.to, ok = counter(c.text, c.protocol, c.name); !ok {
			return measure.Network{}, false
		}
	}
	return n, true
}

// counter finds a counter in a text that has two lines for each protocol, one
// of names and one of values:
//
//	Tcp: RtoAlgorithm RtoMin ...
//	Tcp: 1 200 ...
func counter(text, protocol, name string) (uint64, bool) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, value := range fields {
			if i < len(names) && names[i] == name {
				n, err := strconv.ParseUint(value, 10, 64)
				return n, err == nil
			}
		}
	}
	return 0, false
}
