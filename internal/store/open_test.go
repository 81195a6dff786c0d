package store

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/wolkvox/backup/internal/ledger"
)

func TestSecondOpener(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	db := openStore(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second opener: %v", err)
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder's mode is %v, %v", info.Mode(), err)
	}
	must(t, db.Close())
	openStore(t, dir, Options{})
}

func TestNewerSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := openStore(t, dir, Options{})
	must(t, db.update("test", func(tx *badger.Txn) error { return tx.Set([]byte(keySchema), []byte("99")) }))
	must(t, db.Close())
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrSchema) {
		t.Errorf("schema record of a newer version: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, formatName), []byte(formatText+"99\n"), 0o600))
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrSchema) {
		t.Errorf("format file of a newer version: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, formatName), []byte("hello"), 0o600))
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("format file of nobody: %v", err)
	}
}

// fill makes a store part of which is in tables and part in Badger's logs, as a crash leaves it, and returns its author.
func fill(t *testing.T, dir string) *author {
	db := openStore(t, t.TempDir(), Options{})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	must(t, l.Append(a.genesis(), a.assign()))
	stage(t, l, 1, longLines(t, 60))
	must(t, l.Append(a.add(a.sealed(1, longLines(t, 60)))))
	for i := range int64(30) {
		must(t, l.Append(a.add(a.delivered(1, span(i, i+3)))))
		if i == 20 {
			path := db.folder.dir
			must(t, db.Close())
			db = openStore(t, path, Options{})
			l = openLedger(t, db)
		}
	}
	copyStore(t, dir, db.folder.dir)
	return a
}

// copyStore copies a store, which may be open, without its locks and without the zeros that its files end in.
func copyStore(t *testing.T, to, from string) {
	t.Helper()
	names, err := os.ReadDir(from)
	must(t, err)
	for _, name := range names {
		if name.Name() == lockName || name.Name() == "LOCK" { // the latter is Badger's; Windows lets nobody else read it
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, name.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name.Name()), bytes.TrimRight(content, "\x00"), 0o600))
	}
}

// A store that lost files, or whose bytes were changed, is reported or goes on from an earlier time of its own; it never
// shows anything that was not written.
func TestDamage(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	whole := t.TempDir()
	a := fill(t, whole)
	names, err := os.ReadDir(whole)
	must(t, err)
	reported, earlier, unharmed := 0, 0, 0
	for _, name := range names {
		for round := range 4 {
			dir := abandonedDir(t)
			copyStore(t, dir, whole)
			damage(t, filepath.Join(dir, name.Name()), round, random)
			size, err := look(t, dir, a)
			switch {
			case err != nil:
				reported++
			case size < a.fold.Size:
				earlier++
			default:
				unharmed++
			}
		}
	}
	t.Logf("%d reported, %d went back in time, %d unharmed", reported, earlier, unharmed)
	if reported == 0 {
		t.Error("no damage was reported")
	}
}

// abandonedDir returns a directory that is removed as far as that goes: of a store that it refuses Badger leaves files
// open, and Windows does not remove those.
func abandonedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "store")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// damage removes, cuts or changes a file.
func damage(t *testing.T, name string, round int, random *rand.Rand) {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	used := len(content)
	switch {
	case round == 0:
		must(t, os.Remove(name))
		return
	case used == 0:
		return
	case round == 1:
		content = content[:random.IntN(used)]
	default:
		content[random.IntN(used)] ^= 1 << random.IntN(8)
	}
	must(t, os.WriteFile(name, content, 0o600))
}

// look opens a store that may be damaged and returns the size of its ledger, or what is reported.
func look(t *testing.T, dir string, a *author) (int64, error) {
	db, err := Open(dir, Options{})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	l, err := db.Ledger(testOrigin)
	if err != nil {
		return 0, err
	}
	size, root := l.Position()
	var tree ledger.Frontier
	for _, leaf := range a.leaves[:size] {
		tree.Add(ledger.LineHash(leaf))
	}
	if root != tree.Root() {
		t.Errorf("the damaged store shows a root at size %d that was never there", size)
	}
	r, err := l.Verify(t.Context())
	if err == nil && len(r.Problems) > 0 {
		err = errors.New(r.Problems[0])
	}
	return size, err
}

// What was reported as done before the process was killed is there afterwards.
//
// It is not parallel: between fork and exec a child holds the locks of every store that is open in this process, and
// whoever closes and opens one then finds it in use.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("STORE_TEST_KILLED"); dir != "" {
		writeUntilKilled(t, dir)
	}
	dir := t.TempDir()
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "STORE_TEST_KILLED="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines, done := bufio.NewScanner(out), int64(0)
		for range 25 {
			lines.Scan()
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				done = n
			}
		}
		must(t, cmd.Process.Kill())
		for lines.Scan() {
			if n, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				done = n
			}
		}
		_ = cmd.Wait()
		db := openStore(t, dir, Options{})
		l := openLedger(t, db)
		size, _ := l.Position()
		r, err := l.Verify(t.Context())
		if err != nil || len(r.Problems) > 0 || size < done || done == 0 {
			t.Errorf("size %d after %d were reported: %v, %v", size, done, r.Problems, err)
		}
		must(t, db.Close())
	}
}

// writeUntilKilled goes on where the store is, and prints each size that Append reported.
func writeUntilKilled(t *testing.T, dir string) {
	db := openStore(t, dir, Options{Compactors: 2})
	l := openLedger(t, db)
	a := newAuthor(t, testOrigin)
	for leaf, err := range l.Entries(0, 1<<40) {
		must(t, err)
		a.addLeaf(leaf)
	}
	if a.fold.Size == 0 {
		must(t, l.Append(a.genesis(), a.assign()))
	}
	if len(a.fold.Manifests) == 0 {
		stage(t, l, 1, a.makeLines(1, 1000))
		must(t, l.Append(a.add(a.sealed(1, a.lines[1]))))
	}
	for i := int64(0); ; i++ {
		must(t, l.Append(a.add(a.delivered(1, span(i%1000, i%1000)))))
		os.Stdout.WriteString(strconv.FormatInt(a.fold.Size, 10) + "\n")
	}
}

// A store that this user may not open is not called damaged: damaged stores are given up.
func TestNoAccessIsNotDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if err := checkAccess(dir); err != nil {
		t.Errorf("checkAccess of a folder that is all right: %v", err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	if err := checkAccess(dir); err == nil {
		t.Error("a name that cannot be opened for writing was not found")
	}
	taken := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(taken, nil, 0o600))
	if _, err := Open(taken, Options{}); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a file in the place of the folder: %v", err)
	}
}
