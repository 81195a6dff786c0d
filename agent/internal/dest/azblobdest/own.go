package azblobdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Where the container keeps blobs unchanged, an own file is a row of blobs: NAME, NAME.000001, NAME.000002 and so on, of which
// the last counts. One that ends in "-removed" says that there is none.
const (
	numberDigits  = 6
	removedSuffix = "-removed"
	ownTries      = 5 // where somebody else takes the next number
)

func ownName(name string) string { return backup.OwnPrefix + "/" + name }

// row is how far an own file has come.
type row struct {
	blob   string // the last one, below the prefix; empty where there is none
	number int    // of the last one
	exists bool
}

// next is the blob that comes after the last.
func (r row) next(name string) string {
	if r.blob == "" {
		return ownName(name)
	}
	return fmt.Sprintf("%s.%0*d", ownName(name), numberDigits, r.number+1)
}

// numberOf returns the number of a blob in the row of an own file.
func numberOf(blob, own string) (number int, removed, ok bool) {
	rest, ok := strings.CutPrefix(blob, own)
	if !ok || rest == "" {
		return 0, false, ok
	}
	rest, removed = strings.CutSuffix(rest, removedSuffix)
	if len(rest) != 1+numberDigits || rest[0] != '.' {
		return 0, false, false
	}
	for _, c := range rest[1:] {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		number = 10*number + int(c-'0')
	}
	return number, removed, true
}

// list calls do with each blob whose name begins with prefix, and does not descend below further slashes.
func (h *handle) list(ctx context.Context, prefix string, do func(name string)) error {
	prefix = h.blobName(prefix)
	pages := h.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return h.fail(ctx, "list the agent's own files", err)
		}
		for _, item := range page.Segment.BlobItems {
			do(strings.TrimPrefix(*item.Name, h.blobName("")))
		}
	}
	return nil
}

// enter shows that the container is there and may be read, and learns whether it keeps blobs unchanged.
func (h *handle) enter(ctx context.Context) error {
	err := h.list(ctx, ownName(""), func(name string) {
		base, _, dotted := strings.Cut(strings.TrimPrefix(name, ownName("")), ".")
		if _, _, ok := numberOf(name, ownName(base)); dotted && ok {
			h.azblob.immutable.Store(true)
		}
	})
	if err != nil || !h.azblob.looked.CompareAndSwap(false, true) {
		return err
	}
	answer, err := h.client.GetProperties(ctx, nil)
	if err != nil {
		h.azblob.looked.Store(false)
		if code, ok := errors.AsType[*dest.CodeError](h.fail(ctx, "look at the container", err)); ok && code.Number == http.StatusForbidden {
			h.azblob.looked.Store(true) // a signature need not allow it; it shows when something is written
			return nil
		}
		return h.fail(ctx, "look at the container", err)
	}
	if isTrue(answer.HasImmutabilityPolicy) || isTrue(answer.HasLegalHold) {
		h.azblob.immutable.Store(true)
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// last returns how far the row of an own file has come.
func (h *handle) last(ctx context.Context, name string) (row, error) {
	var r row
	err := h.list(ctx, ownName(name), func(blob string) {
		if number, removed, ok := numberOf(blob, ownName(name)); ok && (r.blob == "" || number >= r.number) {
			r = row{blob: blob, number: number, exists: !removed}
		}
	})
	return r, err
}

// ReadOwn implements dest.Keeper.
func (h *handle) ReadOwn(ctx context.Context, name string) ([]byte, error) {
	at := ownName(name)
	if h.azblob.immutable.Load() {
		r, err := h.last(ctx, name)
		if err != nil {
			return nil, err
		}
		if !r.exists {
			return nil, fmt.Errorf("open %s: %w", at, fs.ErrNotExist)
		}
		at = r.blob
	}
	r, err := h.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// WriteOwn implements dest.Keeper.
func (h *handle) WriteOwn(ctx context.Context, name string, data []byte) error {
	if !h.azblob.immutable.Load() {
		err := h.write(ctx, ownName(name), data, nil)
		if !isImmutable(codeOf(err)) {
			return err
		}
		h.azblob.immutable.Store(true)
	}
	return h.addOwn(ctx, name, data, false)
}

// addOwn adds a blob to the row of an own file.
func (h *handle) addOwn(ctx context.Context, name string, data []byte, removed bool) error {
	for try := 1; ; try++ {
		r, err := h.last(ctx, name)
		if err != nil || removed && !r.exists {
			return err
		}
		at := r.next(name)
		if removed {
			at += removedSuffix
		}
		if err = h.write(ctx, at, data, whenAbsent()); !errors.Is(err, fs.ErrExist) || try == ownTries {
			return err
		}
	}
}

// write puts a small blob.
func (h *handle) write(ctx context.Context, name string, data []byte, when *blob.ModifiedAccessConditions) error {
	p, err := h.begin(ctx, ctx, name, int64(len(data)), when)
	if err != nil {
		return err
	}
	if _, err := p.Write(data); err != nil {
		p.giveUp()
		return err
	}
	_, err = p.finish()
	return err
}

// claimOwn puts a file as an own one that must not be there yet, where own files are rows.
func (h *handle) claimOwn(ctx context.Context, p *put, name string) error {
	r, err := h.last(ctx, name)
	if err != nil || r.exists {
		p.giveUp()
		return errors.Join(err, taken(r))
	}
	p.name = r.next(name)
	_, err = p.finish()
	return err
}

func taken(r row) error {
	if !r.exists {
		return nil
	}
	return fmt.Errorf("put %s: the name is taken: %w", r.blob, fs.ErrExist)
}

// RemoveOwn implements dest.Keeper.
func (h *handle) RemoveOwn(ctx context.Context, name string) error {
	if !h.azblob.immutable.Load() {
		err := h.remove(ctx, ownName(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !isImmutable(codeOf(err)) {
			return err
		}
		h.azblob.immutable.Store(true)
	}
	return h.addOwn(ctx, name, nil, true)
}

// remove deletes a blob.
func (h *handle) remove(ctx context.Context, name string, when *blob.AccessConditions) error {
	_, err := h.client.NewBlobClient(h.blobName(name)).Delete(ctx, &blob.DeleteOptions{AccessConditions: when})
	return h.failWrite(ctx, "delete "+name, err)
}
