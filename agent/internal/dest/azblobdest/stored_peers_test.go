//go:build peers

package azblobdest_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/azblobdest"
	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
)

// TestMethods: an MD5 that the service checked is told as such, blocks are read back, and so is everything where it is
// configured, or where the service takes a wrong MD5.
func TestMethods(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	files := map[string][]byte{"small.gsm": []byte("small"), "empty.gsm": {}, "large.wav": bytes.Repeat([]byte("large "), 100_000)}
	for name, c := range map[string]struct {
		readback, dishonest bool
		small               backup.Method
	}{
		"provider":  {small: backup.ProviderMD5},
		"readback":  {readback: true, small: backup.ReadbackCached},
		"dishonest": {dishonest: true, small: backup.ReadbackCached},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.options.PartBytes, s.options.Readback = 128<<10, c.readback
			if c.dishonest {
				s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					if isProbe(r) && r.Method == http.MethodPut {
						w.Header().Set("x-ms-request-id", "1")
						w.WriteHeader(http.StatusCreated) // whatever the MD5
						return
					}
					pass.ServeHTTP(w, r)
				})
			}
			place := open(t, s.store(t))
			for name, r := range uploadAll(t, place, files) {
				want := c.small
				if name == "large.wav" {
					want = backup.ReadbackCached
				}
				if r.Err != nil || r.Method != want {
					t.Errorf("%s: %+v, want %s", name, r, want)
				}
				if got := s.stored(t, name); !bytes.Equal(got, files[name]) {
					t.Errorf("%s is stored with %d other bytes", name, len(got))
				}
			}
			warned := false
			for _, fact := range place.Facts(t.Context()) {
				warned = warned || fact.Subject == dest.SubjectChecksum && fact.Warning
			}
			if warned != c.dishonest {
				t.Errorf("a warning of the checksum: %t, want %t", warned, c.dishonest)
			}
		})
	}
}

// TestAltered: what is altered between being stored and being compared is noticed by its MD5 or by its contents, and moved aside.
func TestAltered(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	for name, readback := range map[string]bool{"provider": false, "readback": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			s.options.Readback = readback
			place := open(t, s.store(t))
			var once sync.Once
			s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				pass.ServeHTTP(w, r)
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/hit.gsm") {
					once.Do(func() { s.plant(t, "hit.gsm", []byte("altered!"), nil) })
				}
			})
			results := uploadAll(t, place, map[string][]byte{"hit.gsm": []byte("original"), "fine.gsm": []byte("original")})
			if err := results["hit.gsm"].Err; !errors.Is(err, dest.ErrReadBack) {
				t.Errorf("the altered one: %v", err)
			}
			if r := results["fine.gsm"]; r.Err != nil {
				t.Errorf("the other: %v", r.Err)
			}
			if _, err := place.HashExisting(t.Context(), "hit.gsm"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the altered one is still there: %v", err)
			}
			if again := upload(t, place, "hit.gsm", []byte("original")); again.Err != nil {
				t.Errorf("again: %v", again.Err)
			}
		})
	}
}

// immutable answers as a container with a locked retention policy does: what exists is neither replaced nor deleted
// (https://learn.microsoft.com/azure/storage/blobs/immutable-container-level-worm-policies).
func immutable(t *testing.T, s *site) cloudfault.Hook {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		query := r.URL.Query()
		switch {
		case query.Get("restype") == "container" && query.Get("comp") == "":
			w.Header().Set("x-ms-has-immutability-policy", "true")
		case query.Get("restype") == "container":
		case r.Method == http.MethodPut || r.Method == http.MethodDelete:
			name := strings.TrimPrefix(r.URL.Path, "/"+s.server.Account+"/"+s.container+"/")
			if _, err := s.client(t).NewBlobClient(name).GetProperties(r.Context(), nil); err == nil {
				cloudfault.AzureError(w, r, http.StatusConflict, "BlobImmutableDueToPolicy", "This operation is not permitted as the blob is immutable due to a policy.")
				return
			}
		}
		pass.ServeHTTP(w, r)
	}
}

// TestImmutable: at a container that keeps blobs unchanged, equal is a success, different is a conflict, nothing is moved
// aside, and own files take new names; also for a process that has to find it out by itself.
func TestImmutable(t *testing.T) {
	t.Parallel()
	server := azurite.Start(t, azurite.Options{})
	for name, told := range map[string]bool{"told": true, "found out": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server)
			hook := immutable(t, s)
			s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if query := r.URL.Query(); !told && query.Get("restype") == "container" && query.Get("comp") == "" {
					cloudfault.AzureError(w, r, http.StatusForbidden, "AuthorizationPermissionMismatch", "")
					return
				}
				hook(w, r, pass)
			})
			store := s.store(t)
			place := open(t, store)
			for _, text := range []string{"first", "second", "", "last"} {
				if err := place.WriteOwn(t.Context(), dest.Head, []byte(text)); err != nil {
					t.Fatal(err)
				}
				if got, err := place.ReadOwn(t.Context(), dest.Head); err != nil || string(got) != text {
					t.Errorf("ReadOwn = %q, %v, want %q", got, err, text)
				}
			}
			if err := place.Try(t.Context()); err != nil {
				t.Errorf("Try: %v", err)
			}
			if err := place.Try(t.Context()); err != nil {
				t.Errorf("Try again: %v", err)
			}
			if r := upload(t, place, "a.gsm", []byte("ours")); r.Err != nil || r.Adopted {
				t.Errorf("the first time: %+v", r)
			}
			later, err := dest.New(azblobdest.New(s.options), "the container", origin)
			if err != nil {
				t.Fatal(err)
			}
			place = open(t, later)
			if r := upload(t, place, "a.gsm", []byte("ours")); r.Err != nil || !r.Adopted {
				t.Errorf("where it is equal: %+v", r)
			}
			if r := upload(t, place, "a.gsm", []byte("other")); !errors.Is(r.Err, dest.ErrConflict) {
				t.Errorf("where it differs: %+v", r)
			}
			if got, err := place.ReadOwn(t.Context(), dest.Head); err != nil || string(got) != "last" {
				t.Errorf("a later process reads %q, %v", got, err)
			}
			if err := place.SetAsideOwn(t.Context(), dest.Head, "0011"); err != nil {
				t.Errorf("SetAsideOwn: %v", err)
			}
			if _, err := place.ReadOwn(t.Context(), dest.Head); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was set aside: %v", err)
			}
			_, err = place.MoveAside(t.Context(), "a.gsm", "label")
			if got := fault.Of(err); got.Class != fault.ClassImmutable {
				t.Errorf("MoveAside: %+v (%v)", got, err)
			}
			if got := s.stored(t, "a.gsm"); string(got) != "ours" {
				t.Errorf("what was there is %q now", got)
			}
		})
	}
}

// TestRequests compares what is sent with the vendor's reference: what Azurite does not look at, the service does.
func TestRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t, azurite.Start(t, azurite.Options{}))
	s.options.PartBytes, s.options.Tier = 1<<20, azblobdest.Cold
	place := open(t, s.store(t))
	var mu sync.Mutex
	seen := make(map[string][]*http.Request)
	s.proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, r)
		mu.Lock()
		if !isProbe(r) {
			seen[kind(r)] = append(seen[kind(r)], r.Clone(t.Context()))
		}
		mu.Unlock()
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
	results := uploadAll(t, place, map[string][]byte{"small.gsm": []byte("small"), "large.wav": bytes.Repeat([]byte("0123456789"), 250_000)})
	for name, r := range results {
		if r.Err != nil {
			t.Fatalf("%s: %v", name, r.Err)
		}
	}
	if _, err := place.MoveAside(t.Context(), "small.gsm", "label"); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]struct {
		count   int
		headers map[string]string // "*" for any value
	}{
		// https://learn.microsoft.com/rest/api/storageservices/put-blob
		"Put Blob": {1, map[string]string{"Content-MD5": "*", "If-None-Match": "*", "x-ms-blob-type": "BlockBlob", "x-ms-access-tier": "Cold", "x-ms-blob-content-md5": ""}},
		// https://learn.microsoft.com/rest/api/storageservices/put-block
		"Put Block": {3, map[string]string{"Content-MD5": "*"}},
		// https://learn.microsoft.com/rest/api/storageservices/put-block-list
		"Put Block List": {1, map[string]string{"If-None-Match": "*", "x-ms-access-tier": "Cold"}},
		// https://learn.microsoft.com/rest/api/storageservices/copy-blob
		"Copy Blob": {1, map[string]string{"If-None-Match": "*", "x-ms-source-if-match": "*", "x-ms-copy-source": "*"}},
		// https://learn.microsoft.com/rest/api/storageservices/delete-blob
		"Delete Blob": {1, map[string]string{"If-Match": "*"}},
	} {
		got := seen[request]
		if len(got) != want.count {
			t.Errorf("%d times %s, want %d; in all %v", len(got), request, want.count, slices.Collect(maps.Keys(seen)))
		}
		for _, r := range got {
			if r.Header.Get("x-ms-version") == "" || r.Header.Get("Authorization") == "" {
				t.Errorf("%s has no version or no authorization: %v", request, r.Header)
			}
			for name, value := range want.headers {
				if has := r.Header.Get(name); value == "*" && has == "" || value != "*" && has != value {
					t.Errorf("%s has %s %q, want %q", request, name, has, value)
				}
			}
		}
	}
	ids := make(map[string]bool)
	for _, r := range seen["Put Block"] {
		id := r.URL.Query().Get("blockid")
		ids[id] = true
		if len(id) != 28 {
			t.Errorf("the block is named %q: all names must have one length", id)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d names of blocks, want 3", len(ids))
	}
}
