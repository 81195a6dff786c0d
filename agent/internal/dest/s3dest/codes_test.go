//go:build linux && peers

package s3dest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// answers are the codes that a provider can answer to a put, with their documented statuses, and what the agent must say.
func answers() []struct {
	status int
	codes  string
	class  string
} {
	return []struct {
		status int
		codes  string
		class  string
	}{
		{403, "AccountProblem AllAccessDisabled InvalidPayer NotSignedUp OptInRequired", fault.ClassBilling},
		{403, "InvalidAccessKeyId SignatureDoesNotMatch InvalidSecurity InvalidClientTokenId", fault.ClassCredential},
		{400, "ExpiredToken InvalidToken TokenRefreshRequired UnrecognizedClientException", fault.ClassCredential},
		{403, "AccessDenied", fault.ClassPermission},
		{403, "RequestTimeTooSkewed", fault.ClassClock},
		{400, "RequestExpired", fault.ClassClock},
		{503, "SlowDown ServiceUnavailable SlowDownRead SlowDownWrite", fault.ClassThrottle},
		{400, "ThrottlingException", fault.ClassThrottle},
		{500, "InternalError", fault.ClassTransient},
		{409, "OperationAborted ConditionalRequestConflict", fault.ClassTransient},
		{404, "NoSuchUpload", fault.ClassTransient},
		{400, "RequestTimeout", fault.ClassNetwork},
		{404, "NoSuchBucket", fault.ClassDestConfig},
		{301, "PermanentRedirect", fault.ClassDestConfig},
		{307, "TemporaryRedirect Redirect", fault.ClassDestConfig},
		{400, "AuthorizationHeaderMalformed IllegalLocationConstraintException InvalidBucketName", fault.ClassDestConfig},
		{400, "InvalidStorageClass InvalidEncryptionAlgorithmError KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException", fault.ClassDestConfig},
		{403, "InvalidObjectState", fault.ClassDestConfig},
		{409, "InvalidBucketState", fault.ClassDestConfig},
		{405, "MethodNotAllowed", fault.ClassDestConfig},
		{501, "NotImplemented", fault.ClassDestConfig},
		{400, "BadDigest IncompleteBody InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch", fault.ClassIntegrity},
		{400, "EntityTooLarge EntityTooSmall InvalidPart InvalidPartOrder MetadataTooLarge InvalidRequest IncompleteSignature", fault.ClassClientBug},
		{400, "KeyTooLongError InvalidURI", fault.ClassName},
		{400, "TooManyBuckets XMinioAdminBucketQuotaExceeded", fault.ClassQuota},
		{507, "XMinioStorageFull", fault.ClassCapacity},
	}
}

// TestCodes has the provider refuse every put, and then everything, with each of its codes: the agent says what it is, calls
// nothing stored, and nothing missing.
func TestCodes(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{})
	initialised(t, s3dest.New(at(server, server.Endpoint, s3dest.Options{})))
	var group sync.WaitGroup // the SDK waits before it tries again: they wait at the same time
	for _, a := range answers() {
		for code := range strings.FieldsSeq(a.codes) {
			group.Go(func() {
				t.Run(code, func(t *testing.T) { testCode(t, server, a.status, code, a.class) })
			})
		}
	}
	group.Wait()
}

func testCode(t *testing.T, server *versitygw.Server, status int, code, class string) {
	proxy := cloudfault.Start(t, server.Endpoint)
	store := initialised(t, s3dest.New(at(server, proxy.Endpoint, s3dest.Options{})))
	place := open(t, store)
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			cloudfault.S3Error(w, r, status, code, "as documented")
			return
		}
		pass.ServeHTTP(w, r)
	})
	name, data := "refused/"+code, []byte("a recording")
	result := put(t, batch, name, data)
	if f := fault.Of(result.Err); f.Class != class || f.Code != code || f.Message == "" || result.Adopted {
		t.Errorf("a put that is refused is %+v, %v", f, result.Err)
	}
	if got, err := place.HashExisting(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after that there is %v, %v", got, err)
	}
	proxy.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		cloudfault.S3Error(w, r, status, code, "as documented")
	})
	_, err = place.HashExisting(t.Context(), name)
	if f := fault.Of(err); f.Class != class || f.Code != code || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look that is refused is %+v, %v", f, err)
	}
	_, err = store.Open(t.Context())
	if f := fault.Of(err); f.Class != class || !errors.Is(err, dest.ErrUnreachable) || errors.Is(err, dest.ErrNoMarker) {
		t.Errorf("an Open that is refused is %+v, %v", f, err)
	}
	proxy.Set(nil)
	if result := put(t, batch, name, data); result.Err != nil || result.Adopted {
		t.Errorf("when it was settled: %+v", result)
	}
}

// TestErrorInside200: a multipart upload, or a copy, that is answered 200 with an error inside has failed.
func TestErrorInside200(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{})
	proxy := cloudfault.Start(t, server.Endpoint)
	store := initialised(t, s3dest.New(at(server, proxy.Endpoint, s3dest.Options{PartBytes: 5 << 20})))
	place := open(t, store)
	plant(t, newClient(server), server.Bucket, "theirs.gsm", []byte("theirs"))
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.Header.Get("x-amz-copy-source") != "" {
			cloudfault.S3Error(w, r, http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
			return
		}
		pass.ServeHTTP(w, r)
	})
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	result := put(t, batch, "large.wav", make([]byte, 11<<20))
	if f := fault.Of(result.Err); f.Class != fault.ClassTransient || f.Code != "InternalError" {
		t.Errorf("the upload is %+v, %v", f, result.Err)
	}
	_, err = place.MoveAside(t.Context(), "theirs.gsm", "x")
	if f := fault.Of(err); f.Code != "InternalError" {
		t.Errorf("the copy is %+v, %v", f, err)
	}
	proxy.Set(nil)
	if got, err := place.HashExisting(t.Context(), "theirs.gsm"); err != nil || got != desttest.Digest([]byte("theirs")) {
		t.Errorf("what should have been moved is %v, %v", got, err)
	}
	result = put(t, batch, "large.wav", make([]byte, 11<<20))
	if result.Err != nil || result.Method != "provider-sha256-parts 5242880" {
		t.Errorf("the next try is %+v", result)
	}
}

// TestThrottled: a store that refuses some puts for a while is asked again by the SDK, and then all is stored.
func TestThrottled(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{})
	proxy := cloudfault.Start(t, server.Endpoint)
	place := open(t, initialised(t, s3dest.New(at(server, proxy.Endpoint, s3dest.Options{}))))
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	var refused atomic.Int64
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut && refused.Add(1) <= 2 {
			cloudfault.S3Error(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
			return
		}
		pass.ServeHTTP(w, r)
	})
	if result := put(t, batch, "a.gsm", bytes.Repeat([]byte("x"), 1000)); result.Err != nil || refused.Load() != 3 {
		t.Errorf("after %d puts: %+v", refused.Load(), result)
	}
}

func initialised(t testing.TB, opener dest.Opener) *dest.Store {
	t.Helper()
	store, err := dest.New(opener, "the bucket under test", desttest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatalf("Init: %v", err)
	}
	return store
}

func open(t testing.TB, store *dest.Store) *dest.Place {
	t.Helper()
	place, err := store.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { place.Close() })
	return place
}

// put takes one file through a round of a batch.
func put(t testing.TB, batch *dest.Batch, name string, data []byte) dest.Result {
	t.Helper()
	file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = errors.Join(file.Commit(), batch.Sync(t.Context()), batch.Verify(t.Context()))
	}
	var results []dest.Result
	if err == nil {
		results, err = batch.Publish(t.Context())
	}
	if err != nil || len(results) != 1 {
		t.Fatalf("a round of %q has %d results, %v", name, len(results), err)
	}
	return results[0]
}
