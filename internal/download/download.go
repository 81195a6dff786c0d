// Package download is the client's side of wolkvox Storage: it lists what is stored and gets files back, going on where an
// earlier attempt broke off. A file gets its name only once all of it has the digest that it has to have. It makes no
// connection, and it stores nothing there.
package download

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/durable"
)

// partialSuffix is that of a file of which not all has come: one that no recording is likely to have.
const partialSuffix = ".wolkvox-partial"

// tries is how often in a row a broken stream is taken up again without anything having come.
const tries = 6

// Place is one destination in wolkvox Storage, for a caller who may look at it.
type Place struct {
	Service     backupv1.StorageServiceClient
	Tenant      string
	Destination string
}

// List yields what is stored in a folder, in all of the place where it is empty, in the order of the names. A stream that
// breaks is taken up again. An error ends it.
func (p Place) List(ctx context.Context, folder string) iter.Seq2[*backupv1.StoredFile, error] {
	return func(yield func(*backupv1.StoredFile, error) bool) {
		after, failures := "", 0
		for {
			complete, err := p.list(ctx, folder, after, func(file *backupv1.StoredFile) bool {
				after, failures = file.GetName(), 0
				return yield(file, nil)
			})
			if err == nil && complete {
				return
			}
			if failures++; err != nil && (!broken(err) || failures > tries || pause(ctx, failures) != nil) {
				yield(nil, err)
				return
			}
		}
	}
}

// list is one stream of List. It is complete also where each wants no more.
func (p Place) list(ctx context.Context, folder, after string, each func(*backupv1.StoredFile) bool) (complete bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.Service.ListFiles(ctx, &backupv1.ListFilesRequest{Tenant: p.Tenant, Destination: p.Destination, Folder: folder, AfterName: after})
	for err == nil {
		var part *backupv1.ListFilesResponse
		if part, err = stream.Recv(); err != nil {
			break
		}
		for _, file := range part.GetFiles() {
			if !each(file) {
				return true, nil
			}
		}
		if part.GetComplete() {
			return true, nil
		}
	}
	return false, whole(err)
}

// whole makes an error of a stream that ended before its end was stated.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, "the server ended its answer before it was complete")
	}
	return err
}

// broken reports whether a call may be taken up again.
func broken(err error) bool { return status.Code(err) == codes.Unavailable }

// pause waits before the next attempt.
func pause(ctx context.Context, failures int) error {
	timer := time.NewTimer(time.Duration(failures) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Got is a file that is there, whole.
type Got struct {
	Path         string // on this machine
	Digest       backup.Digest
	Sealed       bool  // the digest is the one that was sealed, not only what the server found stored
	FetchedBytes int64 // what came now; less than the size where an earlier attempt had brought some
	Already      bool  // an equal file was there before
}

// Get fetches one file into dir, which exists, below which it has the path that it has there. What an earlier attempt left is
// hashed and continued. A file of that name that is there already is never replaced: an equal one is enough, for another the
// error is fs.ErrExist.
func (p Place) Get(ctx context.Context, name, dir string) (Got, error) {
	if err := backup.CheckPath(name); err != nil {
		return Got{}, fmt.Errorf("get %q: %w", name, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Got{}, fmt.Errorf("get %q: %w", name, err)
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o777); err != nil {
		return Got{}, fmt.Errorf("get %q: %w", name, err)
	}
	g := &getting{place: p, name: name, root: root}
	got, err := g.run(ctx)
	got.Path = filepath.Join(dir, filepath.FromSlash(name))
	if err != nil {
		return got, fmt.Errorf("get %q: %w", name, err)
	}
	return got, nil
}

// getting is one call of Get.
type getting struct {
	place   Place
	name    string
	root    *os.Root
	partial *os.File
	sum     hash.Hash // of what the partial file holds
	size    int64     // of the partial file
	got     Got
	known   bool // the digest was heard
}

func (g *getting) run(ctx context.Context) (Got, error) {
	file, err := g.root.OpenFile(g.name+partialSuffix, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return Got{}, err
	}
	defer file.Close()
	g.partial, g.sum = file, sha256.New()
	if g.size, err = io.Copy(g.sum, file); err != nil {
		return Got{}, fmt.Errorf("read what an earlier attempt left: %w", err)
	}
	continued := g.size > 0
	err = g.fetch(ctx)
	if continued && (errors.Is(err, backup.ErrDigest) || status.Code(err) == codes.InvalidArgument) { // it was no part of this file
		if err = g.restart(); err == nil {
			err = g.fetch(ctx)
		}
	}
	switch {
	case errors.Is(err, errAlready):
		g.got.Already = true
		return g.got, g.drop()
	case errors.Is(err, backup.ErrDigest), errors.Is(err, fs.ErrExist):
		return g.got, errors.Join(err, g.drop())
	case err != nil && g.size == 0:
		return g.got, errors.Join(err, g.drop())
	case err != nil:
		return g.got, err
	}
	return g.got, g.publish()
}

// errAlready says that the file is there already.
var errAlready = errors.New("it is there already")

// fetch brings what is missing and compares the whole.
func (g *getting) fetch(ctx context.Context) error {
	for failures := 0; ; {
		before := g.size
		err := g.stream(ctx)
		if err == nil {
			break
		}
		if g.size > before {
			failures = 0
		}
		if failures++; !broken(err) || failures > tries {
			return err
		}
		if err := pause(ctx, failures); err != nil {
			return err
		}
	}
	digest := backup.Digest{SHA256: [sha256.Size]byte(g.sum.Sum(nil)), SizeBytes: g.size}
	if digest != g.got.Digest {
		return fmt.Errorf("%w: %v came, %v is recorded", backup.ErrDigest, digest, g.got.Digest)
	}
	return nil
}

// stream brings one stream's worth of what is missing.
func (g *getting) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := g.place.Service.ReadFile(ctx, &backupv1.ReadFileRequest{
		Tenant: g.place.Tenant, Destination: g.place.Destination, Name: g.name, OffsetBytes: g.size, WantDigest: !g.known,
	})
	if err != nil {
		return err
	}
	for {
		piece, err := stream.Recv()
		if err != nil {
			return whole(err)
		}
		if !g.known {
			if err := g.learn(piece); err != nil {
				return err
			}
		}
		if _, err := g.partial.Write(piece.GetData()); err != nil {
			return fmt.Errorf("write the file: %w", err)
		}
		g.sum.Write(piece.GetData())
		g.size += int64(len(piece.GetData()))
		g.got.FetchedBytes += int64(len(piece.GetData()))
		if piece.GetComplete() {
			return nil
		}
	}
}

// learn takes the digest from the first message, and looks at what has the file's name.
func (g *getting) learn(first *backupv1.ReadFileResponse) error {
	d := first.GetDigest()
	if len(d.GetSha256()) != sha256.Size || d.GetSizeBytes() < 0 {
		return errors.New("the server did not say what the file has to be")
	}
	g.got.Digest, g.got.Sealed, g.known = backup.Digest{SHA256: [sha256.Size]byte(d.GetSha256()), SizeBytes: d.GetSizeBytes()}, first.GetSealed(), true
	there, err := g.root.Open(g.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer there.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, there)
	if err != nil {
		return fmt.Errorf("read what has the name: %w", err)
	}
	if (backup.Digest{SHA256: [sha256.Size]byte(sum.Sum(nil)), SizeBytes: size}) == g.got.Digest {
		return errAlready
	}
	return fmt.Errorf("another file has the name, and was left as it is: %w", fs.ErrExist)
}

// restart empties the partial file.
func (g *getting) restart() error {
	if err := g.partial.Truncate(0); err != nil {
		return err
	}
	if _, err := g.partial.Seek(0, io.SeekStart); err != nil {
		return err
	}
	g.sum, g.size, g.got.FetchedBytes = sha256.New(), 0, 0
	return nil
}

func (g *getting) drop() error {
	if err := g.partial.Close(); err != nil {
		return err
	}
	return g.root.Remove(g.name + partialSuffix)
}

// publish makes the partial file durable and gives it its name.
func (g *getting) publish() error {
	if err := g.partial.Sync(); err != nil {
		return err
	}
	if err := g.partial.Close(); err != nil {
		return err
	}
	dir, err := durable.OpenDir(g.root, path.Dir(g.name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := durable.RenameNoReplaceAt(dir, path.Base(g.name)+partialSuffix, dir, path.Base(g.name)); err != nil {
		return err
	}
	return durable.SyncDirIn(g.root, path.Dir(g.name))
}

// Told is a [Got] as commands write it with --output json.
type Told struct {
	Path         string `json:"path"`
	SHA256       string `json:"sha256"`
	SizeBytes    int64  `json:"size_bytes"`
	Sealed       bool   `json:"sealed"`
	FetchedBytes int64  `json:"fetched_bytes"`
	Already      bool   `json:"already"`
}

// Told returns g for a program.
func (g Got) Told() Told {
	return Told{g.Path, fmt.Sprintf("%x", g.Digest.SHA256), g.Digest.SizeBytes, g.Sealed, g.FetchedBytes, g.Already}
}

// Sentence returns g for a person.
func (g Got) Sentence() string {
	what := "has the SHA-256 that was sealed"
	if !g.Sealed {
		what = "is what the server has stored; the ledger does not know it"
	}
	if g.Already {
		return fmt.Sprintf("%s was there already, and %s: %x", g.Path, what, g.Digest.SHA256)
	}
	return fmt.Sprintf("%s %s: %x (%d bytes, %d of them fetched now)", g.Path, what, g.Digest.SHA256, g.Digest.SizeBytes, g.FetchedBytes)
}
