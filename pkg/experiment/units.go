package experiment

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// CPUs is an amount of CPU in nano-CPUs, as the Engine counts it: 1e9 is one
// core's time. It reads and writes as a decimal number of cores: "0.5", "2".
type CPUs int64

// nano is the number of nano-CPUs, or decimal places, in one CPU.
const (
	nano       = 1_000_000_000
	nanoDigits = 9
)

// ParseCPUs reads a decimal number of cores. It works on the digits, so that
// "0.7" is exactly 700,000,000 nano-CPUs. The least that the kernel can grant
// is 0.01 (1 ms of each 100 ms).
func ParseCPUs(s string) (CPUs, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if whole == "" && frac == "" || len(frac) > nanoDigits || strings.ContainsAny(s, "+-_eExX") {
		return 0, fmt.Errorf("%q is not a number of CPUs; write a decimal such as 0.5 or 2", s)
	}
	n, err := strconv.ParseInt("0"+whole+frac+strings.Repeat("0", nanoDigits-len(frac)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of CPUs; write a decimal such as 0.5 or 2", s)
	}
	if c := CPUs(n); c >= nano/100 {
		return c, nil
	}
	return 0, fmt.Errorf("%s CPUs is too little; the least is 0.01", s)
}

// Float returns c as a number of cores.
func (c CPUs) Float() float64 { return float64(c) / nano }

// String returns the shortest decimal, "0.5".
func (c CPUs) String() string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%09d", c/nano, c%nano), "0"), ".")
}

// MarshalText writes c as [CPUs.String] does.
func (c CPUs) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what [ParseCPUs] reads.
func (c *CPUs) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCPUs(string(text))
	return err
}

// MarshalJSON writes c as a number of cores.
func (c CPUs) MarshalJSON() ([]byte, error) { return c.MarshalText() }

// UnmarshalJSON reads a number of cores.
func (c *CPUs) UnmarshalJSON(text []byte) error { return c.UnmarshalText(text) }

// Bytes is an amount of memory. It reads as Docker reads it, in powers of
// 1024: "200M", "200MB" and "200MiB" are all 200 MiB.
type Bytes int64

// The units of memory that Bytes writes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// MinMemory is the least memory limit that the Engine accepts.
const MinMemory = 6 * MiB

// maxMemory is more than any machine has. Beyond it numbers would overflow.
const maxMemory = 1 << 60

// ParseBytes reads an amount of memory as Docker's --memory does.
func ParseBytes(s string) (Bytes, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n <= 0 || Bytes(n) > maxMemory {
		return 0, fmt.Errorf("%q is not an amount of memory; write a number and a unit such as 200M or 1G", s)
	}
	return Bytes(n), nil
}

// String returns b in the largest unit that divides it, in Docker's short
// form: "200M", "1536M", "2G".
func (b Bytes) String() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{GiB, "G"}, {MiB, "M"}, {KiB, "K"}} {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MiB returns b as a number of mebibytes.
func (b Bytes) MiB() float64 { return float64(b) / float64(MiB) }

// MarshalText writes b as [Bytes.String] does.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what [ParseBytes] reads.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// MarshalJSON writes b as a number of bytes.
func (b Bytes) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(b), 10), nil }

// UnmarshalJSON reads a number of bytes, which may be 0: nothing used.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a number of bytes", text)
	}
	*b = Bytes(n)
	return nil
}

// Duration is a length of time that reads and writes as Go's do: "500ms",
// "1m30s". It is never negative.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the short form: "2m", not "2m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes d as [Duration.String] does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a length of time with its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a length of time; write a number and a unit such as 500ms, 30s or 2m", text)
	}
	*d = Duration(v)
	return nil
}

// Share is a part of a whole, from 0 to 1. It reads as a percentage, "1%", or
// as a fraction, "0.01", to a millionth of a percent, and writes as a
// percentage.
type Share float64

// sharePrecision is the number of steps from 0 to 1 that a Share distinguishes.
const sharePrecision = 1e8

// String returns the percentage, "0.5%".
func (s Share) String() string {
	return strconv.FormatFloat(math.Round(float64(s)*sharePrecision)/(sharePrecision/100), 'f', -1, 64) + "%"
}

// MarshalText writes s as [Share.String] does.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a percentage or a fraction.
func (s *Share) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is not a share; write a percentage such as 1%% or a fraction such as 0.01", text)
	}
	*s = Share(math.Round(v*sharePrecision) / sharePrecision)
	return nil
}

// Rate is a number of requests a second. It reads and writes as "500/s"; the
// number is whole.
type Rate int

// String returns the rate with its unit, "500/s".
func (r Rate) String() string { return strconv.Itoa(int(r)) + "/s" }

// MarshalText writes r as [Rate.String] does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a whole number of requests a second.
func (r *Rate) UnmarshalText(text []byte) error {
	number, perSecond := strings.CutSuffix(string(text), "/s")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || !perSecond {
		return fmt.Errorf("%q is not a rate; write a whole number of requests a second such as 500/s", text)
	}
	*r = Rate(n)
	return nil
}

// Limits is one cell of the matrix: what a fresh container of the service may
// use, and what it sets besides ([Limits.Setting]). It is comparable, so it is a
// map key.
type Limits struct {
	CPU    CPUs  `yaml:"cpus" json:"cpus" required:"true" doc:"how many CPUs the service may use: 0.5, 2"`
	Memory Bytes `yaml:"memory" json:"memory" required:"true" doc:"how much memory the service may use, without swap, as Docker reads it: 200M is 200 MiB"`

	Env   Variables `yaml:"env,omitempty" json:"env,omitempty" keep:"cpus,memory_bytes" doc:"environment of the service in this cell"`
	Image string    `yaml:"image,omitempty" json:"image,omitempty" doc:"the service's image in this cell"`
}

// Within reports whether l grants no more than m of either resource, with the
// same setting. It is a partial order: of 1 CPU / 500M and 2 CPU / 200M neither
// is within the other, nor is any cell within one of another setting.
func (l Limits) Within(m Limits) bool {
	return l.CPU <= m.CPU && l.Memory <= m.Memory && l.Setting() == m.Setting()
}

// String returns the form that people read: "2 CPU / 500M", or "2 CPU / 500M
// with WORKERS=2".
func (l Limits) String() string {
	text := fmt.Sprintf("%s CPU / %s", l.CPU, l.Memory)
	if s := l.Setting(); s != (Setting{}) {
		text += " with " + s.String()
	}
	return text
}

// Slug returns the form that file names use: "2cpu-500M", or
// "2cpu-500M-WORKERS=2".
func (l Limits) Slug() string {
	text := fmt.Sprintf("%scpu-%s", l.CPU, l.Memory)
	if s := l.Setting(); s != (Setting{}) {
		text += "-" + s.Slug()
	}
	return text
}
