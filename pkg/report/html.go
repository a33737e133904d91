package report

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter/tw"

	"sweep/pkg/analysis"
)

//go:embed page/index.html.tmpl
var pageTemplate string

//go:embed page/style.css
var pageStyle string

//go:embed page/script.js
var pageScript string

// A page is what the template fills in. All of its text is escaped there; what
// isn't is the pictures, which escape theirs, and the page's own style and script.
type (
	page struct {
		Title, Run, Answer, Caption, Omitted string

		Facts, Environment []fact
		Matrix             figure
		Prices             *figure
		Heads              []value
		Rows               []cellRow
		Legend             []string
		Causes             []failure
		Stories            []story
		Lists              []listing
		Besides            int    // how many remarks limit what the numbers say
		Experiment         string // as a file
		Live               bool   // the run goes on
		Style              template.CSS
		Script             template.JS
		ScriptHash         string // the only script that a browser may run
	}
	fact  struct{ Name, Value string }
	value struct {
		Text  string
		Right bool
	}
	cellHead struct {
		ID, Name string
		Kind     string // passed, failed, unknown, unmeasured: a class of the style
		Minimal  bool
		Running  bool
	}
	cellRow struct {
		cellHead

		Values []value
	}
	// A figure is a picture beside its numbers.
	figure struct {
		Label  string
		Note   string // how to read it
		SVG    template.HTML
		Width  int // at which its text is as large as the page's smallest, in pixels
		Tables []*data

		Axis          bool    // whether the first table's first column is what the picture's axis counts
		From, To, End float64 // where the axis goes, as shares of the width; and its last value
	}
	data struct {
		Title string
		Heads []string
		Rows  [][]string
	}
	story struct {
		cellHead

		Sign, Outcome, Bracket, Cause string

		Evidence, Notes []string
		Starts          []start // the one that speaks for the cell first
		Omitted         int     // how many starts aren't among them
		Figures         []figure
		Each            *data
	}
	// A start is one of a cell, second by second.
	start struct {
		Name, Kind, Sign, Outcome string

		Speaks bool // for the cell, of several
		Figure figure
	}
	// A failure is why a cell failed, in a line, and what shows it.
	failure struct {
		cellHead

		Sign, Outcome, Bracket, Cause, Evidence string
	}
	listing struct {
		ID    string
		Title string
		Items []string
	}
)

// drawn is how many cells' stories have pictures. More would make a page that
// nobody can open; see [Every].
const drawn = 36

// HTML writes a run as one page that needs nothing beside it: the answer, the
// matrix, each cell's story in pictures and numbers, and what it was measured with.
func HTML(w io.Writer, r Run) error {
	pictured := 0
	p, err := r.page(func(string) bool { pictured++; return pictured <= drawn })
	if err != nil {
		return err
	}
	p.run(pageScript)
	return p.write(w)
}

// run gives the page the only script that a browser may run there.
func (p *page) run(script string) {
	hash := sha256.Sum256([]byte(script))
	p.Script = template.JS(script) // this package's own
	p.ScriptHash = "sha256-" + base64.StdEncoding.EncodeToString(hash[:])
}

func (p page) write(w io.Writer) error {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	return nil
}

// page returns what the page says. pictured says which cells' stories have
// pictures, by their ids.
func (r Run) page(pictured func(id string) bool) (page, error) {
	var text []byte
	if r.Experiment != nil {
		var err error
		if text, err = r.Experiment.YAML(); err != nil {
			return page{}, err //nolint:wrapcheck // says what was written
		}
	}
	p := page{
		Experiment: Printable(string(text)),
		Title:      clean(r.Surface.Experiment, nameLength), Run: clean(r.ID, nameLength), Answer: unbroken(clean(r.Surface.Answer, lineLength)), Caption: r.caption(),
		Facts: r.facts(), Environment: r.environment(), Legend: r.legend(), Causes: r.failures(),
	}
	w := &wardrobe{names: map[string]string{}}
	var err error
	if p.Matrix, err = w.pictured(Matrix(r), "Which configurations carry the load"); err != nil {
		return page{}, err
	}
	p.Matrix.Note = "" // which would be the answer again
	p.Heads, p.Rows = r.rows()
	if p.Prices, err = r.prices(w); err != nil {
		return page{}, err
	}
	if p.Stories, err = r.stories(w, pictured); err != nil {
		return page{}, err
	}
	if len(p.Stories) > drawn {
		p.Omitted = fmt.Sprintf("The first %d have pictures here; sweep report --trials draws those of all.", drawn)
	}
	besides := r.besides()
	p.Besides = len(besides)
	for _, l := range []listing{
		{"levels", "Levels that were held", r.levels()}, {"predicted", "Predicted, not measured", r.foretold()}, {"besides", "To know besides", besides},
	} {
		if len(l.Items) > 0 {
			p.Lists = append(p.Lists, l)
		}
	}
	p.Style = template.CSS(pageStyle + w.rules.String()) // this package's own, and its pictures'
	return p, nil
}

// unbroken keeps a limit on one line with what it limits.
func unbroken(s string) string { return strings.ReplaceAll(s, " <= ", "\u00a0<=\u00a0") }

// A wardrobe holds the styles of all pictures on a page, each once: they are
// few, and used thousands of times.
type wardrobe struct {
	names map[string]string // classes by styles
	rules strings.Builder
}

// class names a style.
func (w *wardrobe) class(style string) string {
	name, ok := w.names[style]
	if !ok {
		name = "s" + strconv.Itoa(len(w.names))
		w.names[style] = name
		w.rules.WriteString("." + name + "{" + style + "}\n")
	}
	return name
}

// dressed returns an SVG with classes instead of styles.
func (w *wardrobe) dressed(svg string) string {
	const upright = ` transform="scale(1, -1)"` // as all text has, which would be upside down
	var b strings.Builder
	b.Grow(len(svg))
	for {
		before, rest, ok := strings.Cut(svg, `style="`)
		style, after, ends := strings.Cut(rest, `"`)
		if !ok || !ends {
			b.WriteString(svg)
			return b.String()
		}
		before, turned := strings.CutSuffix(strings.TrimRight(before, " \n\t"), upright)
		if turned {
			style += ";transform:scale(1,-1)"
		}
		b.WriteString(before + " class=" + w.class(style))
		svg = after
	}
}

// pictured returns a picture as a figure without numbers, nor the text around
// it: the page has that.
func (w *wardrobe) pictured(p *Picture, label string) (figure, error) {
	p.bare = true
	var b strings.Builder
	if err := p.WriteSVG(&b); err != nil {
		return figure{}, err
	}
	_, body, _ := strings.Cut(w.dressed(b.String()), "<svg") // without what XML begins with
	width, _ := p.size()
	const pixel = 0.75                                                                                                    // of points
	f := figure{Label: label, Note: p.Description, SVG: template.HTML("<svg" + body), Width: int(float64(width) / pixel)} // a picture escapes its text
	if p.axis != nil {
		f.Axis, f.End = true, p.axis.end
		f.From, f.To = p.reach()
	}
	return f, nil
}

// rows returns the table of cells, as the other formats have it.
func (r Run) rows() (heads []value, rows []cellRow) {
	columns := r.columns()
	columns = append(columns[2:], column{"Price per million answers", tw.AlignRight, perMillion}) // limits name the row
	for _, c := range columns {
		heads = append(heads, value{strings.ReplaceAll(c.head, "\n", " "), c.side == tw.AlignRight})
	}
	for i, cell := range r.Surface.Cells {
		row := cellRow{cellHead: r.head(i, cell)}
		for _, c := range columns {
			row.Values = append(row.Values, value{clean(c.text(cell), lineLength), c.side == tw.AlignRight})
		}
		rows = append(rows, row)
	}
	return heads, rows
}

func (r Run) head(i int, c analysis.Cell) cellHead {
	return cellHead{ID: fmt.Sprintf("cell-%d", i+1), Name: named(c.Trial.Limits), Kind: kind(c), Minimal: r.minimal(c), Running: r.running(c)}
}

func kind(c analysis.Cell) string {
	switch {
	case !c.Measured:
		return "unmeasured"
	case !c.Outcome.Known():
		return "unknown"
	case c.Outcome.Failed():
		return "failed"
	default:
		return "passed"
	}
}

// signs stand before outcomes: colour alone tells nothing.
func signOf(kind string) string {
	return map[string]string{"passed": "✓", "failed": "✗", "unknown": "?", "unmeasured": "–"}[kind]
}

// failures says of each cell that failed where and why.
func (r Run) failures() []failure {
	var out []failure
	for i, c := range r.Surface.Cells {
		if !c.Outcome.Failed() {
			continue
		}
		f := failure{cellHead: r.head(i, c), Sign: signOf("failed"), Outcome: r.outcome(c), Bracket: bracket(c, r.unit())}
		if c.Cause != nil {
			if why := cause(c); !strings.HasPrefix(f.Outcome, why) { // else the outcome is the cause
				f.Cause = why
			}
			f.Evidence = evidence(c)
		}
		out = append(out, f)
	}
	return out
}

// facts returns what to take, in numbers.
func (r Run) facts() []fact {
	m := r.Surface.Minimal
	if m == nil {
		return nil
	}
	out := []fact{
		{"Take", "★ " + named(m.Limits)},
		{"Carries", fmt.Sprintf("%.2f × the %s %s asked for", m.Headroom, analysis.Thousands(r.Surface.Target), r.unit())},
		{"Costs", dollars(m.PriceHour) + " per hour"},
	}
	if m.PricePerMillion > 0 {
		out = append(out, fact{"A million answers", fine(m.PricePerMillion)})
	}
	return out
}

// prices returns what capacity costs, nil where there are fewer than two cells
// to hold against each other.
func (r Run) prices(w *wardrobe) (*figure, error) {
	o := newOffers(r)
	if len(o.all) < 2 {
		return nil, nil // no figure, and no fault
	}
	f, err := w.pictured(Prices(r), "Price by capacity")
	if err != nil {
		return nil, err
	}
	table := &data{Title: "Price by capacity, in numbers", Heads: []string{"configuration", r.unit() + " carried", "per hour", "best for that"}}
	for _, a := range o.all {
		carries, best := analysis.Thousands(int(a.carries)), ""
		if a.more {
			carries = "at least " + carries
		}
		if a.best {
			best = "yes"
		}
		table.Rows = append(table.Rows, []string{a.name, carries, dollars(a.price), best})
	}
	f.Tables = []*data{table}
	return &f, nil
}
