package engine

import (
	"testing"

	"github.com/docker/docker/api/types/container"

	"sweep/pkg/experiment"
)

func TestLimitsOf(t *testing.T) {
	const half = experiment.CPUs(500_000_000)
	for _, c := range []struct {
		name string
		set  container.Resources
		want experiment.Limits
	}{
		{"none", container.Resources{CPUQuota: -1}, experiment.Limits{}},
		{"a number of CPUs", container.Resources{NanoCPUs: 500_000_000, Memory: 7 << 20}, experiment.Limits{CPU: half, Memory: 7 << 20}},
		{"a quota of a period", container.Resources{CPUQuota: 25_000, CPUPeriod: 50_000}, experiment.Limits{CPU: half}},
		{"a quota of the standard period", container.Resources{CPUQuota: 50_000}, experiment.Limits{CPU: half}},
	} {
		if got := limitsOf(c.set); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
