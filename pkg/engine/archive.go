package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/client"
)

// An archive is an image of a single program, written as `docker save` would.
// It is made without a registry and without a builder, and it is the same,
// byte for byte, each time.
type archive struct {
	tag        string
	arch       string // as Go names it
	labels     map[string]string
	entrypoint []string
	program    []byte // becomes /sweep
}

// load makes the image on the engine.
func (e *Engine) load(ctx context.Context, a archive) error {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(a.write(w))
	}()
	defer func() { <-written }()
	defer r.CloseWithError(io.ErrClosedPipe) // ends the writing where the engine doesn't read on

	resp, err := e.docker.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load image %s: %w", a.tag, err)
	}
	defer resp.Body.Close()
	if err := loaded(resp.Body); err != nil {
		return fmt.Errorf("load image %s: %w", a.tag, err)
	}
	return nil
}

// loaded reads the engine's answer, a stream of messages. Errors are among
// them: by then the status, 200, has been sent.
func loaded(answer io.Reader) error {
	for messages := json.NewDecoder(answer); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := messages.Decode(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return errors.New(message.Error)
		}
	}
}

// write writes a tar of three files: the manifest, the image's configuration,
// and its only layer. Configuration and layer are named by their digests, so
// the layer is made twice: to learn its digest, and to be written.
func (a archive) write(w io.Writer) error {
	digest, size := sha256.New(), new(count)
	if err := a.writeLayer(io.MultiWriter(digest, size)); err != nil {
		return err
	}
	layer := hex.EncodeToString(digest.Sum(nil))
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": a.arch, "created": time.Unix(0, 0).UTC(),
		"config": map[string]any{"Entrypoint": a.entrypoint, "Labels": a.labels},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layer}},
	})
	if err != nil {
		return err
	}
	configName := fmt.Sprintf("%x.json", sha256.Sum256(config))
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{a.tag}, "Layers": []string{layer + "/layer.tar"}},
	})
	if err != nil {
		return err
	}

	t := tar.NewWriter(w)
	for _, f := range []struct {
		name  string
		size  int
		write func(io.Writer) error
	}{
		{"manifest.json", len(manifest), contents(manifest)},
		{configName, len(config), contents(config)},
		{layer + "/layer.tar", int(*size), a.writeLayer},
	} {
		if err := t.WriteHeader(header(f.name, 0o644, f.size)); err != nil {
			return err
		}
		if err := f.write(t); err != nil {
			return err
		}
	}
	return t.Close()
}

// writeLayer writes the root file system: a tar of the program.
func (a archive) writeLayer(w io.Writer) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(header("sweep", 0o755, len(a.program))); err != nil {
		return err
	}
	if _, err := t.Write(a.program); err != nil {
		return err
	}
	return t.Close()
}

func header(name string, mode int64, size int) *tar.Header {
	return &tar.Header{Name: name, Mode: mode, Size: int64(size), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
}

func contents(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// count counts the bytes that are written to it.
type count int

func (c *count) Write(p []byte) (int, error) {
	*c += count(len(p))
	return len(p), nil
}

// machines are the architectures that engines run on, as Go names them.
var machines = map[string]elf.Machine{ //nolint:gochecknoglobals // a table
	"386":     elf.EM_386,
	"amd64":   elf.EM_X86_64,
	"arm":     elf.EM_ARM,
	"arm64":   elf.EM_AARCH64,
	"loong64": elf.EM_LOONGARCH,
	"ppc64le": elf.EM_PPC64,
	"riscv64": elf.EM_RISCV,
	"s390x":   elf.EM_S390,
}

// runsAlone returns why a program can't be the only file of an image: it has
// to be a Linux program for the engine's architecture that needs no loader.
func runsAlone(program []byte, arch string) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("it is not a Linux program (%w)", err)
	}
	if f.Machine != machines[arch] {
		return fmt.Errorf("it is for %s and the engine runs %s", f.Machine, arch)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically, and needs libraries that are not there")
		}
	}
	return nil
}
