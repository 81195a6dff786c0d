//go:build peers

package s3source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup/internal/peertest/versitygw"
	"github.com/wolkvox/backup/server/internal/source"
	"github.com/wolkvox/backup/server/internal/source/sourcetest"
)

// peerPlace is a prefix of a bucket of versitygw.
type peerPlace struct {
	server *versitygw.Server
	bucket *Bucket
	driver *driver // that writes
}

func newPeerPlace(t *testing.T) *peerPlace {
	t.Helper()
	p := &peerPlace{server: versitygw.Start(t, versitygw.Options{})}
	var err error
	p.bucket, err = New(Config{
		Bucket: p.server.Bucket, Prefix: "calls/of acme", Region: versitygw.Region, Endpoint: p.server.Endpoint, PathStyle: true, CredentialsFile: credentialsFile(t, p.server.KeyID, p.server.SecretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.bucket.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.driver = d.(*driver)
	return p
}

func (p *peerPlace) Open(t *testing.T) (source.Driver, error) { return p.bucket.Open(t.Context()) }

func (p *peerPlace) Write(t *testing.T, name, contents string) {
	t.Helper()
	_, err := p.driver.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &p.bucket.config.Bucket, Key: p.driver.key(name), Body: strings.NewReader(contents)})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *peerPlace) Remove(t *testing.T, name string) {
	t.Helper()
	if _, err := p.driver.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &p.bucket.config.Bucket, Key: p.driver.key(name)}); err != nil {
		t.Fatal(err)
	}
}

func (p *peerPlace) Break() func(t *testing.T) { return func(*testing.T) { p.server.Kill() } }

func TestConformanceVersitygw(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) sourcetest.Place { return newPeerPlace(t) })
}

// TestPages lists more than a page holds, from beside other prefixes, and an object that was replaced by one of the same size
// looks different.
func TestPages(t *testing.T) {
	t.Parallel()
	p := newPeerPlace(t)
	const count = 1203
	for i := range count {
		p.Write(t, fmt.Sprintf("%d/call %d.gsm", i%7, i), "x")
	}
	p.Write(t, "folder/", "")
	_, err := p.driver.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &p.bucket.config.Bucket, Key: aws.String("calls/of acme too/beside"), Body: strings.NewReader("x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := source.Prove(t.Context(), d, "")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := source.OpenDriver(t.Context(), d, proof)
	if err != nil {
		t.Fatal(err)
	}
	before, err := tree.Scan(t.Context(), nil)
	if err != nil || len(before.Candidates) != count || len(before.Skipped) != 0 {
		t.Fatalf("%d of %d found, %v skipped, %v", len(before.Candidates), count, before.Skipped, err)
	}
	p.Write(t, "0/call 0.gsm", "y")
	after, err := tree.Scan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range after.Candidates {
		if same := c == before.Candidates[i]; same == (c.SourcePath == "0/call 0.gsm") {
			t.Errorf("%q was %v and is %v", c.SourcePath, before.Candidates[i].Identity, c.Identity)
		}
	}
}

// TestRefusedByVersitygw sees wrong keys, and a bucket that is not there.
func TestRefusedByVersitygw(t *testing.T) {
	t.Parallel()
	p := newPeerPlace(t)
	for about, c := range map[string]func(*Config){
		"wrong secret": func(c *Config) { c.CredentialsFile = credentialsFile(t, p.server.KeyID, "wrong") },
		"no bucket":    func(c *Config) { c.Bucket = "none" },
	} {
		config := p.bucket.config
		c(&config)
		wantRefused(t, about, config)
	}
}
