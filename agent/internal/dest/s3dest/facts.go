package s3dest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// isHonest reports whether the service refuses a put whose contents do not have the checksum that it was told. It is found out
// once per process.
func (h *handle) isHonest(ctx context.Context) (bool, error) {
	return once(ctx, h.s3, &h.s3.honest, func() (bool, error) {
		key := h.own("probe-" + randomName())
		_, err := h.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: h.bucket(), Key: &key, ExpectedBucketOwner: h.owner(), ContentLength: new(int64(len(key))),
			Body: bytes.NewReader([]byte(key)), ChecksumSHA256: base64Of(sha256.Sum256([]byte("other contents"))),
		})
		if err == nil {
			return false, h.delete(ctx, key)
		}
		err = h.s3.explain(ctx, "put with a wrong checksum", err)
		code, ok := errors.AsType[*dest.CodeError](err)
		if ok && code.Number == http.StatusBadRequest && refusals()[code.Name] {
			return true, nil
		}
		return false, err
	})
}

// refusals are the codes by which services refuse contents that do not have their checksum.
func refusals() map[string]bool {
	return map[string]bool{"BadDigest": true, "XAmzContentChecksumMismatch": true, "InvalidDigest": true, "XAmzContentSHA256Mismatch": true}
}

// Facts implements dest.Reporter.
func (h *handle) Facts(ctx context.Context) []dest.Fact {
	o := h.s3.o
	at := "Amazon S3"
	if o.Endpoint != "" {
		at = o.Endpoint
	}
	owner := ""
	if o.ExpectedOwner != "" {
		owner = ", of account " + o.ExpectedOwner
	}
	facts := []dest.Fact{{Subject: dest.SubjectPlace, Text: fmt.Sprintf("bucket %s%s, region %s, at %s", o.Bucket, owner, o.Region, at)}}
	if honest, err := h.isHonest(ctx); err == nil {
		facts = append(facts, checksumFact(honest, o))
	}
	if h.locked {
		text := "the bucket has object lock: own files take new names, and nothing is moved aside"
		if o.LockMode != "" {
			text = fmt.Sprintf("recordings are retained for %d days (%s); own files take new names, and nothing is moved aside", o.LockDays, o.LockMode)
		}
		facts = append(facts, dest.Fact{Subject: dest.SubjectRename, Text: text})
	}
	return facts
}

func checksumFact(honest bool, o Options) dest.Fact {
	switch {
	case !honest:
		return dest.Fact{Subject: dest.SubjectChecksum, Warning: true,
			Text: "the service stores contents whose SHA-256 is not the one that it is told; every file is read back, which takes longer and may cost: use one that checks"}
	case o.Readback:
		return dest.Fact{Subject: dest.SubjectChecksum, Text: "the service refuses contents with a wrong SHA-256; every file is read back, as configured"}
	}
	return dest.Fact{Subject: dest.SubjectChecksum, Text: fmt.Sprintf("the service refuses contents with a wrong SHA-256 (%s; %s)", backup.ProviderSHA256, backup.ProviderSHA256Parts(o.PartBytes))}
}
