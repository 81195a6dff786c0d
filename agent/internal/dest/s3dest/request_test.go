package s3dest_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
)

// TestRequests compares what is asked for with the API's reference (PutObject, CreateMultipartUpload, UploadPart,
// CompleteMultipartUpload), where no peer has what is asked for: the bucket's owner, encryption by KMS, storage classes.
func TestRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var puts []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if got := r.Header.Get("x-amz-expected-bucket-owner"); got != "111122223333" {
			t.Errorf("%s %s expects the bucket's owner %q", r.Method, r.URL, got)
		}
		switch {
		case strings.Contains(r.URL.Path, "/.wolkvox/probe-"):
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<Error><Code>BadDigest</Code></Error>")
			return
		case r.Method == http.MethodGet:
			fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
			return
		case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
			fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
		}
		mu.Lock()
		defer mu.Unlock()
		puts = append(puts, r)
	}))
	defer server.Close()
	opener := s3dest.New(s3dest.Options{
		Bucket: "b", Prefix: "p", Region: "eu-central-1", Endpoint: server.URL, PathStyle: true, ExpectedOwner: "111122223333",
		Keys:         func() (string, error) { return "AKIAEXAMPLE\nsecret", nil },
		StorageClass: "STANDARD_IA", Encryption: "aws:kms", KMSKey: "key", LockMode: "COMPLIANCE", LockDays: 2,
	})
	driver, err := opener.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	stage, err := driver.(dest.Stager).NewStage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Discard()
	small, large := []byte("a recording"), make([]byte, 9<<20)
	for name, data := range map[string][]byte{"small.gsm": small, "large.wav": large} {
		file, err := stage.(dest.Uploader).Upload(t.Context(), name, name, desttest.Digest(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if err := stage.Publish(t.Context(), []dest.Move{{Key: name, Name: name}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	sum := desttest.Digest(small).SHA256
	stored := map[string]string{
		"x-amz-storage-class": "STANDARD_IA", "x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key",
		"x-amz-object-lock-mode": "COMPLIANCE",
	}
	seen := map[string]int{}
	for _, r := range puts {
		want, kind := stored, ""
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			kind = "begin"
			want = map[string]string{"x-amz-checksum-algorithm": "SHA256"}
		case q.Has("partNumber"):
			kind = "part"
			if r.Header.Get("x-amz-checksum-sha256") == "" || r.Header.Get("x-amz-object-lock-mode") != "" {
				t.Errorf("a part has the headers %v", r.Header)
			}
			want = nil
		case q.Has("uploadId"):
			kind = "complete"
			want = map[string]string{"If-None-Match": "*"}
		case strings.HasSuffix(r.URL.Path, "/p/small.gsm"):
			kind = "put"
			want = map[string]string{
				"If-None-Match": "*", "x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum[:]), "x-amz-content-sha256": hex.EncodeToString(sum[:]),
			}
		}
		seen[kind]++
		if kind == "begin" || kind == "put" {
			until, err := time.Parse(time.RFC3339, r.Header.Get("x-amz-object-lock-retain-until-date"))
			if left := time.Until(until); err != nil || left < 47*time.Hour || left > 49*time.Hour {
				t.Errorf("%s is retained until %v, %v", kind, until, err)
			}
			maps.Copy(want, stored)
		}
		for header, value := range want {
			if got := r.Header.Get(header); got != value {
				t.Errorf("%s %s has %s: %q, want %q", r.Method, r.URL, header, got, value)
			}
		}
		if trailer := r.Header.Get("x-amz-trailer"); trailer != "" {
			t.Errorf("%s %s has the trailer %q", r.Method, r.URL, trailer)
		}
	}
	for kind, times := range map[string]int{"put": 1, "begin": 1, "part": 2, "complete": 1} {
		if seen[kind] != times {
			t.Errorf("%d requests of the kind %s, want %d", seen[kind], kind, times)
		}
	}
}

// TestKeys: what is no access key is refused, and is not in the error.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "AKIAEXAMPLE", "AKIAEXAMPLE secret", "a\n\nsecret", "a\nsecret\nc\nd"} {
		opener := s3dest.New(s3dest.Options{Bucket: "b", Region: "r", Endpoint: "http://127.0.0.1:1", Keys: func() (string, error) { return text, nil }})
		if _, err := opener.Open(t.Context()); err == nil || strings.Contains(err.Error(), "secret") && strings.Contains(err.Error(), text) && text != "" {
			t.Errorf("Open with the key %q = %v", text, err)
		}
	}
}
