package registry

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSourceOfEarlierVersions reads a record as it was written when there were directories only.
func TestSourceOfEarlierVersions(t *testing.T) {
	t.Parallel()
	const record = `{"tenant":"acme","name":"calls","directory":"/srv/calls","marker_id":"00112233445566778899aabbccddeeff","proof_file":"","proof_digest":{"SHA256":[0],"SizeBytes":0}}`
	var got Source
	if err := json.Unmarshal([]byte(record), &got); err != nil {
		t.Fatal(err)
	}
	want := Source{Tenant: "acme", Name: "calls", Directory: "/srv/calls", MarkerID: "00112233445566778899aabbccddeeff"}
	if diff := cmp.Diff(want, got); diff != "" || got.Check() != nil {
		t.Errorf("(-want +got):\n%s%v", diff, got.Check())
	}
}

func TestSourceKinds(t *testing.T) {
	t.Parallel()
	sftp := SFTPSource{Address: "h:22", User: "u", Folder: "/f", HostKey: "SHA256:x", KeyFile: "/k"}
	s3 := S3Source{Bucket: "b", Prefix: "a/b", Region: "r", Endpoint: "https://h", CredentialsFile: "/c"}
	ofSFTP := func(change func(*SFTPSource)) Source {
		k := sftp
		change(&k)
		return Source{Name: "s", MarkerID: "m", SFTP: &k}
	}
	ofS3 := func(change func(*S3Source)) Source {
		k := s3
		change(&k)
		return Source{Name: "s", MarkerID: "m", S3: &k}
	}
	for about, s := range map[string]Source{
		"sftp": ofSFTP(func(*SFTPSource) {}), "relative folder": ofSFTP(func(k *SFTPSource) { k.Folder = "calls" }),
		"password": ofSFTP(func(k *SFTPSource) { k.KeyFile, k.PasswordFile = "", "/p" }), "home": ofSFTP(func(k *SFTPSource) { k.Folder = "." }),
		"s3": ofS3(func(*S3Source) {}), "whole bucket": ofS3(func(k *S3Source) { k.Prefix = "" }), "aws": ofS3(func(k *S3Source) { k.Endpoint, k.CredentialsFile = "", "" }),
		"directory": {Name: "s", MarkerID: "m", Directory: "/d"},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", about, err)
		}
	}
	for about, s := range map[string]Source{
		"nothing": {Name: "s", MarkerID: "m"}, "two": {Name: "s", MarkerID: "m", Directory: "/d", S3: &s3}, "both": {Name: "s", MarkerID: "m", SFTP: &sftp, S3: &s3},
		"no port": ofSFTP(func(k *SFTPSource) { k.Address = "h" }), "no user": ofSFTP(func(k *SFTPSource) { k.User = "" }),
		"no host key": ofSFTP(func(k *SFTPSource) { k.HostKey = "" }), "above": ofSFTP(func(k *SFTPSource) { k.Folder = "../x" }),
		"not clean": ofSFTP(func(k *SFTPSource) { k.Folder = "/x/" }), "no secret": ofSFTP(func(k *SFTPSource) { k.KeyFile = "" }),
		"two secrets": ofSFTP(func(k *SFTPSource) { k.PasswordFile = "/p" }), "relative secret": ofSFTP(func(k *SFTPSource) { k.KeyFile = "k" }),
		"passphrase":  ofSFTP(func(k *SFTPSource) { k.KeyFile, k.PasswordFile, k.PassphraseFile = "", "/p", "/q" }),
		"no bucket":   ofS3(func(k *S3Source) { k.Bucket = "" }),
		"bucket path": ofS3(func(k *S3Source) { k.Bucket = "a/b" }), "no region": ofS3(func(k *S3Source) { k.Region = "" }),
		"slash": ofS3(func(k *S3Source) { k.Prefix = "a/" }), "endpoint": ofS3(func(k *S3Source) { k.Endpoint = "h:1" }),
		"secret in the endpoint": ofS3(func(k *S3Source) { k.Endpoint = "https://u:p@h" }), "credentials": ofS3(func(k *S3Source) { k.CredentialsFile = "c" }),
	} {
		if err := s.Check(); !errors.Is(err, ErrBadPath) {
			t.Errorf("%s: %v, want ErrBadPath", about, err)
		}
	}
}
