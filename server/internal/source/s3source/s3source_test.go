package s3source

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/server/internal/source"
)

func credentialsFile(t *testing.T, id, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(name, fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newBucket(t *testing.T, endpoint string) *Bucket {
	t.Helper()
	b, err := New(Config{Bucket: "b", Prefix: "p", Region: "us-east-1", Endpoint: endpoint, PathStyle: true, CredentialsFile: credentialsFile(t, "AKIA", "s")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// wantRefused sees that nothing is said of a source but that somebody has to act.
func wantRefused(t *testing.T, about string, c Config) {
	t.Helper()
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	d, err := b.Open(t.Context())
	if err == nil {
		_, err = source.OpenDriver(t.Context(), d, source.Proof{File: "proof"})
	}
	if !errors.Is(err, source.ErrUnreachable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", about, err)
	}
	if d, openErr := b.Open(t.Context()); openErr == nil {
		_, err = source.Prove(t.Context(), d, "")
	}
	if !errors.Is(err, source.ErrRefused) {
		t.Errorf("%s: the proof: %v, want ErrRefused", about, err)
	}
}

// store answers every request as answer does, but has the proof.
func store(t *testing.T, answer http.HandlerFunc) *source.Tree {
	t.Helper()
	const marker = "wolkvox-source 00112233445566778899aabbccddeeff\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, source.MarkerName) {
			object(w, r, marker, "marker")
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	d, err := newBucket(t, server.URL).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := source.OpenDriver(t.Context(), d, source.Proof{MarkerID: "00112233445566778899aabbccddeeff"})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// object answers a request for an object.
func object(w http.ResponseWriter, r *http.Request, contents, etag string) {
	w.Header().Set("ETag", `"`+etag+`"`)
	if r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != `"`+etag+`"` {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")
	w.Header().Set("Content-Length", fmt.Sprint(len(contents)))
	if r.Header.Get("Range") != "" {
		var first, last int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		last = min(last, len(contents)-1)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(contents)))
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(http.StatusPartialContent)
		contents = contents[first : last+1]
	}
	if r.Method != http.MethodHead {
		fmt.Fprint(w, contents)
	}
}

const (
	header = `<?xml version="1.0" encoding="UTF-8"?>`
	entry  = `<Contents><Key>p/call.gsm</Key><Size>8</Size><LastModified>2026-11-22T10:00:00.5Z</LastModified><ETag>"e"</ETag></Contents>`
)

// TestListing sees everything that is no whole listing called unreachable, and nothing gone.
func TestListing(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		first, second string
		status        int // of the second
		found         int // less than zero: unreachable
	}{
		"whole":      {`<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>` + entry + `</ListBucketResult>`, "", 0, 1},
		"empty":      {`<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>`, "", 0, 0},
		"error, 200": {`<Error><Code>InternalError</Code><Message>m</Message></Error>`, "", 0, -1},
		"cut off":    {`<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>` + entry, "", 0, -1},
		"no page":    {`<html></html>`, "", 0, -1},
		"other name": {`<ListBucketResult><Name>c</Name><IsTruncated>false</IsTruncated></ListBucketResult>`, "", 0, -1},
		"not said":   {`<ListBucketResult><Name>b</Name></ListBucketResult>`, "", 0, -1},
		"no token":   {`<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>` + entry + `</ListBucketResult>`, "", 0, -1},
		"elsewhere":  {`<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>q/x</Key><Size>8</Size><LastModified>2026-11-22T10:00:00Z</LastModified><ETag>"e"</ETag></Contents></ListBucketResult>`, "", 0, -1},
		"half": {`<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>` + entry + `</ListBucketResult>`,
			`<Error><Code>AccessDenied</Code><Message>m</Message></Error>`, http.StatusForbidden, -1},
		"both": {`<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>`,
			`<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>` + entry + `</ListBucketResult>`, http.StatusOK, 1},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			tree := store(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("continuation-token") == "t" {
					w.WriteHeader(c.status)
					fmt.Fprint(w, header+c.second)
					return
				}
				fmt.Fprint(w, header+c.first)
			})
			found, err := tree.Scan(t.Context(), nil)
			if c.found < 0 {
				if !errors.Is(err, source.ErrUnreachable) || found != nil {
					t.Errorf("Scan = %+v, %v, want ErrUnreachable", found, err)
				}
			} else if err != nil || len(found.Candidates) != c.found {
				t.Errorf("Scan = %+v, %v, want %d", found, err, c.found)
			}
		})
	}
}

// TestReading sees an object that is replaced, refused, gone or cut off while it is read called what it is.
func TestReading(t *testing.T) {
	t.Parallel()
	contents := strings.Repeat("0123456789", 150_000) // two blocks
	for about, c := range map[string]struct {
		get  http.HandlerFunc
		want error // nil: it is read
	}{
		"well":     {func(w http.ResponseWriter, r *http.Request) { object(w, r, contents, "e") }, nil},
		"replaced": {func(w http.ResponseWriter, r *http.Request) { object(w, r, contents, "other") }, source.ErrChanging},
		"unconditional": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Match")
			object(w, r, contents, "other")
		}, source.ErrChanging},
		"no ranges": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			object(w, r, contents, "e")
		}, source.ErrUnreadable},
		"gone":     {func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "NoSuchKey") }, fs.ErrNotExist},
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, "AccessDenied") }, source.ErrUnreadable},
		"archived": {func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, "InvalidObjectState") }, source.ErrUnreadable},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			object(&cutting{w, 1000}, r, contents, "e")
		}, source.ErrUnreadable},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			tree := store(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					object(w, r, contents, "e")
					return
				}
				c.get(w, r)
			})
			h, err := tree.HashFile(t.Context(), "call.gsm")
			if !errors.Is(err, c.want) || errors.Is(err, source.ErrUnreachable) || c.want == nil && h.Digest.SizeBytes != int64(len(contents)) {
				t.Errorf("HashFile = %v, %v, want %v", h.Digest, err, c.want)
			}
		})
	}
}

// cutting lets so many bytes through.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	n := min(c.left, len(p))
	c.left -= n
	c.ResponseWriter.Write(p[:n])
	return len(p), nil
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>m</Message></Error>", header, code)
}

// TestHeadWithoutCode sees the code of a refusal asked for, which an answer to HEAD cannot carry.
func TestHeadWithoutCode(t *testing.T) {
	t.Parallel()
	tree := store(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		refuse(w, http.StatusForbidden, "RequestTimeTooSkewed")
	})
	if _, err := tree.HashFile(t.Context(), "call.gsm"); err == nil || !strings.Contains(err.Error(), "RequestTimeTooSkewed") {
		t.Errorf("HashFile = %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := Config{Bucket: "b", Region: "r"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for about, change := range map[string]func(*Config){
		"no bucket": func(c *Config) { c.Bucket = "" }, "no region": func(c *Config) { c.Region = "" },
		"slash": func(c *Config) { c.Prefix = "/p" }, "slash at the end": func(c *Config) { c.Prefix = "p/" },
		"endpoint": func(c *Config) { c.Endpoint = "host" },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", about)
		}
	}
	open := credentialsFile(t, "a", "b")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	empty := credentialsFile(t, "", "")
	for _, name := range []string{open, empty, "/none"} {
		b, err := New(Config{Bucket: "b", Region: "r", CredentialsFile: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Open(t.Context()); !errors.Is(err, source.ErrRefused) || !errors.Is(err, source.ErrUnreachable) {
			t.Errorf("credentials in %s: %v", name, err)
		}
	}
}
