package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	backup "github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/source/media"
)

// readBytes is how much of a file is read at once, and the memory of each worker.
const readBytes = 256 << 10

// Hashed is a file that was read, or why it could not be.
type Hashed struct {
	Candidate // as it looked when it was read
	Digest    backup.Digest
	Kind      backup.MediaKind
	Err       error // nil, or wraps ErrChanging, fs.ErrNotExist, ErrNotRegular or ErrUnreadable
}

// Hash reads the candidates with the given number of workers (at least one) and calls each for every one of
// them, one call at a time, in no particular order; an error of each ends it. A file whose size or time of
// modification differs from the candidate's, or changes while it is read, is not hashed but ErrChanging.
//
// The proof is checked at the end. Only a nil error means that what was said of files that could not be read
// (Hashed.Err) holds; otherwise the error wraps [ErrUnreachable], or is that of each or of the context.
func (t *Tree) Hash(ctx context.Context, candidates []Candidate, workers int, each func(Hashed) error) error {
	group, running := errgroup.WithContext(ctx)
	var next atomic.Int64
	var turn sync.Mutex
	for range min(max(workers, 1), max(len(candidates), 1)) {
		group.Go(func() error {
			buffer := make([]byte, readBytes)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(candidates) {
					return nil
				}
				hashed, err := t.read(running, candidates[i].SourcePath, &candidates[i].Identity, buffer)
				if stopped := context.Cause(running); stopped != nil {
					return stopped
				}
				if err != nil {
					hashed.Candidate = candidates[i]
					hashed.Err = t.fileError(candidates[i].SourcePath, err)
					// A source that went away would say the same of every other file.
					if errors.Is(hashed.Err, ErrUnreadable) {
						if err := t.Check(running); err != nil {
							return err
						}
					}
				}
				turn.Lock()
				err = each(hashed)
				turn.Unlock()
				if err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("hash files of source %q: %w", t.driver, err)
	}
	return t.Check(ctx)
}

// HashFile reads one file as it is now, for instance to see whether it still is what was sealed. The error
// wraps one of those of [Tree.Open], [ErrChanging], or is the context's; Hashed.Err is not used.
func (t *Tree) HashFile(ctx context.Context, sourcePath string) (Hashed, error) {
	hashed, err := t.read(ctx, sourcePath, nil, make([]byte, readBytes))
	if stopped := context.Cause(ctx); stopped != nil {
		return Hashed{}, fmt.Errorf("hash file %q of source %q: %w", sourcePath, t.driver, stopped)
	}
	if err != nil {
		return Hashed{}, t.proved(ctx, sourcePath, err)
	}
	return hashed, nil
}

// read hashes one file and recognises it in the same pass. Expected is what it has to look like, or nil.
func (t *Tree) read(ctx context.Context, sourcePath string, expected *Identity, buffer []byte) (Hashed, error) {
	f, look, err := t.open(ctx, sourcePath)
	if err != nil {
		return Hashed{}, err
	}
	defer f.Close()
	hashed := Hashed{Candidate: Candidate{SourcePath: sourcePath, Identity: look}}
	if expected != nil && !hashed.SameLook(*expected) {
		return Hashed{}, ErrChanging
	}
	// One byte more than its size is asked for, so that a file that only grows comes to an end.
	contents := io.NewSectionReader(f, 0, look.SizeBytes+1)
	sum := sha256.New()
	for first := true; ; first = false {
		if err := context.Cause(ctx); err != nil {
			return Hashed{}, err
		}
		n, err := io.ReadFull(contents, buffer)
		sum.Write(buffer[:n])
		hashed.Digest.SizeBytes += int64(n)
		if first {
			hashed.Kind = media.Kind(sourcePath, buffer[:min(n, media.HeadBytes)], look.SizeBytes)
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return Hashed{}, err
		}
	}
	// This look goes by the name, not by the open file, to notice a file that was replaced meanwhile.
	after, err := t.driver.Look(ctx, sourcePath)
	if err != nil && !errors.Is(err, ErrNotRegular) {
		return Hashed{}, err
	}
	if err != nil || hashed.Digest.SizeBytes != look.SizeBytes || !hashed.SameLook(after) {
		return Hashed{}, ErrChanging
	}
	hashed.Digest.SHA256 = [sha256.Size]byte(sum.Sum(nil))
	return hashed, nil
}
