package report

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// slim writes the paths of an SVG in fewer bytes, and so that nobody sees it:
// places to a tenth of a point, each as the way from the one before; no place
// that is hardly off the line between its neighbours; and paths of the same
// style that follow each other as one.
func slim(svg string) string {
	return joined(between(svg, ` d="`, `"`, func(d string) string {
		if strings.Contains(d, "A") { // an arc
			return fractions(d)
		}
		return slimPath(d)
	}))
}

// between replaces what stands between two marks, wherever both are. It is a
// tenth of a regular expression's work, and pictures are long.
func between(text, opening, closing string, replace func(string) string) string {
	var b strings.Builder
	b.Grow(len(text))
	for {
		before, rest, ok := strings.Cut(text, opening)
		inner, after, ends := strings.Cut(rest, closing)
		if !ok || !ends {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before + opening)
		b.WriteString(replace(inner))
		b.WriteString(closing)
		text = after
	}
}

// fractions rounds numbers that have a fraction to tenths.
func fractions(d string) string {
	return regexp.MustCompile(`\d+\.\d+`).ReplaceAllStringFunc(d, func(x string) string {
		v, _ := strconv.ParseFloat(x, 64) // it is digits
		return tenth(int(math.Round(10 * v)))
	})
}

// A place is where a path goes, in tenths of a point.
type place struct{ x, y int }

// slimPath writes a path of lines alone, as the canvas wrote it: M12.3,4L5,6Z.
func slimPath(d string) string {
	var b strings.Builder
	var line []place
	for rest := d; rest != ""; {
		end := 1
		for end < len(rest) && rest[end] != 'M' && rest[end] != 'L' && rest[end] != 'Z' {
			end++
		}
		letter, where := rest[0], rest[1:end]
		rest = rest[end:]
		if letter != 'L' { // a line begins, or ends where it began
			writeLine(&b, line)
			line = nil
		}
		if letter == 'Z' {
			b.WriteString("Z")
			continue
		}
		at, ok := placeOf(where)
		if !ok || letter != 'M' && letter != 'L' {
			return d
		}
		line = append(line, at)
	}
	writeLine(&b, line)
	return b.String()
}

// placeOf reads a place in points.
func placeOf(text string) (place, bool) {
	across, up, _ := strings.Cut(text, ",")
	x, errX := strconv.ParseFloat(across, 64)
	y, errY := strconv.ParseFloat(up, 64)
	return place{int(math.Round(10 * x)), int(math.Round(10 * y))}, errX == nil && errY == nil
}

func writeLine(b *strings.Builder, line []place) {
	last := place{}
	for i, at := range straightened(line) {
		x, y := tenth(at.x-last.x), tenth(at.y-last.y)
		switch {
		case i == 0:
			b.WriteString("M" + x + "," + y)
		case at.y == last.y:
			b.WriteString("h" + x)
		case at.x == last.x:
			b.WriteString("v" + y)
		default:
			b.WriteString("l" + x + "," + y)
		}
		last = at
	}
}

// tenth writes a number of tenths: "12.3", "-.4".
func tenth(n int) string {
	text := strconv.FormatFloat(float64(n)/10, 'f', -1, 64)
	if sign, rest, ok := strings.Cut(text, "0."); ok && (sign == "" || sign == "-") {
		return sign + "." + rest
	}
	return text
}

// unseen is how far a line may be from where it was drawn, in tenths of a
// point: a third of a pixel.
const unseen = 2.5

// straightened leaves out places that are hardly off the line between those that
// stay (Douglas and Peucker, 1973). The first and the last stay.
func straightened(line []place) []place {
	if len(line) < 3 {
		return line
	}
	from, to := line[0], line[len(line)-1]
	far, at := 0.0, 0
	for i, p := range line[1 : len(line)-1] {
		if d := apart(p, from, to); d > far {
			far, at = d, i+1
		}
	}
	if far <= unseen {
		return []place{from, to}
	}
	return slices.Concat(straightened(line[:at+1]), straightened(line[at:])[1:])
}

// apart returns how far p is from the line between two places.
func apart(p, from, to place) float64 {
	dx, dy := float64(to.x-from.x), float64(to.y-from.y)
	px, py := float64(p.x-from.x), float64(p.y-from.y)
	if long := dx*dx + dy*dy; long > 0 {
		share := max(0, min(1, (px*dx+py*dy)/long))
		px, py = px-share*dx, py-share*dy
	}
	return math.Hypot(px, py)
}

// joined writes paths of the same style that follow each other as one.
func joined(svg string) string {
	const opening, closing = `<path d="`, "\" "
	var b strings.Builder
	style := "" // of the path that is still open
	for line := range strings.Lines(svg) {
		d, rest, ok := strings.Cut(strings.TrimPrefix(line, opening), closing)
		ok = ok && strings.HasPrefix(line, opening)
		if style != "" && (!ok || rest != style) {
			b.WriteString(closing + style)
			style = ""
		}
		switch {
		case !ok:
			b.WriteString(line)
		case style == "":
			b.WriteString(opening + d)
			style = rest
		default:
			b.WriteString(d)
		}
	}
	return b.String()
}
