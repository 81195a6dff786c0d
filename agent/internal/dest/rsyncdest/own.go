package rsyncdest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/wolkvox/backup/agent/internal/dest"
)

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
	dir, err := h.rsync.makeFolder("e")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "staging"), 0o700); err != nil {
		return spoolError(err)
	}
	return explained(h.run(ctx, call{keeps: true, args: []string{
		"--recursive", "--existing", "--delete", "--exclude=/" + stagingDir + h.rsync.process, "--include=/" + stagingDir + "***", "--include=/.*.??????", "--exclude=*",
		h.local(dir), h.base + ownDir,
	}}))
}
