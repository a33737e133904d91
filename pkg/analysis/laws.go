package analysis

import (
	"fmt"
	"math"
	"time"

	"sweep/pkg/experiment"
	"sweep/pkg/measure"
)

// What closed users can send follows from how long their rounds take: N users
// whose rounds take R for the answer and Z for the wait send X = N / (R + Z)
// requests per second. It is Little's law for an interactive system (Denning
// and Buzen, "The Operational Analysis of Queueing Network Models", Computing
// Surveys 10(3), 1978) and holds whatever the service does. Open load has no
// rounds: whatever the service does, it is sent what is due, and to that
// [missingArrivals] holds it.

// round returns how long a user's round takes whose answer takes response.
func round(w experiment.Wait, response time.Duration) time.Duration {
	return w.Next(0, response, 0.5) // the mean of a random wait
}

// meanRound returns the mean round over the right answers.
func meanRound(w experiment.Wait, responses measure.Histogram) time.Duration {
	var sum, n float64
	for _, b := range responses.Buckets() {
		sum += float64(b.Count) * float64(round(w, b.Value))
		n += float64(b.Count)
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum / n)
}

// When Little's law is held against a load, and how far it may be missed. A
// round that is cut by either end of the seconds that are looked at isn't
// counted right: with twenty rounds between them, even a doubling of the
// round's length from one end to the other misses by no more than 2.5 %. A
// histogram's buckets and the failures add up to 1.2 %.
const (
	lawRounds   = 20
	lawFailures = 0.01 // share of requests whose time isn't known
	lawMiss     = 0.05
)

// little holds the longest time of constant users against Little's law. Where
// it is missed, the instrument contradicts itself: it lost requests, or counted
// times wrongly.
func little(e *experiment.Experiment, windows []measure.Window) []string {
	held := steady(windows)
	if e.Users.Open() || len(held) == 0 {
		return nil
	}
	all := pool(held).all
	length, users := all.Length.Seconds(), float64(all.Users)
	took := meanRound(e.Users.Wait, all.Response).Seconds()
	if took <= 0 || length < lawRounds*took || float64(all.Sent-min(all.Sent, all.Done)) > lawFailures*float64(all.Sent) {
		return nil
	}
	sent, expected := float64(all.Sent)/length, users/took
	if math.Abs(sent/expected-1) <= lawMiss {
		return nil
	}
	return []string{fmt.Sprintf("the measurement contradicts itself: %s users whose rounds take %s on average send %s requests/s, but %s were counted over %s",
		Thousands(all.Users), Short(seconds(took)), Thousands(int(math.Round(expected))), Thousands(int(math.Round(sent))), all.Length.Round(time.Second))}
}

// steady returns the longest run of windows in which nobody came or left and
// no request is unsettled.
func steady(windows []measure.Window) []measure.Window {
	var longest []measure.Window
	from := 1
	for i := 1; i < len(windows); i++ {
		if w := windows[i]; w.Users == 0 || w.Users != windows[i-1].Users || w.Pending() > 0 {
			from = i + 1
		} else if run := windows[from : i+1]; len(run) > len(longest) {
			longest = run
		}
	}
	return longest
}

// deficit returns how much less than its users would at low load, where an
// answer takes quickest, the span's load was, 0 to 1. It is 0 where quickest
// isn't known, and for open load, which isn't eased by slow answers.
func (s span) deficit(u experiment.Users, quickest time.Duration) float64 {
	took := round(u.Wait, quickest).Seconds()
	if u.Open() || quickest <= 0 || took <= 0 {
		return 0
	}
	ramp, expected := u.Ramp(), 0.0
	for _, w := range s.windows {
		users, _ := ramp.Users(w.Start + w.Length/2)
		expected += float64(users) * w.Length.Seconds() / took
	}
	if expected <= 0 {
		return 0
	}
	return max(0, 1-float64(s.all.Sent)/expected)
}

// deficitTold is the deficit from which on it is told of a level that passed.
const deficitTold = 0.10

// eased tells where users who were carried asked for notably less than they
// would have of a faster service. It is their nature, not a fault: closed users
// wait for their answers. Users who never wait ask for as much as they can get.
func (s scanned) eased(e *experiment.Experiment, v Verdict) []string {
	if v.Outcome != Passed || v.LastPass.Deficit <= deficitTold || e.Users.Wait.Mean() == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s users made %s requests/s, %s fewer than they would with answers in %s as at low load",
		Thousands(v.LastPass.Users), Thousands(int(math.Round(v.LastPass.Throughput))), percent(v.LastPass.Deficit), Short(s.quickest))}
}
