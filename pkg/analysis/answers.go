package analysis

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sweep/pkg/measure"
)

// failing returns the windows that failed as one.
func (l lead) failing() (all measure.Window) {
	for _, w := range l.windows[l.onset:] {
		all.Merge(w)
	}
	return all
}

// blamed reports whether so many failed requests are what failed, though CPU
// and memory were idle. An objective of latency is missed by right answers, so
// that wrong ones must be more than a few to tell of the same.
func (l lead) blamed(n uint64, breach *Breach) bool {
	const few = 0.01
	all := l.failing()
	errors := breach != nil && (breach.Objective == "errors" || breach.Objective == "goodput")
	return n > all.Failed()/2 && (errors || float64(n) >= few*float64(all.Sent)) && l.relaxed()
}

// downstream tells of answers which say that what the service asks failed it.
func (l lead) downstream(breach *Breach) []string {
	all := l.failing()
	told, unsaid := all.Statuses[502]+all.Statuses[504], all.Statuses[503]
	if !l.blamed(told+unsaid, breach) {
		return nil
	}
	says := []string{statuses(all, 502, 503, 504) + ", while CPU and memory were idle"}
	switch {
	case unsaid <= told:
		return says
	case l.undisturbed(), len(l.capped()) > 0:
		return nil
	}
	return append(says, "503 doesn't say who is overloaded: right answers got slow or few, as where something behind it is, but it may shed load itself")
}

// sheds tells of a service that turns requests away to keep others quick.
func (l lead) sheds(breach *Breach) []string {
	all := l.failing()
	if !l.blamed(all.Statuses[503], breach) || !l.undisturbed() {
		return nil
	}
	return []string{
		statuses(all, 503) + ", while CPU and memory were idle",
		fmt.Sprintf("right answers went on, %s/s that take %s: it turns away what is more, or something behind it does", whole(flow(l.windows[l.onset:]).answers), Short(all.Response.Quantile(0.5))),
	}
}

// undisturbed reports whether right answers came as quickly and as often as
// before the failure.
func (l lead) undisturbed() bool {
	before, since := l.windows[l.from:l.onset], l.windows[l.onset:]
	median := answered(since).Quantile(0.5)
	return median > 0 && float64(median) <= flat*float64(l.quickest) && flow(since).answers >= collapse*flow(before).answers
}

// statuses tells how many failures were answers of these statuses.
func statuses(w measure.Window, those ...int) string {
	var parts []string
	for _, status := range those {
		if n := w.Statuses[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d answers: %s", status, Thousands(int(n))))
		}
	}
	return fmt.Sprintf("%s of %s failures", strings.Join(parts, ", "), Thousands(int(w.Failed())))
}

// misanswers tells of wrong answers, where those are what failed.
func (l lead) misanswers(breach *Breach) []string {
	all := l.failing()
	if breach == nil || breach.Objective != "errors" && breach.Objective != "goodput" || !l.blamed(wrong(all), breach) {
		return nil
	}
	var kinds []string
	unknown := all.Errors[measure.BadStatus]
	for _, status := range slices.Sorted(maps.Keys(all.Statuses)) {
		kinds = append(kinds, fmt.Sprintf("%s with status %d", Thousands(int(all.Statuses[status])), status))
		unknown -= min(unknown, all.Statuses[status])
	}
	for _, kind := range []struct {
		n    uint64
		what string
	}{{unknown, "with a wrong status that wasn't recorded, which might blame something behind it"}, {all.Errors[measure.BadContent], "content"}, {all.Errors[measure.Protocol], "protocol"}} {
		if kind.n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s", Thousands(int(kind.n)), kind.what))
		}
	}
	return []string{"wrong answers while CPU and memory were idle: " + strings.Join(kinds, ", ")}
}
