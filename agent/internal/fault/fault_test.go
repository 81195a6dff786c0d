package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

func TestOf(t *testing.T) {
	t.Parallel()
	path := func(errno syscall.Errno) error { return &fs.PathError{Op: "write", Path: "a.gsm", Err: errno} }
	name := func(errno syscall.Errno, unix string) string {
		if runtime.GOOS == "windows" {
			return fmt.Sprintf("WINDOWS %d", uint32(errno))
		}
		return unix
	}
	for _, test := range []struct {
		err   error
		code  string
		words string // the remedy
	}{
		{dest.ErrConflict, "CONFLICT", "move it away"},
		{fmt.Errorf("publish: %w", dest.ErrConflict), "CONFLICT", "left untouched"},
		{fmt.Errorf("verify: %w", dest.ErrReadBack), "READ_BACK", "check the disk"},
		{&dest.ForeignMarkerError{Want: "a", Found: "b"}, "FOREIGN_MARKER", "configure another folder"},
		{fmt.Errorf("nas: %w", dest.ErrNoMarker), "NO_MARKER", "not mounted"},
		{fmt.Errorf("nas: %w", dest.ErrMarker), "MARKER", "cannot be understood"},
		{fmt.Errorf("%w: %q", dest.ErrName, "CON"), "NAME", "CON"},
		{NewShortage(dest.Space{FreeBytes: 5 << 20, FreeInodes: -1}, 1<<30, 7<<30, 3), "RESERVE", "lower `reserve`"},
		{fmt.Errorf("stage: %w", path(syscall.ENOSPC)), name(syscall.ENOSPC, "ENOSPC"), "free space there"},
		{fmt.Errorf("stage: %w", path(syscall.EROFS)), name(syscall.EROFS, "EROFS"), "writable"},
		{path(syscall.EIO), name(syscall.EIO, "EIO"), "a.gsm"},
		{&dest.UnreachableError{Place: "/mnt", Cause: path(syscall.ESTALE)}, name(syscall.ESTALE, "ESTALE"), "mounted"},
		{&dest.UnreachableError{Place: "/mnt", Cause: errors.New("it has not answered")}, "UNREACHABLE", "mounted"},
		{fmt.Errorf("open: %w", fs.ErrPermission), "PERMISSION", "open"},
		{os.ErrDeadlineExceeded, "UNKNOWN", "timeout"},
		{errors.New("odd"), "UNKNOWN", "odd"},
		// More than one cause: what is at the destination says more than the system's code.
		{errors.Join(path(syscall.EEXIST), dest.ErrConflict), "CONFLICT", "move it away"},
		{fmt.Errorf("%w: %w", dest.ErrReadBack, path(syscall.EIO)), "READ_BACK", "check the disk"},
	} {
		got := Of(test.err)
		if got.Code != test.code || got.Class != ClassOther || got.Party != PartyClient {
			t.Errorf("Of(%v) = %+v, want the code %s", test.err, got, test.code)
		}
		if !strings.Contains(got.Message, test.words) {
			t.Errorf("Of(%v) says %q, want %q", test.err, got.Message, test.words)
		}
		if got != Of(test.err) {
			t.Errorf("Of(%v) differs from itself", test.err)
		}
	}
	// A wrong digest is the line's or the source's fault, not the destination's.
	if got := Of(backup.ErrDigest); got.Code != "UNKNOWN" {
		t.Errorf("Of(ErrDigest) = %+v", got)
	}
}

// TestMessages are what both sides keep whole, and what a message on the wire can carry.
func TestMessages(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("é", 600), "x" + strings.Repeat("é", 600), "\xff\xfe", strings.Repeat("日", 400)} {
		got := Of(fmt.Errorf("%w: %s", dest.ErrConflict, text)).Message
		if !utf8.ValidString(got) || len(got) > 1024 || len(got) < 20 {
			t.Errorf("a message of %d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range []Fault{SourceUnreadable(), SourceChanged(), DigestMismatch()} {
		if f.Class != ClassOther || f.Party != PartyWolkvox || f.Code == "" || f.Message == "" || seen[f.Code] {
			t.Errorf("%+v", f)
		}
		seen[f.Code] = true
	}
}

func TestShortage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		space           dest.Space
		reserve, wanted int64
		items           int
		words           []string
	}{
		{dest.Space{FreeBytes: 30 << 30, FreeInodes: -1}, 20 << 30, 15 << 30, 7, []string{"30 GiB", "20 GiB", "7 of", "15 GiB"}},
		{dest.Space{FreeBytes: 30 << 20, FreeInodes: 5}, 1 << 20, 100 << 20, 7, []string{"30 MiB", "1024 KiB", "100 MiB"}},
		{dest.Space{FreeBytes: 30 << 30, FreeInodes: 5}, 1 << 20, 100 << 20, 7, []string{"5 more files", "inodes", "7 of"}},
	} {
		got := NewShortage(test.space, test.reserve, test.wanted, test.items).Error()
		for _, word := range test.words {
			if !strings.Contains(got, word) {
				t.Errorf("%q does not say %q", got, word)
			}
		}
	}
}
