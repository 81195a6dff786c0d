//go:build peers && linux

package probe

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/localdest"
)

// mounted makes a file system in memory and mounts it; it needs root.
func mounted(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mount(t, "-t", "tmpfs", "-o", options, "tmpfs", dir)
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s; this test needs root", err, out)
	}
}

// TestRealPlaces checks file systems that are full, without inodes, read-only, and not mounted.
func TestRealPlaces(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		spoil   func(t *testing.T, dir string)
		wants   []want
	}{
		"full": {"size=1m", func(t *testing.T, dir string) {
			err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 2<<20), 0o600)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("filling it: %v", err)
			}
		}, []want{{SubjectWrite, backup.CheckBad, []string{"full"}}, {SubjectSpace, backup.CheckBad, []string{"0 KiB", "reserve"}}}},
		"no inodes": {"size=16m,nr_inodes=10", func(t *testing.T, dir string) {
			for i := range 20 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); errors.Is(err, syscall.ENOSPC) {
					return
				}
			}
			t.Fatal("it has inodes left")
		}, []want{{SubjectWrite, backup.CheckBad, []string{"room for only 0 more files (inodes)"}}, {SubjectInodes, backup.CheckBad, []string{"only 0 more files"}}, {SubjectSpace, backup.CheckGood, nil}}},
		"few inodes": {"size=16m,nr_inodes=100", func(*testing.T, string) {},
			[]want{{SubjectWrite, backup.CheckGood, nil}, {SubjectInodes, backup.CheckBad, []string{"room for only", "more files"}}}},
		"read-only": {"size=16m", func(t *testing.T, dir string) { mount(t, "-o", "remount,ro", dir) },
			[]want{{SubjectWrite, backup.CheckBad, []string{"read-only"}}, {SubjectMarker, backup.CheckGood, nil}, {SubjectDelete, backup.CheckUnknown, nil}}},
		"unmounted": {"size=16m", func(t *testing.T, dir string) {
			mount(t, "-t", "tmpfs", "tmpfs", dir)
			t.Cleanup(func() { exec.Command("umount", dir).Run() })
		},
			[]want{{SubjectMarker, backup.CheckBad, []string{"mount it"}}, {SubjectWrite, backup.CheckUnknown, []string{"not tried"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := mounted(t, test.options)
			c := initialised(t, well(t, localdest.New(dir)))
			c.Reserve = func(space dest.Space) int64 { return space.TotalBytes / 20 }
			test.spoil(t, dir)
			before := files(t, dir)
			report := run(t, New(c))
			for _, w := range test.wants {
				w.in(t, report)
			}
			for _, line := range report.Lines {
				t.Logf("%-7v %-11s %s", line.Verdict, line.Subject, line.Message)
			}
			if after := files(t, dir); !maps.Equal(before, after) {
				t.Errorf("the check left %d files, before were %d", len(after), len(before))
			}
		})
	}
}
