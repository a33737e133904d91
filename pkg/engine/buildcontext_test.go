package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// folder makes a folder of files, whose contents are given; "-> x" is a
// symbolic link to x, and a name that ends in "/" is a folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case name[len(name)-1] == '/':
			err = os.MkdirAll(file, 0o755)
		case len(content) > 3 && content[:3] == "-> ":
			err = os.Symlink(content[3:], file)
		default:
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sent returns what is sent of a context: names, and contents or links.
func sent(t *testing.T, c *buildContext) map[string]string {
	t.Helper()
	var written bytes.Buffer
	if err := c.write(&written); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for r := tar.NewReader(&written); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[h.Name]; twice {
			t.Errorf("%s was sent twice", h.Name)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", h.Name, h.Uid, h.Gid)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(content)
		if h.Linkname != "" {
			got[h.Name] = "-> " + h.Linkname
		}
	}
}

func TestBuildContext(t *testing.T) {
	for _, test := range []struct {
		name       string
		files      map[string]string
		dockerfile string
		want       map[string]string
	}{
		{
			name:  "everything",
			files: map[string]string{"Dockerfile": "FROM scratch", "a/b": "b", "a/empty/": "", "link": "-> a/b", "broken": "-> nowhere"},
			want:  map[string]string{"Dockerfile": "FROM scratch", "a/": "", "a/b": "b", "a/empty/": "", "link": "-> a/b", "broken": "-> nowhere"},
		},
		{
			name: "but what is ignored",
			files: map[string]string{
				".dockerignore": "# secrets\n*.key\n/data\n**/cache\n!keep.key\n", "Dockerfile": "FROM scratch",
				"x.key": "x", "keep.key": "k", "data/rows": "r", "sub/data/rows": "r", "sub/cache/y": "y",
			},
			want: map[string]string{
				".dockerignore": "# secrets\n*.key\n/data\n**/cache\n!keep.key\n", "Dockerfile": "FROM scratch",
				"keep.key": "k", "sub/": "", "sub/data/": "", "sub/data/rows": "r",
			},
		},
		{
			name:  "nothing but what is excepted",
			files: map[string]string{".dockerignore": "*\n!bin/sweep\n", "Dockerfile": "FROM scratch", "bin/sweep": "s", "bin/other": "o", "src/x": "x"},
			want:  map[string]string{".dockerignore": "*\n!bin/sweep\n", "Dockerfile": "FROM scratch", "bin/sweep": "s"},
		},
		{
			name:       "a Dockerfile that is ignored is sent",
			files:      map[string]string{".dockerignore": "docker\n.dockerignore", "docker/Dockerfile": "FROM scratch", "docker/x": "x", "y": "y"},
			dockerfile: "docker/Dockerfile",
			want:       map[string]string{".dockerignore": "docker\n.dockerignore", "docker/Dockerfile": "FROM scratch", "y": "y"},
		},
		{
			name: "the Dockerfile's own file wins",
			files: map[string]string{
				".dockerignore": "a", "api.Dockerfile": "FROM scratch", "api.Dockerfile.dockerignore": "b", "a": "a", "b": "b",
			},
			dockerfile: "api.Dockerfile",
			want: map[string]string{
				".dockerignore": "b", "api.Dockerfile": "FROM scratch", "api.Dockerfile.dockerignore": "b", "a": "a",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := openContext(folder(t, test.files), test.dockerfile)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, sent(t, c)); diff != "" {
				t.Error("sent (-want +got):\n" + diff)
			}
		})
	}
}

func TestBuildContextOutside(t *testing.T) {
	dir := folder(t, map[string]string{"docker/Dockerfile": "FROM scratch", "src/x": "x", "src/.dockerignore": "y\n"})
	for _, dockerfile := range []string{"../docker/Dockerfile", filepath.Join(dir, "docker/Dockerfile")} {
		c, err := openContext(filepath.Join(dir, "src"), dockerfile)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{".dockerfile.sweep": "FROM scratch", ".dockerignore": "y\n.dockerfile.sweep\n", "x": "x"}
		if diff := cmp.Diff(want, sent(t, c)); diff != "" || c.dockerfile != ".dockerfile.sweep" {
			t.Errorf("%s is %s; sent (-want +got):\n%s", dockerfile, c.dockerfile, diff)
		}
	}
}

func TestBuildContextModes(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch", "run.sh": "#!/bin/sh"})
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o751); err != nil {
		t.Fatal(err)
	}
	c, err := openContext(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := c.write(&written); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(&written); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal("run.sh was not sent: ", err)
		}
		if h.Name == "run.sh" {
			if h.Mode != 0o751 {
				t.Errorf("run.sh has mode %o", h.Mode)
			}
			return
		}
	}
}

func TestBuildContextFaults(t *testing.T) {
	dir := folder(t, map[string]string{"Dockerfile.dev": "", "api/Dockerfile": "", "notes": "", "bare/x": "", "odd/Dockerfile": "", "odd/.dockerignore": "[a"})
	for _, test := range []struct{ context, dockerfile, want string }{
		{"nothing", "", "there is no such folder"},
		{"notes", "", "it is a file"},
		{"", "Dockerfile.def", "it has no file Dockerfile.def; did you mean Dockerfile.dev?"},
		{"", "api/Dokerfile", "did you mean api/Dockerfile?"},
		{"bare", "", "it has no file Dockerfile, nor any other Dockerfile"},
		{"", "api", "is a directory"},
		{"odd", "", "has a pattern that can't be read"},
	} {
		_, err := openContext(filepath.Join(dir, test.context), test.dockerfile)
		wantError(t, err, test.want)
	}
}
