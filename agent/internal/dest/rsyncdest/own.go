package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// maxOwnBytes bounds an own file: heads and markers have a few hundred bytes.
const maxOwnBytes = 64 << 10

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	f, dir, err := h.fetch(ctx, ownDir+name, "--max-size="+strconv.Itoa(maxOwnBytes))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close(), os.RemoveAll(dir)); err != nil {
		return nil, spoolError(err)
	}
	return data, nil
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	return h.pushOwn(ctx, map[string][]byte{name: data})
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	found, err := h.look(ctx, []string{ownDir + name})
	switch {
	case err != nil:
		return err
	case errors.Is(found[0].err, fs.ErrNotExist):
		return nil
	case found[0].err != nil:
		return found[0].err
	}
	return h.remove(ctx, ownDir+name)
}

// MoveAside implements dest.Mover: rsync deletes the file and keeps it as a backup, which is a rename at the place.
func (h *handle) MoveAside(ctx context.Context, name, to string) error {
	backupDir, ok := strings.CutSuffix(ownDir+to, "/"+name)
	if !ok {
		return fmt.Errorf("move %q to %q, which does not end with the name: %w", name, to, errors.ErrUnsupported)
	}
	found, err := h.look(ctx, []string{name, ownDir + to})
	switch {
	case err != nil:
		return err
	case found[0].err != nil:
		return found[0].err
	case found[1].err == nil || errors.Is(found[1].err, dest.ErrConflict):
		return fmt.Errorf("%q is taken: %w", to, fs.ErrExist)
	case !errors.Is(found[1].err, fs.ErrNotExist):
		return found[1].err
	}
	if err := h.remove(ctx, name, "--backup", "--backup-dir="+backupDir); err != nil {
		return err
	}
	moved, err := h.look(ctx, []string{ownDir + to})
	if err != nil {
		return err
	}
	if moved[0].err != nil || moved[0].sizeBytes != found[0].sizeBytes {
		return fmt.Errorf("%q was moved to %q, where it is not as it was: %d bytes, not %d, %w", name, to, moved[0].sizeBytes, found[0].sizeBytes,
			hideAbsence(moved[0].err))
	}
	return h.pushOwn(ctx, nil)
}

// remove deletes exactly one file that is there: rsync makes a folder equal to one that has the folders on the way and nothing
// else, and all other names are out of its sight.
func (h *handle) remove(ctx context.Context, name string, options ...string) error {
	dir, err := h.rsync.makeFolder("e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(path.Dir(name))), 0o700); err != nil {
		return spoolError(err)
	}
	deleted := false
	args := append(options, "--recursive", "--keep-dirlinks", "--delete", "-i", changeFormat)
	args = append(append(args, filters(name)...), h.local(dir), h.base)
	err = explained(h.run(ctx, call{args: args, line: func(line string) {
		if c, ok := parseChange(line); ok && c.what == deleting && c.name == name {
			deleted = true
		}
	}}))
	if err == nil && !deleted {
		err = fmt.Errorf("rsync did not remove %q, and does not say why", name)
	}
	return err
}

// filters returns the options that leave nothing in sight but one name and the folders on the way (rsync(1), PATTERN MATCHING
// RULES).
func filters(name string) []string {
	var options []string
	for i, r := range name {
		if r == '/' {
			options = append(options, "--include=/"+literal(name[:i])+"/")
		}
	}
	return append(options, "--include=/"+literal(name), "--exclude=*")
}

// literal returns a pattern that matches one name. A backslash escapes only in a pattern that has a wildcard.
func literal(name string) string {
	if !strings.ContainsAny(name, "*?[") {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// SweepStaging implements dest.Stager. Unfinished own files go too: rsync gives them a name between dots and six letters.
func (h *handle) SweepStaging(ctx context.Context) error {
	if err := h.rsync.sweepSpool(ctx); err != nil {
		return err
	}
	found, err := h.look(ctx, []string{ownDir + strings.TrimSuffix(stagingDir, "/")})
	if err != nil {
		return err
	}
	if errors.Is(found[0].err, fs.ErrNotExist) {
		return nil
	}
	dir, err := h.rsync.makeFolder("e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "staging"), 0o700); err != nil {
		return spoolError(err)
	}
	return explained(h.run(ctx, call{args: []string{
		"--recursive", "--delete", "--exclude=/" + stagingDir + h.rsync.process, "--include=/" + stagingDir + "***", "--include=/.*.??????", "--exclude=*",
		h.local(dir), h.base + ownDir,
	}}))
}
