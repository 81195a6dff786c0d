package source

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func paths(candidates []Candidate) []string {
	var list []string
	for _, c := range candidates {
		list = append(list, c.SourcePath)
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestScanHostileTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	outside := t.TempDir()
	write(t, outside, "secret", "secret")
	names := []string{
		"call.gsm", "CALL.gsm", "a:b", "CON", "dot.", " lead", "line\nbreak", "caf\xe9", "caf\u00e9", "cafe\u0301", "%25",
		strings.Repeat("n", 255), "deep/er/still/x.mp3", "deep/" + MarkerName, ".hidden", "\\",
	}
	for _, name := range names {
		write(t, root, name, name)
	}
	write(t, root, "empty", "")
	must(t, os.Mkdir(filepath.Join(root, "nothing"), 0o755))
	must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(root, "link-out")))
	must(t, os.Symlink(outside, filepath.Join(root, "link-folder")))
	must(t, os.Symlink("..", filepath.Join(root, "deep", "loop")))
	must(t, os.Symlink("none", filepath.Join(root, "dangling")))
	must(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	socket, err := net.Listen("unix", filepath.Join(root, "s"))
	must(t, err)
	defer socket.Close()

	tree := marked(t, root)
	result, err := tree.Scan(t.Context(), nil)
	must(t, err)
	want := []string{
		" lead", "%25", ".hidden", "CALL.gsm", "CON", "\\", "a:b", "cafe\u0301", "caf\u00e9", "caf\xe9", "call.gsm",
		"deep/" + MarkerName, "deep/er/still/x.mp3", "dot.", "empty", "line\nbreak", strings.Repeat("n", 255),
	}
	if diff := cmp.Diff(want, paths(result.Candidates)); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	wantSkipped := []Skipped{{"dangling", SkipLink}, {"deep/loop", SkipLink}, {"fifo", SkipFIFO}, {"link-folder", SkipLink},
		{"link-out", SkipLink}, {"s", SkipSocket}}
	if diff := cmp.Diff(wantSkipped, result.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	if !result.Complete() {
		t.Errorf("problems: %v", result.Problems)
	}
	for name, want := range map[string]error{
		"fifo": ErrNotRegular, "link-out": ErrNotRegular, "link-folder/secret": ErrUnreadable, "deep/loop": ErrNotRegular,
		"dangling": ErrNotRegular, "dangling/x": fs.ErrNotExist, "s": ErrNotRegular,
	} {
		if _, _, err := tree.Open(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("Open(%q) = %v, want %v", name, err, want)
		}
	}
	for _, c := range result.Candidates {
		f, identity, err := tree.Open(t.Context(), c.SourcePath)
		if err != nil {
			t.Errorf("Open(%q): %v", c.SourcePath, err)
			continue
		}
		f.Close()
		if identity != c.Identity {
			t.Errorf("%q looks like %v when opened and %v when found", c.SourcePath, identity, c.Identity)
		}
	}
}

func TestScanKnown(t *testing.T) {
	t.Parallel()
	const files = readDirEntries + 10
	root := t.TempDir()
	for i := range files {
		write(t, root, fmt.Sprintf("call-%d.gsm", i), "")
	}
	tree := marked(t, root)
	first, err := tree.Scan(t.Context(), nil)
	must(t, err)
	if len(first.Candidates) != files || first.KnownCount != 0 {
		t.Fatalf("found %d files, %d known", len(first.Candidates), first.KnownCount)
	}
	sealed := map[string]string{}
	for _, c := range first.Candidates {
		sealed[c.SourcePath] = c.Identity.String()
	}
	write(t, root, "call-7.gsm", "changed")
	write(t, root, "new.gsm", "")
	second, err := tree.Scan(t.Context(), func(c Candidate) bool { return sealed[c.SourcePath] == c.Identity.String() })
	must(t, err)
	if diff := cmp.Diff([]string{"call-7.gsm", "new.gsm"}, paths(second.Candidates)); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	if want := files - 1; second.KnownCount != want {
		t.Errorf("known: %d, want %d", second.KnownCount, want)
	}
}

func TestScanUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Skip("nothing is refused to root")
	}
	root := t.TempDir()
	write(t, root, "call.gsm", "contents")
	write(t, root, "locked.gsm", "contents")
	write(t, root, "locked/x.gsm", "contents")
	must(t, os.Chmod(filepath.Join(root, "locked.gsm"), 0))
	must(t, os.Chmod(filepath.Join(root, "locked"), 0))
	t.Cleanup(func() { os.Chmod(filepath.Join(root, "locked"), 0o755) })
	tree := marked(t, root)
	result, err := tree.Scan(t.Context(), nil)
	must(t, err)
	if len(result.Problems) != 1 || result.Problems[0].SourcePath != "locked" || !errors.Is(result.Problems[0].Err, fs.ErrPermission) {
		t.Errorf("problems: %v, want the folder that is locked", result.Problems)
	}
	if result.Complete() {
		t.Error("the scan calls itself complete")
	}
	for _, name := range []string{"locked.gsm", "locked/x.gsm"} {
		if _, _, err := tree.Open(t.Context(), name); !errors.Is(err, ErrUnreadable) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Open(%q) = %v, want ErrUnreadable and fs.ErrPermission", name, err)
		}
	}
	must(t, os.Chmod(root, 0o311))
	t.Cleanup(func() { os.Chmod(root, 0o755) })
	result, err = tree.Scan(t.Context(), nil)
	must(t, err)
	if len(result.Problems) != 1 || result.Problems[0].SourcePath != "." {
		t.Errorf("problems of an unreadable root: %v", result.Problems)
	}
}

func TestScanOtherVolume(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "call.gsm", "")
	write(t, root, "mounted/call.gsm", "")
	f, err := openFolder(root)
	must(t, err)
	defer f.Close()
	info, err := f.root.Stat(".")
	must(t, err)
	s := &walk{root: f.root, volume: volume(info) + 1, found: &Found{}}
	must(t, s.folder(t.Context(), "."))
	if p := s.found.result.Problems; len(p) != 1 || p[0].SourcePath != "mounted" || !errors.Is(p[0].Err, errOtherVolume) {
		t.Errorf("problems: %v, want the folder on another volume", p)
	}
	if len(s.pending) != 0 {
		t.Errorf("it goes on into %q", s.pending)
	}
}

func TestScanPathTooLong(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	root, err := os.OpenRoot(base)
	must(t, err)
	defer root.Close()
	folder := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 250)+"/", 16), "/")
	must(t, root.MkdirAll(folder, 0o755))
	room := MaxSourcePathBytes - len(folder) - 1
	for _, length := range []int{room, room + 1} {
		f, err := root.Create(folder + "/" + strings.Repeat("f", length))
		must(t, err)
		must(t, f.Close())
	}
	result, err := marked(t, base).Scan(t.Context(), nil)
	must(t, err)
	if len(result.Candidates) != 1 || len(result.Candidates[0].SourcePath) != MaxSourcePathBytes {
		t.Errorf("found %d candidates", len(result.Candidates))
	}
	if len(result.Skipped) != 1 || result.Skipped[0].Reason != SkipLong {
		t.Errorf("skipped %v", result.Skipped)
	}
}

func TestScanCancelled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tree := marked(t, root)
	ctx, cancel := contextWithCause(t)
	cancel(errStop)
	if _, err := tree.Scan(ctx, nil); !errors.Is(err, errStop) {
		t.Errorf("Scan = %v, want the cause", err)
	}
}

func BenchmarkScan(b *testing.B) {
	root := b.TempDir()
	const files = 100_000
	for i := range files {
		folder := filepath.Join(root, fmt.Sprint(i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(folder, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("call-%d.gsm", i)))
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
	proof, err := Mark(root)
	if err != nil {
		b.Fatal(err)
	}
	tree, err := Open(b.Context(), root, proof)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	for b.Loop() {
		if result, err := tree.Scan(b.Context(), func(Candidate) bool { return true }); err != nil || result.KnownCount != files {
			b.Fatal(result, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/files, "µs/file")
}
