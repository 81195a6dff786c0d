//go:build linux && peers

package s3dest_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
	"github.com/wolkvox/backup/internal/peertest/cloudfault"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// TestGullible: a store that takes contents with a wrong checksum is not relied upon. What it stores is read back, and what it
// altered is not confirmed.
func TestGullible(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{})
	proxy := cloudfault.Start(t, server.Endpoint)
	client := newClient(server)
	gullible := func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method != http.MethodPut || r.Header.Get("x-amz-copy-source") != "" {
			pass.ServeHTTP(w, r)
			return
		}
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		key := strings.TrimPrefix(r.URL.Path, "/"+server.Bucket+"/")
		if strings.Contains(key, "altered") {
			data[0] ^= 1
		}
		in := &s3.PutObjectInput{Bucket: &server.Bucket, Key: &key, Body: bytes.NewReader(data)}
		if none := r.Header.Get("If-None-Match"); none != "" {
			in.IfNoneMatch = &none
		}
		if _, err := client.PutObject(r.Context(), in); err != nil {
			cloudfault.S3Error(w, r, http.StatusPreconditionFailed, "PreconditionFailed", "taken")
		}
	}
	proxy.Set(gullible)
	place := open(t, initialised(t, s3dest.New(at(server, proxy.Endpoint, s3dest.Options{}))))
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	data := []byte("a recording")
	if r := put(t, batch, "right.gsm", data); r.Err != nil || r.Method != backup.ReadbackCached {
		t.Errorf("a put to it: %+v, want read back", r)
	}
	if r := put(t, batch, "altered.gsm", data); !isReadBack(r.Err) {
		t.Errorf("a put that it altered: %+v, want %v", r, dest.ErrReadBack)
	}
	if _, err := place.HashExisting(t.Context(), "altered.gsm"); err == nil {
		t.Error("what it altered was not moved aside")
	}
	warned := false
	for _, fact := range place.Facts(t.Context()) {
		warned = warned || fact.Warning && fact.Subject == dest.SubjectChecksum
	}
	if !warned {
		t.Errorf("nobody is warned: %v", place.Facts(t.Context()))
	}
	for object, err := range place.List(t.Context()) {
		if err != nil || object.Name != "right.gsm" {
			t.Errorf("there is %+v, %v", object, err)
		}
	}
}

// TestHonest: at a store that refuses wrong checksums the receipt says who computed them, and what lies there already is known
// by the one that the store keeps.
func TestHonest(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{})
	proxy := cloudfault.Start(t, server.Endpoint)
	store := initialised(t, s3dest.New(at(server, proxy.Endpoint, s3dest.Options{})))
	place := open(t, store)
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	small, large := []byte("a recording"), bytes.Repeat([]byte("a large recording"), 1<<20)
	if r := put(t, batch, "small.gsm", small); r.Err != nil || r.Method != backup.ProviderSHA256 {
		t.Errorf("a small file: %+v", r)
	}
	if r := put(t, batch, "large.wav", large); r.Err != nil || r.Method != backup.ProviderSHA256Parts(s3dest.DefaultPartBytes) {
		t.Errorf("a large file: %+v", r)
	}
	proxy.Set(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "small.gsm") {
			t.Error("the small file is read again")
		}
		if r.Method == http.MethodPut { // on its way something alters a byte, and leaves the headers as they are
			data, _ := io.ReadAll(r.Body)
			data[len(data)-1] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
		pass.ServeHTTP(w, r)
	})
	found, err := place.Hash(t.Context(), []string{"small.gsm", "large.wav"})
	if err != nil || found[0].Digest != desttest.Digest(small) || found[0].Method != backup.ProviderSHA256 ||
		found[1].Digest != desttest.Digest(large) || found[1].Method != backup.ReadbackCached {
		t.Errorf("what is there: %+v, %v", found, err)
	}
	if r := put(t, batch, "altered.gsm", small); r.Err == nil {
		t.Errorf("what was altered on its way: %+v", r)
	}
	if r := put(t, batch, "altered.wav", large); r.Err == nil {
		t.Errorf("what was altered on its way, in parts: %+v", r)
	}
	for _, fact := range place.Facts(t.Context()) {
		if fact.Warning {
			t.Errorf("a warning: %v", fact)
		}
	}
}

// TestObjectLock: in a bucket with object lock own files take new names, recordings are retained, and nothing is moved.
func TestObjectLock(t *testing.T) {
	t.Parallel()
	server := versitygw.Start(t, versitygw.Options{Versions: true})
	client := newClient(server)
	bucket := "locked"
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: new(true)}); err != nil {
		t.Fatal(err)
	}
	o := at(server, server.Endpoint, s3dest.Options{LockMode: "GOVERNANCE", LockDays: 3})
	o.Bucket = bucket
	store := initialised(t, s3dest.New(o))
	place := open(t, store)
	for _, text := range []string{"first", "second", "third"} {
		if err := place.WriteOwn(t.Context(), dest.Head, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	o.LockMode = "" // a later process finds it out by the bucket
	later := open(t, initialised(t, s3dest.New(o)))
	if got, err := later.ReadOwn(t.Context(), dest.Head); err != nil || string(got) != "third" {
		t.Errorf("the head is %q, %v", got, err)
	}
	batch, err := place.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Discard()
	for name, data := range map[string][]byte{"small.gsm": []byte("a recording"), "large.wav": make([]byte, 9<<20)} {
		if r := put(t, batch, name, data); r.Err != nil {
			t.Errorf("%+v", r)
		}
		kept, err := client.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: &bucket, Key: &name})
		if err != nil || kept.Retention.Mode != types.ObjectLockRetentionModeGovernance || time.Until(*kept.Retention.RetainUntilDate) < 2*24*time.Hour {
			t.Errorf("%s is retained so: %+v, %v", name, kept, err)
		}
		if r := put(t, batch, name, append(data, 1)); !isConflict(r.Err) {
			t.Errorf("other contents: %+v", r)
		}
	}
	if _, err := place.MoveAside(t.Context(), "small.gsm", "x"); err == nil {
		t.Error("a retained recording was moved")
	}
}

func isReadBack(err error) bool { return errors.Is(err, dest.ErrReadBack) }
func isConflict(err error) bool { return errors.Is(err, dest.ErrConflict) }
