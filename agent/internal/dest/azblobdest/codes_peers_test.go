//go:build peers

package azblobdest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/azblobdest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
)

// refusal is what the service may answer to writing a recording.
type refusal struct {
	status       int
	code, class  string
	party, asked string // asked: the code that the fault has, where it is another one
}

const (
	client   = fault.PartyClient
	provider = fault.PartyCloudProvider
	wolkvox  = fault.PartyWolkvox
)

// refusals are the codes of the vendor's reference, with its statuses.
func refusals() []refusal {
	return []refusal{
		{403, "AccountIsDisabled", "billing", client, ""},
		{400, "AccountIsDisabled", "billing", client, ""},
		{403, "ReadOnlyDisabledSubscription", "billing", client, ""},
		{403, "SubscriptionDisabled", "billing", client, ""},
		{403, "InsufficientAccountPermissions", "billing", client, dest.CodeAccountReadOnly},
		{409, "AccountBeingCreated", "dest-config", client, ""},
		{409, "AccountAlreadyExists", "client-bug", wolkvox, ""},
		{409, "AccountProtectedFromDeletion", "immutable", client, ""},
		{403, "AuthenticationFailed", "credential", client, ""},
		{400, "InvalidAuthenticationInfo", "credential", client, ""},
		{401, "InvalidAuthenticationInfo", "credential", client, ""},
		{401, "NoAuthenticationInformation", "credential", client, ""},
		{403, "AuthorizationFailure", "permission", client, ""},
		{403, "AuthorizationPermissionMismatch", "permission", client, ""},
		{403, "AuthorizationSourceIPMismatch", "permission", client, ""},
		{403, "AuthorizationProtocolMismatch", "dest-config", client, ""},
		{403, "AuthorizationServiceMismatch", "dest-config", client, ""},
		{403, "AuthorizationResourceTypeMismatch", "dest-config", client, ""},
		{403, "KeyBasedAuthenticationNotPermitted", "dest-config", client, ""},
		{409, "PublicAccessNotPermitted", "dest-config", client, ""},
		{404, "ContainerNotFound", "dest-config", client, ""},
		{404, "ResourceNotFound", "dest-config", client, ""},
		{409, "ContainerBeingDeleted", "dest-config", client, ""},
		{409, "ContainerDisabled", "permission", client, ""},
		{409, "BlobArchived", "dest-config", client, ""},
		{409, "BlobBeingRehydrated", "dest-config", client, ""},
		{412, "LeaseIdMissing", "transient", client, ""},
		{400, "Md5Mismatch", "integrity", client, ""},
		{400, "Crc64Mismatch", "integrity", client, ""},
		{400, "InvalidMd5", "client-bug", wolkvox, ""},
		{413, "RequestBodyTooLarge", "client-bug", wolkvox, ""},
		{409, "BlockCountExceedsLimit", "client-bug", wolkvox, ""},
		{400, "InvalidBlockList", "transient", client, ""},
		{400, "InvalidBlobOrBlock", "transient", client, ""},
		{400, "InvalidResourceName", "name", wolkvox, ""},
		{400, "InvalidUri", "name", wolkvox, ""},
		{400, "InvalidMetadata", "name", wolkvox, ""},
		{400, "EmptyMetadataKey", "name", wolkvox, ""},
		{400, "MetadataTooLarge", "name", wolkvox, ""},
		{503, "ServerBusy", "throttle", provider, ""},
		{500, "OperationTimedOut", "transient", provider, ""},
		{500, "InternalError", "transient", provider, ""},
		{500, "CannotVerifyCopySource", "dest-config", client, ""},
		{409, "FeatureVersionMismatch", "client-bug", wolkvox, ""},
		{400, "UnsupportedHeader", "client-bug", wolkvox, ""},
		{400, "InvalidHeaderValue", "client-bug", wolkvox, ""},
		{507, "", "capacity", client, "HTTP 507"},
		{502, "", "transient", provider, "HTTP 502"},
	}
}

// upload takes one file through a round, and returns what became of it.
func upload(t testing.TB, place *dest.Place, name string, data []byte) dest.Result {
	t.Helper()
	results := uploadAll(t, place, map[string][]byte{name: data})
	return results[name]
}

func uploadAll(t testing.TB, place *dest.Place, files map[string][]byte) map[string]dest.Result {
	t.Helper()
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	for name, data := range files {
		file, err := batch.Stage(t.Context(), name, desttest.Digest(data))
		if err == nil {
			_, err = file.Write(data)
		}
		if err == nil {
			err = file.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Sync(t.Context()), batch.Verify(t.Context())); err != nil {
		t.Fatal(err)
	}
	got, err := batch.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results := make(map[string]dest.Result)
	for _, r := range got {
		results[r.Name] = r
	}
	return results
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

// TestCodes has the service refuse a recording with each of its codes, whole files and blocks, and then take it.
func TestCodes(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	data := bytes.Repeat([]byte("recording "), 1000)
	for _, part := range []int64{0, 4 << 10} {
		for _, c := range refusals() {
			t.Run(c.code+" "+http.StatusText(c.status), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, server)
				s.options.PartBytes = part
				place := open(t, s.store(t))
				s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					if r.Method != http.MethodPut {
						pass.ServeHTTP(w, r)
						return
					}
					cloudfault.AzureError(w, r, c.status, c.code, "as documented")
				})
				result := upload(t, place, "a.gsm", data)
				want := c.code
				if c.asked != "" {
					want = c.asked
				}
				got := fault.Of(result.Err)
				if result.Err == nil || got.Class != c.class || got.Party != c.party || got.Code != want || got.Message == "" {
					t.Errorf("the fault is %+v (%v), want %s, %s, %s", got, result.Err, c.class, c.party, want)
				}
				if errors.Is(result.Err, fs.ErrNotExist) || strings.Contains(result.Err.Error(), "http") {
					t.Errorf("the error says too much: %v", result.Err)
				}
				s.proxy.Set(nil)
				if again := upload(t, place, "a.gsm", data); again.Err != nil || again.Adopted {
					t.Errorf("afterwards: %+v", again)
				}
			})
		}
	}
}

// TestReadCodes has the service refuse reading: no code but BlobNotFound says that a name is absent, with a body or without.
func TestReadCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	place := open(t, s.store(t))
	if _, err := place.HashExisting(t.Context(), "absent.gsm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an absent blob: %v", err)
	}
	for _, c := range []refusal{
		{404, "ContainerNotFound", "dest-config", client, ""}, {404, "ResourceNotFound", "dest-config", client, ""}, {404, "", "dest-config", client, "HTTP 404"},
		{409, "BlobArchived", "dest-config", client, ""}, {403, "InsufficientAccountPermissions", "permission", client, ""}, {403, "AccountIsDisabled", "billing", client, ""},
	} {
		s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if strings.Contains(r.URL.Path, "/.wolkvox/") {
				pass.ServeHTTP(w, r)
				return
			}
			cloudfault.AzureError(w, r, c.status, c.code, "as documented")
		})
		_, err := place.HashExisting(t.Context(), "absent.gsm")
		_, aside := place.MoveAside(t.Context(), "absent.gsm", "label") // asks with HEAD
		for _, err := range []error{err, aside} {
			if got := fault.Of(err); err == nil || errors.Is(err, fs.ErrNotExist) || got.Class != c.class || c.code != "" && got.Code != c.code {
				t.Errorf("of %d %s: %+v (%v), want %s", c.status, c.code, got, err, c.class)
			}
		}
	}
}

// TestClock: a refused credential is a matter of the clock where the service's differs by more than it bears.
func TestClock(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	store := s.store(t)
	for skew, class := range map[time.Duration]string{0: fault.ClassCredential, time.Hour: fault.ClassClock, -time.Hour: fault.ClassClock} {
		s.proxy.Set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			cloudfault.AzureError(w, r, 403, "AuthenticationFailed", "Request date header too old")
		})
		err := store.CheckMarker(t.Context())
		if got := fault.Of(err); got.Class != class || !errors.Is(err, dest.ErrUnreachable) {
			t.Errorf("with clocks that differ by %v: %+v (%v), want %s", skew, got, err, class)
		}
	}
}

// TestServerBusy: a service that asks for less gets less at once, and all of it in the end.
func TestServerBusy(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	place := open(t, s.store(t))
	var running, most, refused atomic.Int64
	busy := int64(4)
	s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		n := running.Add(1)
		defer running.Add(-1)
		if n > busy && r.Method == http.MethodPut {
			refused.Add(1)
			w.Header().Set("Retry-After", "1")
			cloudfault.AzureError(w, r, 503, "ServerBusy", "Ingress is over the account limit.")
			return
		}
		if refused.Load() > 50 { // long after the first
			most.Store(max(most.Load(), n))
		}
		time.Sleep(20 * time.Millisecond)
		pass.ServeHTTP(w, r)
	})
	files := make(map[string][]byte)
	for i := range 200 {
		files["2026/"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)+".gsm"] = bytes.Repeat([]byte{byte(i + 1)}, 500+i)
	}
	for name, r := range uploadAll(t, place, files) {
		if r.Err != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused: the test tests nothing")
	}
	t.Logf("%d of %d files: %d refusals", len(files), len(files), refused.Load())
	if refused.Load() > int64(len(files)) {
		t.Errorf("%d refusals for %d files: it has not slowed down", refused.Load(), len(files))
	}
}

// TestSecrets: neither a signature nor a key stands in any error, whatever happens to the connection.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	sas := s.sas()
	s.options.SAS, s.options.Key = func() (string, error) { return sas, nil }, nil
	store := s.store(t)
	place := open(t, store)
	signature := sas[strings.Index(sas, "sig=")+len("sig="):][:20]
	for what, hook := range map[string]cloudfault.Hook{
		"cut": func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"redirected": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Location", "http://127.0.0.1:1/"+r.URL.RawQuery)
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"refused": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			cloudfault.AzureError(w, r, 403, "AuthenticationFailed", "signature "+r.URL.RawQuery)
		},
	} {
		s.proxy.Set(hook)
		_, hashErr := place.HashExisting(t.Context(), "a.gsm")
		for _, err := range []error{store.CheckMarker(t.Context()), hashErr, place.WriteOwn(t.Context(), dest.Head, []byte("x"))} {
			if err == nil || strings.Contains(err.Error(), signature) || strings.Contains(err.Error(), "sig=") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestChangedKey: a key that was changed is refused, and the new one taken with the next handle.
func TestChangedKey(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	s := newSite(t, server)
	known := server.Key
	s.options.Key = func() (string, error) { return known, nil }
	opener := azblobdest.New(s.options)
	store, err := dest.New(opener, "the container", origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Key = azurite.NewKey()
	server.Restart(t)
	// Azurite's code for a wrong signature is AuthorizationFailure; the service's is in TestCodes.
	if got := fault.Of(store.CheckMarker(t.Context())); got.Code != "AuthorizationFailure" {
		t.Errorf("with the old key: %+v", got)
	}
	known = server.Key
	if err := store.CheckMarker(t.Context()); err != nil {
		t.Errorf("with the new key: %v", err)
	}
}
