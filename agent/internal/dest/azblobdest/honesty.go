package azblobdest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// honesty is whether the service refuses a wrong MD5: one that stores what it is given, whatever the checksum, proves nothing.
// It is tried once for each opener.
type honesty struct {
	mu      sync.Mutex
	known   bool
	checked bool
}

// md5IsChecked reports whether the service checks MD5; false where that is not known yet and could not be tried now.
func (h *handle) md5IsChecked(ctx context.Context) bool {
	known := &h.azblob.honesty
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.known {
		return known.checked
	}
	var content, wrong [16]byte
	rand.Read(content[:]) // never fails (crypto/rand)
	rand.Read(wrong[:])
	name := ownName("probe-" + hex.EncodeToString(content[:8]))
	_, err := h.client.NewBlockBlobClient(h.blobName(name)).Upload(ctx, reader(content[:]), &blockblob.UploadOptions{
		AccessConditions:        &blob.AccessConditions{ModifiedAccessConditions: whenAbsent()},
		TransactionalValidation: blob.TransferValidationTypeMD5(wrong[:]),
	})
	switch {
	case err == nil:
		known.known = true
		h.remove(ctx, name, nil) // nobody misses it where it has to stay
	case bloberror.HasCode(err, bloberror.MD5Mismatch, bloberror.InvalidOperation): // the latter is what Azurite answers
		known.known, known.checked = true, true
	}
	return known.checked
}
