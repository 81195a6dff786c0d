package wolkvoxdest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// CopyItems implements dest.Copier.
func (h *handle) CopyItems(ctx context.Context, manifest int64, items []dest.CopyItem, each func(dest.Copied)) error {
	method, err := h.method(ctx)
	if err != nil {
		return err
	}
	byIndex := make(map[int64]dest.CopyItem, len(items))
	request := &backupv1.CopyItemsRequest{Origin: h.storage.options.Origin, Manifest: manifest}
	for _, item := range items {
		byIndex[item.Index] = item
		if n := len(request.Indexes); n > 0 && request.Indexes[n-1].GetLast() == item.Index-1 {
			request.Indexes[n-1].Last = item.Index
		} else {
			request.Indexes = append(request.Indexes, &backupv1.IndexRange{First: item.Index, Last: item.Index})
		}
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := h.storage.client.CopyItems(inner, request)
	if err != nil {
		return ended(ctx, answered("have items copied", err))
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return ended(ctx, answered("have items copied", err))
		}
		for _, outcome := range answer.GetOutcomes() {
			indexes, err := wire.ParseIndexes(outcome.GetIndexes())
			if err != nil {
				return fmt.Errorf("have items copied: %w", err)
			}
			copied, err := copiedOf(outcome.GetVerdict())
			if err != nil {
				return err
			}
			for index := range indexes.All() {
				item, asked := byIndex[index]
				if !asked {
					return fmt.Errorf("have items copied: the server speaks of item %d, which was not asked for, or twice", index)
				}
				delete(byIndex, index)
				one := copied
				one.Index = index
				each(h.compared(ctx, item, one, method))
			}
		}
		if answer.GetComplete() {
			break
		}
	}
	if len(byIndex) > 0 {
		return fmt.Errorf("have items copied: the server says complete, and said nothing of %d items", len(byIndex))
	}
	return nil
}

// compared reads back what was stored where the service is not relied upon.
func (h *handle) compared(ctx context.Context, item dest.CopyItem, c dest.Copied, method backup.Method) dest.Copied {
	if c.Err != nil || c.Source != dest.SourceGood {
		return c
	}
	c.Method = method
	if method == backup.ProviderSHA256 {
		return c
	}
	got, err := h.readBack(ctx, item.Name)
	if err == nil && got != item.Digest {
		err = differs(item.Name, got, item.Digest)
	}
	c.Err = err
	return c
}

// differs says that a file reads back differently, as the server would.
func differs(name string, got, want backup.Digest) error {
	return &dest.CodeError{
		Space: dest.SpaceWolkvox, Name: wire.ReasonReadBack,
		Cause: fmt.Errorf("%w: %q is %v, wanted is %v", dest.ErrReadBack, name, got, want),
	}
}

// copiedOf is what a verdict says.
func copiedOf(v backupv1.CopyVerdict) (dest.Copied, error) {
	failed := func(reason string, cause error) (dest.Copied, error) {
		return dest.Copied{Err: &dest.CodeError{Space: dest.SpaceWolkvox, Name: reason, Cause: cause}}, nil
	}
	switch v {
	case backupv1.CopyVerdict_COPY_VERDICT_STORED:
		return dest.Copied{}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_NAME_TAKEN:
		return dest.Copied{Err: fs.ErrExist}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_NAME_OBSTRUCTED:
		return dest.Copied{Err: dest.ErrConflict}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_SOURCE_CHANGED:
		return dest.Copied{Source: dest.SourceChanged}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_SOURCE_UNREADABLE:
		return dest.Copied{Source: dest.SourceUnreadable}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_NOT_PENDING:
		return dest.Copied{Source: dest.SourceNotPending}, nil
	case backupv1.CopyVerdict_COPY_VERDICT_QUOTA:
		return failed(wire.ReasonStorageQuota, errors.New("the quota has no room for the file"))
	case backupv1.CopyVerdict_COPY_VERDICT_FULL:
		return failed(wire.ReasonStorageFull, errors.New("the server has no room for the file"))
	case backupv1.CopyVerdict_COPY_VERDICT_READ_BACK:
		return failed(wire.ReasonReadBack, fmt.Errorf("the server found it when it compared: %w", dest.ErrReadBack))
	case backupv1.CopyVerdict_COPY_VERDICT_FAILED:
		return dest.Copied{Err: &dest.CodeError{
			Space: dest.SpaceWolkvox, Number: int64(codes.Internal), Cause: errors.New("the server could not store the file; its own log says why"),
		}}, nil
	}
	return dest.Copied{}, fmt.Errorf("have items copied: the server's verdict %d is not known here", v)
}

func presenceError(p backupv1.FilePresence) error {
	switch p {
	case backupv1.FilePresence_FILE_PRESENCE_ABSENT:
		return fs.ErrNotExist
	case backupv1.FilePresence_FILE_PRESENCE_OBSTRUCTED:
		return dest.ErrConflict
	case backupv1.FilePresence_FILE_PRESENCE_UNREADABLE:
		return &dest.CodeError{Space: dest.SpaceWolkvox, Name: codeUnreadable, Cause: errors.New("the server cannot read what it stored; its own log says why")}
	}
	return fmt.Errorf("the server says of a name what is not known here (%d)", p)
}

// codeUnreadable stands for a file that the server stored and cannot read: a failing disk.
const codeUnreadable = "UNREADABLE"

func parseDigest(d *backupv1.StorageDigest) (backup.Digest, error) {
	if len(d.GetSha256()) != 32 || d.GetSizeBytes() < 0 {
		return backup.Digest{}, errors.New("the server sent a digest without SHA-256 or size")
	}
	return backup.Digest{SHA256: [32]byte(d.GetSha256()), SizeBytes: d.GetSizeBytes()}, nil
}

func digestOf(d backup.Digest) *backupv1.StorageDigest {
	return &backupv1.StorageDigest{Sha256: d.SHA256[:], SizeBytes: d.SizeBytes}
}
