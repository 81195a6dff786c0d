package durable

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := OpenDir(openRoot(t, path), ".")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, %v; want %d", path, len(got), err, len(want))
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, data := range [][]byte{[]byte("first"), randomBytes(100_000), {}, []byte("last")} {
		if err := WriteFile(path, data, 0o600); err != nil {
			t.Fatalf("WriteFile: %v", err)
		}
		wantFile(t, path, data)
	}
	wantNames(t, dir, "state")
	if err := WriteFile(filepath.Join(dir, "absent", "state"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("WriteFile into an absent directory = %v, want fs.ErrNotExist", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "folder"), []byte("x"), 0o600); err == nil {
		t.Error("WriteFile replaced a folder")
	}
	wantNames(t, dir, "folder", "state")
	if err := WriteFileIn(openRoot(t, dir), "folder/deep", []byte("deep"), 0o600); err != nil {
		t.Fatalf("WriteFileIn: %v", err)
	}
	wantFile(t, filepath.Join(dir, "folder", "deep"), []byte("deep"))
	wantNames(t, filepath.Join(dir, "folder"), "deep")
}

func TestIsTemp(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		".head.tmp-0123456789abcdef": true, "." + "marker" + tempInfix + randomSuffix(): true,
		"head": false, "head.tmp-0123456789abcdef": false, ".head.tmp-": false, ".head": false, "": false,
	} {
		if got := IsTemp(name); got != want {
			t.Errorf("IsTemp(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestCreateDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := CreateDir(deep, 0o755); err != nil {
			t.Fatalf("CreateDir: %v", err)
		}
	}
	if info, err := os.Stat(deep); err != nil || !info.IsDir() {
		t.Errorf("Stat = %v, %v, want a directory", info, err)
	}
	write(t, filepath.Join(dir, "file"), nil)
	if err := CreateDir(filepath.Join(dir, "file"), 0o755); err == nil {
		t.Error("CreateDir took a file for a directory")
	}
	if err := CreateDir(filepath.Join(dir, "file", "below"), 0o755); err == nil {
		t.Error("CreateDir made a directory below a file")
	}
	if err := SyncDir(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir of an absent directory = %v, want fs.ErrNotExist", err)
	}
}

// renamers are the ways to rename without replacing, in one form.
func renamers(t *testing.T, from, to string) map[string]func(oldName, newName string) error {
	oldDir, newDir := openDir(t, from), openDir(t, to)
	return map[string]func(oldName, newName string) error{
		"by path": func(oldName, newName string) error {
			return RenameNoReplace(filepath.Join(from, oldName), filepath.Join(to, newName))
		},
		"by directory": func(oldName, newName string) error { return RenameNoReplaceAt(oldDir, oldName, newDir, newName) },
	}
}

func TestRenameNoReplace(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	for how, rename := range renamers(t, from, to) {
		write(t, filepath.Join(from, "staged"), []byte("new"))
		write(t, filepath.Join(to, "taken"), []byte("old"))
		if err := os.MkdirAll(filepath.Join(to, "folder"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, taken := range []string{"taken", "folder"} {
			if err := rename("staged", taken); !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: rename to %q = %v, want fs.ErrExist", how, taken, err)
			}
		}
		wantFile(t, filepath.Join(to, "taken"), []byte("old"))
		wantFile(t, filepath.Join(from, "staged"), []byte("new"))
		if err := rename("staged", "fréé name "+how); err != nil {
			t.Errorf("%s: rename = %v", how, err)
		}
		wantFile(t, filepath.Join(to, "fréé name "+how), []byte("new"))
		wantNames(t, from)
		if err := rename("staged", "other"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: rename of an absent file = %v, want fs.ErrNotExist", how, err)
		}
	}
	dir := openDir(t, from)
	for _, name := range []string{"", ".", "..", "a/b", "../x"} {
		if err := RenameNoReplaceAt(dir, name, dir, "x"); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("RenameNoReplaceAt from %q = %v, want fs.ErrInvalid", name, err)
		}
		if err := RenameNoReplaceAt(dir, "x", dir, name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("RenameNoReplaceAt to %q = %v, want fs.ErrInvalid", name, err)
		}
	}
}

func TestSyncFS(t *testing.T) {
	t.Parallel()
	dir := openDir(t, t.TempDir())
	trusted, err := SyncFSTrusted(dir)
	if err != nil {
		t.Fatalf("SyncFSTrusted: %v", err)
	}
	if err := SyncFS(dir); trusted && err != nil {
		t.Errorf("SyncFS where it is trusted: %v", err)
	} else if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyncFS: %v", err)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := openRoot(t, dir)
	buf := AlignedBuffer(2*BlockSize - 1)
	if len(buf) != 2*BlockSize || uintptr(unsafe.Pointer(&buf[0]))%BlockSize != 0 {
		t.Fatalf("AlignedBuffer has %d bytes at %p", len(buf), &buf[0])
	}
	for _, size := range []int{0, 1, 511, 512, 4095, 4096, 4097, 8191, 8192, 8193, 3*8192 + 5, 100_000} {
		data := randomBytes(size)
		write(t, filepath.Join(dir, "file"), data)
		if err := SyncFileIn(root, "file"); err != nil {
			t.Fatalf("SyncFileIn: %v", err)
		}
		for how, read := range map[string]func(r io.Reader) ([]byte, error){
			"Read": func(r io.Reader) ([]byte, error) {
				var got bytes.Buffer
				_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, 777))
				return got.Bytes(), err
			},
			"WriteTo": func(r io.Reader) ([]byte, error) {
				var got bytes.Buffer
				n, err := r.(io.WriterTo).WriteTo(&got)
				if n != int64(got.Len()) {
					t.Errorf("WriteTo = %d, wrote %d", n, got.Len())
				}
				return got.Bytes(), err
			},
		} {
			r, err := OpenReader(root, "file", buf)
			if err != nil {
				t.Fatalf("OpenReader: %v", err)
			}
			got, err := read(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s of %d bytes (past the cache: %v) = %d bytes, %v", how, size, r.PassesCache(), len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(root, "folder", buf); !errors.Is(err, ErrNotRegular) {
		t.Errorf("OpenReader of a folder = %v, want ErrNotRegular", err)
	}
	if _, err := OpenReader(root, "absent", buf); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReader of an absent file = %v, want fs.ErrNotExist", err)
	}
	for _, bad := range [][]byte{nil, buf[1:], buf[:100]} {
		if _, err := OpenReader(root, "file", bad); err == nil {
			t.Errorf("OpenReader took a buffer of %d bytes that is not aligned", len(bad))
		}
	}
}

// TestReaderShrunk: a file that was cut while it was read is an error, never a short success.
func TestReaderShrunk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, randomBytes(5*BlockSize))
	r, err := OpenReader(openRoot(t, dir), "file", AlignedBuffer(BlockSize))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, BlockSize)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 2*BlockSize+10); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading on = %d bytes, %v, want io.ErrUnexpectedEOF", n, err)
	}
}

func TestFreeSpace(t *testing.T) {
	t.Parallel()
	space, err := FreeSpace(openDir(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if space.FreeBytes <= 0 || space.TotalBytes < space.FreeBytes || space.FreeInodes == 0 || space.FreeInodes < -1 {
		t.Errorf("FreeSpace = %+v", space)
	}
}

func TestPreallocateKeepsSize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Preallocate(f, 1<<20); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Preallocate: %v", err)
	}
	if _, err := f.WriteString("short"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, []byte("short"))
}

func TestWriteBallast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ballast")
	for _, size := range []int64{1 << 20, 3<<20 + 1, 3<<20 + 1, 10, 0} {
		if err := WriteBallast(path, size); err != nil {
			t.Fatalf("WriteBallast(%d): %v", size, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("the ballast is %v, %v, want %d bytes", info, err, size)
		}
		wantOccupied(t, path, size)
	}
	wantNames(t, dir, "ballast")
}
