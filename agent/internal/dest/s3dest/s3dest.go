// Package s3dest is a destination in a bucket of Amazon S3, or of a store that speaks its API. Names are keys below a prefix,
// and there are no folders: a file goes to its own key by one put, or by a multipart upload where it is large, only if the key
// is free (If-None-Match), and is visible there whole or not at all.
//
// Every put carries the SHA-256 that its contents must have, and the service computes it over what came. Before that is relied
// upon, a put with a wrong one must have been refused, once per process; where it was taken every file is read back. What is
// there already is known by the checksum that the service keeps of the whole object, and is read where it keeps none.
//
// In a bucket with object lock nothing is overwritten: own files take new names there, NAME.000001 and so on, of which the
// last one counts, and nothing is moved aside.
//
// It judges no errors: they carry the service's code, as [dest.CodeError]. The SDK tries a request at most three times; further
// tries are for the caller.
package s3dest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// DefaultPartBytes is the size of the parts of large files; what is not larger is one put.
const DefaultPartBytes = 8 << 20

// Options say where the bucket is, who the agent is there, and how objects are stored.
type Options struct {
	Bucket string
	Prefix string // before every key, without a slash at its end; empty for the bucket itself
	Region string
	// Endpoint is the URL of a store that is not Amazon's; empty for Amazon S3.
	Endpoint  string
	PathStyle bool // the bucket is named in the path, not in the host

	// Keys returns the access key: its id and its secret, and where there is one a session token, each on a line of its own. It
	// is called at every Open. Where it is nil the SDK's chain finds the credentials: environment, shared files, web identity,
	// container, instance role.
	Keys    func() (string, error)
	Profile string // of the shared files; not beside Keys

	ExpectedOwner string // the account that the bucket must belong to; empty for any
	StorageClass  string // of recordings; empty for the service's own
	KMSKey        string // encrypts with this key of KMS
	Encryption    string // "AES256", "aws:kms", or empty for the bucket's own
	// LockMode is "GOVERNANCE" or "COMPLIANCE": recordings are retained for LockDays. Empty for the bucket's own.
	LockMode string
	LockDays int

	PartBytes int64 // DefaultPartBytes where 0
	Readback  bool  // everything is read back, whatever the service computes
}

// S3 opens handles on a bucket. It is safe for concurrent use.
type S3 struct {
	o         Options
	transport *awshttp.BuildableClient
	place     string // for a person
	prefix    string // before every key; empty, or with a slash at its end
	room      *room

	alone  chan struct{} // held by the one who asks what is asked once
	mu     sync.Mutex    // guards what follows
	honest *bool         // the service refuses wrong checksums; nil while not known
	locked *bool         // nothing may be overwritten; nil while not known
	active map[string]bool
}

// New returns what opens a bucket. It connects to nothing.
func New(o Options) *S3 {
	if o.PartBytes == 0 {
		o.PartBytes = DefaultPartBytes
	}
	s := &S3{o: o, room: newRoom(), alone: make(chan struct{}, 1), active: make(map[string]bool)}
	if o.Prefix != "" {
		s.prefix = strings.Trim(o.Prefix, "/") + "/"
	}
	s.place = "s3://" + o.Bucket + "/" + s.prefix
	s.transport = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = maxPuts
		t.ResponseHeaderTimeout = answerTimeout
	})
	return s
}

const (
	// answerTimeout is how long the service may take to answer when it has the whole request.
	answerTimeout = 2 * time.Minute
	// leastBytesPerSecond is how slow a line may be on which a put is not given up.
	leastBytesPerSecond = 8 << 10
)

// Open implements dest.Opener. It asks for a list, which fails where anything about the account, the bucket or the clocks is
// wrong, and with a code, as a HEAD request would not.
func (s *S3) Open(ctx context.Context) (dest.Driver, error) {
	client, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	h := &handle{s3: s, client: client, puts: make(chan struct{}, maxPuts)}
	if err := h.answers(ctx); err != nil {
		return nil, err
	}
	if h.locked, err = h.askLocked(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// handle is one client with the credentials of its time.
type handle struct {
	s3     *S3
	client *s3.Client
	locked bool
	puts   chan struct{} // holds one for each put on its way
}

// maxPuts is how many puts of one handle are on their way at once.
const maxPuts = 16

// Close implements dest.Driver.
func (h *handle) Close() error {
	h.s3.room.empty()
	return nil
}

// key returns the key of a name.
func (h *handle) key(name string) string { return h.s3.prefix + name }

// answers asks for a list of at most one object, which proves that the bucket is there and answers.
func (h *handle) answers(ctx context.Context) error {
	_, err := h.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: h.bucket(), ExpectedBucketOwner: h.owner(), Prefix: new(h.s3.prefix + backup.OwnPrefix + "/"), MaxKeys: new(int32(1)),
	})
	return h.s3.explain(ctx, "list the bucket", err)
}

// askLocked reports whether the bucket has object lock, or recordings are to be retained. It asks once per process.
func (h *handle) askLocked(ctx context.Context) (bool, error) {
	return once(ctx, h.s3, &h.s3.locked, func() (bool, error) {
		if h.s3.o.LockMode != "" {
			return true, nil
		}
		got, err := h.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: h.bucket(), ExpectedBucketOwner: h.owner()})
		if err == nil {
			return got.ObjectLockConfiguration != nil && got.ObjectLockConfiguration.ObjectLockEnabled != "", nil
		}
		if err = h.s3.explain(ctx, "ask for the bucket's object lock", err); errors.As(err, new(*dest.CodeError)) {
			return false, nil // there is none, or the user may not know: then nothing is retained by this driver's doing
		}
		return false, err
	})
}

// once returns what is known, or finds it out. Only one caller asks at a time, and an error is not remembered.
func once(ctx context.Context, s *S3, known **bool, ask func() (bool, error)) (bool, error) {
	select {
	case s.alone <- struct{}{}:
		defer func() { <-s.alone }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	s.mu.Lock()
	answer := *known
	s.mu.Unlock()
	if answer != nil {
		return *answer, nil
	}
	found, err := ask()
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*known = &found
	return found, nil
}

func (h *handle) bucket() *string { return &h.s3.o.Bucket }

// owner is the account that the bucket must belong to, nil for any.
func (h *handle) owner() *string { return optional(h.s3.o.ExpectedOwner) }

// optional returns nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// randomName returns 16 characters that no other call returns.
func randomName() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
