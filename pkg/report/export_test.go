package report

import (
	"bytes"
	"encoding/csv"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sweep/pkg/measure"
)

// exported is two seconds of load: the first right, the second half wrong.
func exported() (measure.Series, time.Time) {
	h := measure.NewHistogram(measure.Bucket{Value: 2 * time.Millisecond, Count: 98}, measure.Bucket{Value: 40 * time.Millisecond, Count: 2})
	s := measure.Series{At: 2 * time.Second, Windows: []measure.Window{
		{Length: time.Second, Users: 10, Sent: 100, Done: 100, Service: h, Response: h},
		{Start: time.Second, Length: time.Second, Users: 20, Sent: 4, Errors: map[measure.Class]uint64{measure.Refused: 4}},
	}}
	return s, time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC)
}

func TestHistogramLogIsReadByItsLibrary(t *testing.T) {
	s, began := exported()
	var b bytes.Buffer
	if err := HistogramLog(&b, s, began); err != nil {
		t.Fatal(err)
	}
	reader := hdrhistogram.NewHistogramLogReader(&b)
	for _, tag := range []string{"service", "response"} {
		h, err := reader.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("%s: %v, %v", tag, h, err)
		}
		median, longest := time.Duration(h.ValueAtPercentile(50)), time.Duration(h.ValueAtPercentile(100))
		if h.Tag() != tag || h.TotalCount() != 100 || median.Round(100*time.Microsecond) != 2*time.Millisecond || longest.Round(time.Millisecond) != 40*time.Millisecond {
			t.Errorf("%s: %d values, median %v, longest %v", h.Tag(), h.TotalCount(), median, longest)
		}
		if h.StartTimeMs() != began.UnixMilli() {
			t.Errorf("begins at %d, want %d", h.StartTimeMs(), began.UnixMilli())
		}
	}
	if h, _ := reader.NextIntervalHistogram(); h != nil {
		t.Error("a second without answers has a histogram")
	}
}

func TestLocustHistoryHasLocustsColumns(t *testing.T) {
	s, began := exported()
	var b bytes.Buffer
	if err := LocustHistory(&b, s, began); err != nil {
		t.Fatal(err)
	}
	const want = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%," +
		"Total Request Count,Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,Total Max Response Time,Total Average Content Size\n" +
		"1795428901,10,,Aggregated,100,0,2,2,2,2,2,2,2,40,40,40,40,100,0,2,2.76,2,40,N/A\n" +
		"1795428902,20,,Aggregated,4,4,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,N/A,104,4,2,2.76,2,40,N/A\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if _, err := csv.NewReader(&b).ReadAll(); err != nil {
		t.Error(err)
	}
}
