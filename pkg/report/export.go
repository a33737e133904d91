package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sweep/pkg/measure"
)

// HistogramLog writes a series as an HdrHistogram log, version 1.3, which
// every HdrHistogram tool reads: for each second one histogram of service times
// and one of response times, in nanoseconds, tagged "service" and "response".
// began is when the load began.
func HistogramLog(w io.Writer, s measure.Series, began time.Time) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	start := began.UnixMilli()
	log.SetBaseTime(start)
	for _, step := range []func() error{
		log.OutputLogFormatVersion,
		func() error { return log.OutputStartTime(start) },
		func() error { return log.OutputBaseTime(start) },
		log.OutputLegend,
	} {
		if err := step(); err != nil {
			return err //nolint:wrapcheck // the writer's own
		}
	}
	const digits = 3
	one := hdrhistogram.New(int64(time.Microsecond), int64(2*time.Hour), digits) // large, and so used again
	for _, window := range s.Windows {
		for _, h := range []struct {
			tag string
			measure.Histogram
		}{{"service", window.Service}, {"response", window.Response}} {
			if h.IsZero() {
				continue
			}
			refill(one, h.tag, h.Histogram, window, start)
			if err := log.OutputIntervalHistogram(one); err != nil {
				return err //nolint:wrapcheck // likewise
			}
		}
	}
	return nil
}

// refill makes h a window's histogram as the log wants it.
func refill(h *hdrhistogram.Histogram, tag string, from measure.Histogram, w measure.Window, start int64) {
	h.Reset()
	for _, b := range from.Buckets() {
		_ = h.RecordValues(int64(b.Value), int64(b.Count))
	}
	h.SetTag(tag)
	h.SetStartTimeMs(start + w.Start.Milliseconds())
	h.SetEndTimeMs(start + max(w.End(), w.Start+time.Second).Milliseconds())
}

// locustQuantiles are the columns of a Locust history.
var locustQuantiles = []struct { //nolint:gochecknoglobals // a table
	name string
	q    float64
}{
	{"50%", .5},
	{"66%", .66},
	{"75%", .75},
	{"80%", .8},
	{"90%", .9},
	{"95%", .95},
	{"98%", .98},
	{"99%", .99},
	{"99.9%", .999},
	{"99.99%", .9999},
	{"100%", 1},
}

// LocustHistory writes a series as Locust's PREFIX_stats_history.csv, so that
// what reads one reads the other: a line a second, times in milliseconds. Its
// quantiles are each second's own (Locust's are of ten seconds, or of
// everything) and of right answers alone. Sizes aren't measured: N/A.
func LocustHistory(w io.Writer, s measure.Series, began time.Time) error {
	out := csv.NewWriter(w)
	head := []string{"Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"}
	for _, q := range locustQuantiles {
		head = append(head, q.name)
	}
	lines := [][]string{append(head, "Total Request Count", "Total Failure Count", "Total Median Response Time",
		"Total Average Response Time", "Total Min Response Time", "Total Max Response Time", "Total Average Content Size")}
	var total measure.Window
	for _, window := range s.Windows {
		if window.Length == 0 {
			break
		}
		total.Merge(window)
		lines = append(lines, locustLine(window, total, began))
	}
	return out.WriteAll(lines) //nolint:wrapcheck // the writer's own
}

func locustLine(w, total measure.Window, began time.Time) []string {
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	second := w.Length.Seconds()
	line := []string{
		strconv.FormatInt(began.Add(w.End()).Unix(), 10), strconv.Itoa(w.Users), "", "Aggregated",
		digits(float64(w.Done+w.Failed()) / second), digits(float64(w.Failed()) / second),
	}
	for _, q := range locustQuantiles {
		line = append(line, orNone(w.Response, w.Response.Quantile(q.q)))
	}
	all := total.Response
	return append(line, count(total.Done+total.Failed()), count(total.Failed()), orNone(all, all.Quantile(.5)),
		orNone(all, all.Mean()), orNone(all, all.Quantile(0)), orNone(all, all.Max()), "N/A")
}

// orNone writes milliseconds, or what Locust writes where there are none.
func orNone(h measure.Histogram, d time.Duration) string {
	if h.IsZero() {
		return "N/A"
	}
	return digits(milliseconds(d))
}
