package experiment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in an experiment file. Lines and columns count from 1.
type Pos struct {
	File         string
	Line, Column int
}

// String returns the form that editors jump to: "x.yaml:12:9".
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Fault is one thing that is wrong with an experiment file.
type Fault struct { //nolint:errname // reads as what it is: a fault at a position
	Pos
	Path    string // of the key, such as "users.wait" or "matrix.cpus[1]"; empty for the file as a whole
	Message string // what is wrong and what is allowed
}

// Error returns the fault in one line, its position first.
func (f Fault) Error() string {
	if f.Path == "" {
		return f.String() + ": " + f.Message
	}
	return f.String() + ": " + f.Path + ": " + f.Message
}

// Faults is everything that is wrong with an experiment file, sorted by
// position. It is the type of the error that [Parse] returns.
type Faults []Fault //nolint:errname // likewise

// Error returns one fault per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Nearest returns the name that s abbreviates or is most like, or "" if there
// is none.
func Nearest(s string, names []string) string {
	s = strings.ToLower(s)
	best, least := "", len(s)/3+2
	for _, name := range names {
		if len(s) > 1 && strings.HasPrefix(name, s) {
			return name
		}
		if n := distance(s, name); n < least {
			best, least = name, n
		}
	}
	return best
}

// distance is the Levenshtein distance: how many bytes to insert, delete or
// replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
