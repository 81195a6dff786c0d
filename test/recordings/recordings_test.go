package recordings

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func span() (from, until time.Time) {
	from = time.Date(2026, 3, 1, 0, 0, 0, 0, time.FixedZone("", -5*3600))
	return from, from.AddDate(0, 0, 2)
}

// made makes recordings and returns their contents by path.
func made(t *testing.T, o Options) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := Make(dir, o); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contents, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(contents)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestMakeIsDeterminedByItsOptions(t *testing.T) {
	t.Parallel()
	from, until := span()
	o := Options{Seed: 7, Count: 60, MedianBytes: 3000, Sigma: 0.8, From: from, Until: until}
	first, second := made(t, o), made(t, o)
	if len(first) != o.Count {
		t.Errorf("%d files, want %d", len(first), o.Count)
	}
	if !maps.Equal(first, second) {
		t.Error("equal options made different trees")
	}
	contents := map[string]bool{}
	for _, c := range first {
		contents[c] = true
	}
	if len(contents) != o.Count {
		t.Errorf("%d different contents, want %d", len(contents), o.Count)
	}
	o.Seed++
	if maps.Equal(first, made(t, o)) {
		t.Error("another seed made the same tree")
	}
}

func TestMakeKinds(t *testing.T) {
	t.Parallel()
	from, until := span()
	tests := []struct {
		kind  Kind
		valid func(contents []byte) bool
	}{
		{GSM, func(c []byte) bool { return len(c)%33 == 0 && everyFrame(c, 33, "\xd0", "\xf0") }},
		{WAV49, func(c []byte) bool {
			return len(c) >= 60 && len(c)%2 == 0 && string(c[8:16]) == "WAVEfmt " && c[20] == 0x31 &&
				binary.LittleEndian.Uint32(c[4:]) == uint32(len(c)-8) && binary.LittleEndian.Uint32(c[56:]) == uint32(len(c)-60) && (len(c)-60)%65 == 0
		}},
		{MP3, func(c []byte) bool {
			return len(c)%144 == 0 && everyFrame(c, 144, "\xff\xf3\x48\xc4", "\xff\xff\xff\xff") && bytes.Count(c, []byte{0xff}) == len(c)/144
		}},
		{ChatJSON, json.Valid},
		{ChatText, func(c []byte) bool { return utf8.Valid(c) && bytes.HasPrefix(c, []byte("Chat ")) }},
	}
	for _, test := range tests {
		for _, size := range []int64{1, 5000, 200_000} {
			o := Options{Seed: 1, Count: 4, MedianBytes: size, Kinds: []Kind{test.kind}, From: from, Until: until}
			for path, contents := range made(t, o) {
				if !strings.HasSuffix(path, test.kind.suffix()) || !test.valid([]byte(contents)) {
					t.Errorf("%s of %d bytes for kind %d and size %d is not valid", path, len(contents), test.kind, size)
				}
			}
		}
	}
}

// everyFrame reports whether every frame begins with these bits.
func everyFrame(contents []byte, size int, want, mask string) bool {
	for frame := range slices.Chunk(contents, size) {
		for i := range want {
			if frame[i]&mask[i] != want[i] {
				return false
			}
		}
	}
	return len(contents) > 0
}

func TestMakeSizes(t *testing.T) {
	t.Parallel()
	from, until := span()
	o := Options{Seed: 3, Count: 400, MedianBytes: 10_000, Sigma: 0.5, Kinds: []Kind{GSM, MP3}, From: from, Until: until}
	var sizes []int
	for _, contents := range made(t, o) {
		sizes = append(sizes, len(contents))
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median < 9000 || median > 11_000 {
		t.Errorf("the median is %d, want about %d (seed %d)", median, o.MedianBytes, o.Seed)
	}
	// One standard deviation, a factor of 1.65, holds 68 of 100.
	within := slices.IndexFunc(sizes, func(n int) bool { return n > 16_500 }) - slices.IndexFunc(sizes, func(n int) bool { return n >= 6060 })
	if within < 240 || within > 305 {
		t.Errorf("%d of %d sizes lie within one standard deviation (seed %d)", within, len(sizes), o.Seed)
	}
}

func TestMakeTimes(t *testing.T) {
	t.Parallel()
	from, until := span()
	dir := t.TempDir()
	if err := Make(dir, Options{Count: 20, MedianBytes: 100, From: from, Until: until}); err != nil {
		t.Fatal(err)
	}
	dates := map[string]int{}
	err := filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		date := filepath.Base(filepath.Dir(path))
		dates[date]++
		if recorded := info.ModTime().In(from.Location()); recorded.Format(time.DateOnly) != date || recorded.Before(from) || !recorded.Before(until) {
			t.Errorf("%s has the time %s", path, recorded)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"2026-03-01": 10, "2026-03-02": 10}; !maps.Equal(dates, want) {
		t.Errorf("dates %v, want %v", dates, want)
	}
}

func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	from, until := span()
	for name, o := range map[string]Options{
		"a negative count": {Count: -1, MedianBytes: 1, From: from, Until: until},
		"no size":          {Count: 1, From: from, Until: until},
		"no time":          {Count: 1, MedianBytes: 1},
		"a time backwards": {Count: 1, MedianBytes: 1, From: until, Until: from},
		"another kind":     {Count: 1, MedianBytes: 1, Kinds: []Kind{9}, From: from, Until: until},
	} {
		if err := Make(t.TempDir(), o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
