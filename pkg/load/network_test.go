package load

import (
	"testing"

	"sweep/pkg/measure"
)

func TestNetworkTellsOnlyWhatIsNew(t *testing.T) {
	now, ok := measure.Network{ListenOverflows: 5, ListenDrops: 7, Retransmits: 11}, true
	m := &networkMeter{counts: func() (measure.Network, bool) { return now, ok }}
	if got := m.read(); got != nil {
		t.Errorf("the first read, with nothing before: %+v", *got)
	}
	if got := m.read(); got == nil || *got != (measure.Network{}) {
		t.Errorf("nothing came: %+v", got)
	}
	now = measure.Network{ListenOverflows: 6, ListenDrops: 9, Retransmits: 14}
	if got := m.read(); got == nil || *got != (measure.Network{ListenOverflows: 1, ListenDrops: 2, Retransmits: 3}) {
		t.Errorf("got %+v", got)
	}
	if ok = false; m.read() != nil {
		t.Error("the kernel says nothing, but something is told")
	}
	if ok = true; m.read() != nil {
		t.Error("what came since isn't known, but something is told")
	}
	if now = (measure.Network{}); m.read() != nil {
		t.Error("counters that went back are of another namespace, but something is told")
	}
}

// On the host these counters belong to whatever runs there.
func TestOnlyAnAgentInsideTellsOfTheNetwork(t *testing.T) {
	if newNetworkMeter(&Plan{}).read() != nil {
		t.Error("outside the service's namespace, but something is told")
	}
}
