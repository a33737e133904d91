package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"sweep/pkg/analysis"
)

// AppendHistory appends a night to the history at path, as one line, written at
// once and on the disk when it returns. Folders on the way are made. Where a
// killed writer left half a line, that stays one of its own.
func AppendHistory(path string, n analysis.Night) error {
	n.Schema = analysis.NightSchema
	if err := n.Check(); err != nil {
		return fmt.Errorf("adding to the history: the night %w", err)
	}
	line, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("adding to the history: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("adding to the history: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("adding to the history: %w", err)
	}
	if err := errors.Join(appendLine(f, line), f.Close(), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("adding to the history %s: %w", path, err)
	}
	return nil
}

// appendLine adds a line to a file that nobody else writes to meanwhile.
func appendLine(f *os.File, line []byte) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err //nolint:wrapcheck // wrapped by AppendHistory
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by AppendHistory
	}
	text := slices.Concat(line, []byte("\n"))
	if end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err //nolint:wrapcheck // wrapped by AppendHistory
		}
		if last[0] != '\n' {
			text = slices.Concat([]byte("\n"), text)
		}
	}
	if _, err := f.Write(text); err != nil {
		return err //nolint:wrapcheck // wrapped by AppendHistory
	}
	return f.Sync() //nolint:wrapcheck // wrapped by AppendHistory
}

// ReadHistory reads the nights of the history at path, in the order of its
// lines. Lines that can't be read are left out and warned of: one that was cut
// off mustn't cost the others.
func ReadHistory(path string) (nights []analysis.Night, warnings []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the history: %w; sweep check writes one", err)
	}
	nights, warnings = parseHistory(filepath.Base(path), text)
	return nights, warnings, nil
}

// parseHistory reads the lines of a history called name.
func parseHistory(name string, text []byte) (nights []analysis.Night, warnings []string) {
	const most = 5 // warnings: what is wrong with one line often is with all
	number, bad := 0, 0
	for line := range bytes.Lines(text) {
		number++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		night, err := parseNight(line)
		if err == nil {
			nights = append(nights, night)
			continue
		}
		if bad++; bad <= most {
			warnings = append(warnings, fmt.Sprintf("%s:%d: left out: %v", name, number, err))
		}
	}
	if bad > most {
		warnings = append(warnings, fmt.Sprintf("%s: %d more lines left out", name, bad-most))
	}
	return nights, warnings
}

// parseNight reads a line. Which format it has comes first: another one may
// have other fields.
func parseNight(line []byte) (analysis.Night, error) {
	var format struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(line, &format); err != nil {
		cut := "isn't JSON"
		if !bytes.HasSuffix(line, []byte("\n")) {
			cut = "was cut off"
		}
		return analysis.Night{}, fmt.Errorf("it %s (%d bytes: %w)", cut, len(line), err)
	}
	night := analysis.Night{Schema: format.Schema}
	if format.Schema == analysis.NightSchema {
		if err := json.Unmarshal(line, &night); err != nil {
			return analysis.Night{}, fmt.Errorf("it isn't a night: %w", err)
		}
	}
	if err := night.Check(); err != nil {
		return analysis.Night{}, fmt.Errorf("it %w", err)
	}
	return night, nil
}
