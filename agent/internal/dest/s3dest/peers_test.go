//go:build linux && peers

package s3dest_test

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/desttest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// TestDriver runs the suite against versitygw, in a bucket and below a prefix, with the service's checksums and with
// everything read back.
func TestDriver(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]s3dest.Options{
		"bucket":   {},
		"prefix":   {Prefix: "calls/2026 ñ+&", PartBytes: 5 << 20},
		"readback": {Readback: true, StorageClass: "STANDARD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desttest.Run(t, func(t *testing.T) desttest.Env { return newEnv(t, o) })
		})
	}
}

func newEnv(t *testing.T, o s3dest.Options) desttest.Env {
	t.Helper()
	server := versitygw.Start(t, versitygw.Options{})
	o = at(server, server.Endpoint, o)
	client := newClient(server)
	return desttest.Env{
		Opener:     s3dest.New(o),
		NewProcess: func() dest.Opener { return s3dest.New(o) },
		Plant: func(t *testing.T, name string, data []byte) {
			t.Helper()
			if o.Prefix != "" {
				name = o.Prefix + "/" + name
			}
			plant(t, client, server.Bucket, name, data)
		},
		Unplug:     func(t *testing.T) func() { server.Kill(); return func() { server.Restart(t) } },
		Slow:       true,
		CrashEvery: 3,
		NoSpace:    true,
		Uploads:    true,
	}
}

// at returns the options for a server, reached over endpoint.
func at(server *versitygw.Server, endpoint string, o s3dest.Options) s3dest.Options {
	o.Bucket, o.Endpoint, o.PathStyle, o.Region = server.Bucket, endpoint, true, versitygw.Region
	o.Keys = func() (string, error) { return server.KeyID + "\n" + server.SecretKey + "\n", nil }
	return o
}

// newClient returns a client that knows nothing of the driver.
func newClient(server *versitygw.Server) *s3.Client {
	return s3.New(s3.Options{
		Region: versitygw.Region, BaseEndpoint: &server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.KeyID, server.SecretKey, ""),
	})
}

func plant(t testing.TB, client *s3.Client, bucket, key string, data []byte) {
	t.Helper()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(key), Body: bytes.NewReader(data)})
	if err != nil {
		t.Fatal(err)
	}
}
