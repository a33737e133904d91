package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	ignoreFile = ".dockerignore"
	// outside is the name by which a Dockerfile is sent that lies outside of
	// its context, and so has none there.
	outside = ".dockerfile.sweep"
)

// A buildContext is the folder that a build can copy from, as it is sent.
type buildContext struct {
	dir        string                         // absolute, no symbolic link
	dockerfile string                         // its name in what is sent, with slashes
	first      map[string][]byte              // sent whatever is ignored, and instead of files of these names
	ignored    *patternmatcher.PatternMatcher // what isn't sent
}

// openContext finds the files that decide what is sent. The dockerfile is
// relative to dir, or absolute; "" is Dockerfile.
func openContext(dir, dockerfile string) (*buildContext, error) {
	c, err := contextFolder(dir)
	if err != nil {
		return nil, err
	}
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	file := dockerfile
	if !filepath.IsAbs(file) {
		file = filepath.Join(c.dir, dockerfile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, noDockerfile(c.dir, dockerfile, err)
	}
	rel, err := filepath.Rel(c.dir, file)
	if err != nil {
		return nil, err
	}
	rules, err := c.ignore(file)
	if err != nil {
		return nil, err
	}
	c.dockerfile = filepath.ToSlash(rel)
	if !filepath.IsLocal(rel) {
		c.dockerfile = outside
		rules = append(bytes.TrimSpace(rules), "\n"+outside+"\n"...) // the engine removes it after it has read it
	}
	c.first = map[string][]byte{c.dockerfile: text}
	if len(rules) > 0 {
		c.first[ignoreFile] = rules
	}
	return c, nil
}

func contextFolder(dir string) (*buildContext, error) {
	dir, err := filepath.EvalSymlinks(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such folder; name the one that its Dockerfile copies from")
	case err != nil:
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	} else if !info.IsDir() {
		return nil, errors.New("it is a file; name the folder that its Dockerfile copies from")
	}
	return &buildContext{dir: dir}, nil
}

// ignore reads what isn't to be sent, from DOCKERFILE.dockerignore or else from
// the context's .dockerignore, and returns the rules as they are written.
func (c *buildContext) ignore(dockerfile string) ([]byte, error) {
	name := dockerfile + ignoreFile
	rules, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		name = filepath.Join(c.dir, ignoreFile)
		rules, err = os.ReadFile(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what to ignore: %w", err)
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(rules))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if c.ignored, err = patternmatcher.New(patterns); err != nil {
		return nil, fmt.Errorf("%s has a pattern that can't be read: %w", name, err)
	}
	return rules, nil
}

// noDockerfile says why there is no Dockerfile, and which there are.
func noDockerfile(dir, name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read its Dockerfile: %w", err)
	}
	if there := nearest(name, dockerfiles(dir)); there != "" {
		return fmt.Errorf("it has no file %s; did you mean %s?", name, there)
	}
	return fmt.Errorf("it has no file %s, nor any other Dockerfile", name)
}

// dockerfiles returns the files of a folder, and of the folders in it, that
// have the name of a Dockerfile.
func dockerfiles(dir string) []string {
	var found []string
	folder := os.DirFS(dir)
	for _, depth := range []string{"*", "*/*"} {
		files, _ := fs.Glob(folder, depth) // its errors are of bad patterns alone
		for _, file := range files {
			name := strings.ToLower(path.Base(file))
			named := strings.Contains(name, "docker") || strings.Contains(name, "containerfile")
			if !named || strings.HasSuffix(name, ignoreFile) {
				continue
			}
			if info, err := fs.Stat(folder, file); err == nil && info.Mode().IsRegular() {
				found = append(found, file)
			}
		}
	}
	return found
}

// write writes the context as a tar. As with `docker build`, everything in it
// belongs to root.
func (c *buildContext) write(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(c.first)) {
		content := c.first[name]
		if err := t.WriteHeader(header(name, 0o644, len(content))); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(c.dir, func(file string, entry fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(c.dir, file)
		if relErr != nil || rel == "." {
			return errors.Join(err, relErr)
		}
		send, skipErr := c.sends(filepath.ToSlash(rel), entry)
		switch {
		case !send || skipErr != nil:
			return skipErr // though it can't be read
		case err != nil:
			return err
		}
		return addFile(t, file, filepath.ToSlash(rel), entry)
	})
	if err != nil {
		return err
	}
	return t.Close()
}

// sends reports whether a file is sent. A folder that isn't, nor anything in
// it, is a fs.SkipDir.
func (c *buildContext) sends(name string, entry fs.DirEntry) (bool, error) {
	if _, sent := c.first[name]; sent {
		return false, nil
	}
	ignored, err := c.ignored.MatchesOrParentMatches(name)
	switch {
	case err != nil:
		return false, fmt.Errorf("is %s ignored? %w", name, err)
	case ignored && entry.IsDir() && !c.ignored.Exclusions():
		return false, fs.SkipDir
	}
	return !ignored, nil
}

// addFile adds a file to a tar: a folder, a regular file or a symbolic link, which
// stays one. Sockets, pipes and devices are left out.
func addFile(t *tar.Writer, file, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	link := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode.IsDir():
		name += "/"
	case mode.Type() == fs.ModeSymlink:
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	default:
		return nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	return copyFile(t, file)
}

func copyFile(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // what was read is read
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("send %s: %w", file, err)
	}
	return nil
}
