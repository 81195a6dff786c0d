package dest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/wolkvox/backup"
)

// OwnFile is one of the small files that the agent keeps beside the marker.
type OwnFile string

// The files beside the marker.
const (
	Head          OwnFile = "head"           // the last agreed head, written before it is recorded as agreed
	LastDelivered OwnFile = "last-delivered" // hash of the last delivered receipt signed, written before it enters the outbox
	markerFile    OwnFile = "marker"
)

// OwnFiles returns the names of the files beside the marker, and its own: those that a night reads again and again, for a
// [Keeper] that reads them at once.
func OwnFiles() []string {
	return []string{string(markerFile), string(Head), string(LastDelivered), string(located), string(moving)}
}

// Place is one opened handle on a destination whose marker was checked. Its methods are safe for concurrent use.
type Place struct {
	store  *Store
	driver Driver
	able   abilities
}

// Close releases the handle. Batches must have been discarded.
func (p *Place) Close() error {
	if err := p.driver.Close(); err != nil {
		return fmt.Errorf("close destination %s: %w", p.store.label, err)
	}
	return nil
}

// CheckMarker reads the marker again through the same handle; the errors are those of [Store.Open].
func (p *Place) CheckMarker(ctx context.Context) error {
	_, err := p.readMarker(ctx)
	return err
}

// ReadOwn returns the contents of a file beside the marker; fs.ErrNotExist only where it is truly absent.
func (p *Place) ReadOwn(ctx context.Context, file OwnFile) ([]byte, error) {
	data, err := p.able.ReadOwn(ctx, string(file))
	if err != nil {
		return nil, fmt.Errorf("read the file %s beside the marker of %s: %w", file, p.store.label, err)
	}
	return data, nil
}

// WriteOwn replaces a file beside the marker. After a nil error the new contents are durable; after another
// error, or a crash, it holds the old contents or the new ones, whole.
func (p *Place) WriteOwn(ctx context.Context, file OwnFile, data []byte) error {
	if err := p.able.WriteOwn(ctx, string(file), data); err != nil {
		return fmt.Errorf("write the file %s beside the marker of %s: %w", file, p.store.label, err)
	}
	return nil
}

// SetAsideOwn gives a file beside the marker another name, FILE.SUFFIX, under which nobody looks for it; what had that name
// is replaced. An absent file is no error. After another error, or a crash, it may be called again.
func (p *Place) SetAsideOwn(ctx context.Context, file OwnFile, suffix string) error {
	data, err := p.ReadOwn(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.WriteOwn(ctx, file+OwnFile("."+suffix), data); err != nil {
		return err
	}
	if err := p.able.RemoveOwn(ctx, string(file)); err != nil {
		return fmt.Errorf("remove the file %s beside the marker of %s: %w", file, p.store.label, err)
	}
	return nil
}

// Space returns what the destination can still take. It is errors.ErrUnsupported where the place cannot tell.
func (p *Place) Space(ctx context.Context) (Space, error) {
	if p.able.spacer == nil {
		return Space{}, fmt.Errorf("space left at %s: %w", p.store.label, errors.ErrUnsupported)
	}
	space, err := p.able.spacer.Space(ctx)
	if err != nil {
		return Space{}, fmt.Errorf("space left at %s: %w", p.store.label, err)
	}
	return space, nil
}

// Facts returns what the driver knows of the place and people may want to know; nothing where it does not tell.
func (p *Place) Facts(ctx context.Context) []Fact {
	if p.able.reporter == nil {
		return nil
	}
	return p.able.reporter.Facts(ctx)
}

// List yields every visible file; see [Lister]. It yields errors.ErrUnsupported where the place cannot list.
func (p *Place) List(ctx context.Context) iter.Seq2[File, error] {
	if p.able.lister == nil {
		return func(yield func(File, error) bool) {
			yield(File{}, fmt.Errorf("list %s: %w", p.store.label, errors.ErrUnsupported))
		}
	}
	return p.able.lister.List(ctx)
}

// SweepStaging deletes what earlier processes left in staging. It is called once, after the start, when the
// server has confirmed that no other process serves the destination.
func (p *Place) SweepStaging(ctx context.Context) error {
	if p.able.stager == nil {
		return nil
	}
	if err := p.able.stager.SweepStaging(ctx); err != nil {
		return fmt.Errorf("sweep the staging of %s: %w", p.store.label, err)
	}
	return nil
}

// MoveAside moves the visible regular file name to .wolkvox/aside/LABEL/name, durably and without replacing
// (LABEL~2, LABEL~3 … where that is taken), and returns where it is now, relative to the destination. label is
// one component of a portable path, such as a time without colons. fs.ErrNotExist says that name is truly absent,
// [ErrConflict] that it is not a regular file, errors.ErrUnsupported that the place cannot move files.
func (p *Place) MoveAside(ctx context.Context, name, label string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if err := backup.CheckComponent(label); err != nil {
		return "", fmt.Errorf("%w: label %q: %v", ErrName, label, err)
	}
	if p.able.mover == nil {
		return "", fmt.Errorf("move %q aside at %s: %w", name, p.store.label, errors.ErrUnsupported)
	}
	const attempts = 100
	var err error
	for n := 1; n <= attempts; n++ {
		to := "aside/" + label + "/" + name
		if n > 1 {
			to = fmt.Sprintf("aside/%s~%d/%s", label, n, name)
		}
		err = p.able.mover.MoveAside(ctx, name, to)
		if err == nil {
			return backup.OwnPrefix + "/" + to, nil
		}
		if errors.Is(err, ErrConflict) || !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return "", fmt.Errorf("move %q aside at %s: %w", name, p.store.label, err)
}

// Put stores one file with wanted contents, reads it back, and returns as [Batch.Publish] does for each file. It
// is the way for places that cannot stage, and for single files. Contents of r that differ from want are
// backup.ErrDigest, and nothing becomes visible. An equal file that is already there is adopted; where what was
// stored reads back differently, it is moved aside.
func (p *Place) Put(ctx context.Context, name string, r io.Reader, want backup.Digest, pre Precondition) Result {
	result := Result{Name: name, Digest: want}
	if result.Err = checkName(name); result.Err != nil {
		return result
	}
	refused := p.driver.Put(ctx, name, newDigestReader(r, want), want.SizeBytes, pre)
	result.Adopted = errors.Is(refused, fs.ErrExist)
	if refused != nil && !result.Adopted {
		result.Err = fmt.Errorf("put %q: %w", name, refused)
		return result
	}
	found, err := p.Hash(ctx, []string{name})
	if err != nil {
		result.Err = fmt.Errorf("put %q: %w", name, err)
		return result
	}
	if refused != nil && errors.Is(found[0].Err, fs.ErrNotExist) {
		found[0].Err = fmt.Errorf("put %q: %w", name, refused) // what it should replace is not there
	}
	result.judge(found[0])
	if errors.Is(result.Err, ErrReadBack) {
		_, err := p.MoveAside(ctx, name, hex.EncodeToString(want.SHA256[:]))
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			result.Err = errors.Join(result.Err, err)
		}
	}
	return result
}
