package load

import "sweep/pkg/measure"

// merger makes one stream of reports of what several generators tell. A plan's
// n-th reports are of the same second, whoever plays it: it is told once all
// have told it. The last of them may still wait for answers when others have
// told all.
//
//	agent 0   1  2  3  4
//	agent 1   1  2              2 and what comes before are told
//	agent 2   1  2  3
type merger struct {
	told  [][]measure.Tick // by each, and not passed on
	ended []bool
}

// account is what an agent tells: of a second, or that it has told all.
type account struct {
	agent int
	tick  measure.Tick
	done  bool
}

func newMerger(agents int) *merger {
	return &merger{told: make([][]measure.Tick, agents), ended: make([]bool, agents)}
}

func (m *merger) add(a account) {
	if a.done {
		m.ended[a.agent] = true
		return
	}
	m.told[a.agent] = append(m.told[a.agent], a.tick)
}

// next returns the next report that is whole, or false.
func (m *merger) next() (measure.Tick, bool) {
	var parts []measure.Tick
	for agent, told := range m.told {
		if len(told) > 0 {
			parts = append(parts, told[0])
		} else if !m.ended[agent] {
			return measure.Tick{}, false
		}
	}
	if len(parts) == 0 {
		return measure.Tick{}, false
	}
	for agent, told := range m.told {
		if len(told) > 0 {
			m.told[agent] = told[1:]
		}
	}
	return measure.Together(parts...), true
}

// over reports whether all is told.
func (m *merger) over() bool {
	for agent, told := range m.told {
		if len(told) > 0 || !m.ended[agent] {
			return false
		}
	}
	return true
}
