package wolkvoxdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// method returns how what is stored is compared. Once in the life of the opener the service is asked to take a file under a
// wrong digest: only one that refuses it is relied upon.
func (h *handle) method(ctx context.Context) (backup.Method, error) {
	s := h.storage
	if s.options.Readback {
		return backup.ReadbackCached, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.probed {
		refuses, err := h.probe(ctx)
		if err != nil {
			return "", fmt.Errorf("find out whether wolkvox Storage compares what it stores: %w", err)
		}
		s.probed, s.refuses = true, refuses
	}
	if !s.refuses {
		return backup.ReadbackCached, nil
	}
	return backup.ProviderSHA256, nil
}

// probe reports whether the service refuses a file that does not have the digest that it is announced with.
func (h *handle) probe(ctx context.Context) (refuses bool, err error) {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	name := "probe-" + hex.EncodeToString(b[:])
	header := h.header(backup.OwnPrefix+"/"+name, backup.Digest{SHA256: [32]byte(append(b[:], b[:]...)), SizeBytes: int64(len(b))}, dest.Absent)
	header.Data = b[:]
	err = h.sendSmall(ctx, header)
	if errors.Is(err, backup.ErrDigest) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, h.RemoveOwn(context.WithoutCancel(ctx), name)
}

// Space implements dest.Spacer: what quota and server leave.
func (h *handle) Space(ctx context.Context) (dest.Space, error) {
	usage, err := h.usage(ctx)
	if err != nil {
		return dest.Space{}, ended(ctx, err)
	}
	return dest.Space{FreeBytes: usage.GetFreeBytes(), FreeInodes: -1, TotalBytes: max(usage.GetQuotaBytes(), usage.GetUsedBytes()+usage.GetFreeBytes())}, nil
}

// Facts implements dest.Reporter.
func (h *handle) Facts(ctx context.Context) []dest.Fact {
	facts := []dest.Fact{{Subject: dest.SubjectPlace, Text: fmt.Sprintf("wolkvox Storage, %s of %s", h.place(), h.tenant())}}
	switch usage, err := h.usage(ctx); {
	case err != nil:
	case usage.GetQuotaBytes() == 0:
		facts = append(facts, dest.Fact{Subject: dest.SubjectQuota, Text: "no quota is set"})
	default:
		facts = append(facts, dest.Fact{
			Subject: dest.SubjectQuota, Warning: usage.GetUsedBytes() > usage.GetQuotaBytes()/10*9,
			Text: fmt.Sprintf("%d of %d MiB of the quota are used; wolkvox raises it", usage.GetUsedBytes()>>20, usage.GetQuotaBytes()>>20),
		})
	}
	if method, err := h.method(ctx); err == nil && method != backup.ProviderSHA256 && !h.storage.options.Readback {
		facts = append(facts, dest.Fact{
			Subject: dest.SubjectChecksum, Warning: true,
			Text: "the server took a file under a wrong digest: everything is read back over the line instead; tell wolkvox",
		})
	}
	return facts
}
