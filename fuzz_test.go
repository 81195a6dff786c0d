package backup_test

import (
	"strings"
	"testing"

	"github.com/wolkvox/backup"
)

// FuzzCheckPath takes paths for portable only where they have every property that portable paths are promised to have.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"main/a b.gsm", "a/../b", "CON.txt", "é/%3a", ".wolkvox-x", "a ", " a", "a.", "lpt1", "COM¹", strings.Repeat("x", 201)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if backup.CheckPath(path) != nil {
			return
		}
		if len(path) > backup.MaxPathBytes || strings.HasPrefix(strings.ToLower(path), backup.OwnPrefix) || strings.ContainsAny(path, backup.ForbiddenRunes+"\x00") {
			t.Errorf("the path %q is taken for portable", path)
		}
		for component := range strings.SplitSeq(path, "/") {
			if component == "" || component == "." || component == ".." || strings.TrimRight(component, " .") != component || backup.CheckComponent(component) != nil {
				t.Errorf("the path %q is taken for portable, with the component %q", path, component)
			}
		}
	})
}

// FuzzParseDate reads only what is written the same, and counts days without losing any.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2026-03-10", "2024-02-29", "1970-01-01", "9999-12-31", "2023-02-29", "1969-12-31", "2026-3-10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		date, err := backup.ParseDate(s)
		if err != nil {
			return
		}
		if date.String() != s {
			t.Errorf("%q is written as %q", s, date)
		}
		if next := date.AddDays(1); next.Compare(date) <= 0 || next.AddDays(-1) != date {
			t.Errorf("the day after %s is %s", date, next)
		}
	})
}
