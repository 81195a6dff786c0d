//go:build linux && peers

package sources

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/crypto/ssh"

	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// place shows what lies in a directory.
type place interface {
	flags(t *testing.T, address string) []string // of `source add`, for who reaches it at an address
	sync(t *testing.T)                           // shows what lies in the directory now
	file(name string) string                     // the file that the place itself reads
	address() string
	kill()
	restart(t *testing.T)
	lockOut(t *testing.T) // the server is not let in any more
}

// kinds are all kinds of places, by name.
func kinds() map[string]func(t *testing.T, dir string) place {
	return map[string]func(t *testing.T, dir string) place{"sftp": newOpenSSH, "s3": newGateway}
}

// openSSH is OpenSSH's sshd.
type openSSH struct{ *sshd.Server }

func newOpenSSH(t *testing.T, dir string) place {
	return openSSH{sshd.Start(t, sshd.Options{Dir: dir})}
}

func (p openSSH) flags(_ *testing.T, address string) []string {
	return []string{"--sftp", p.User + "@" + address + p.Dir, "--host-key", p.HostKey, "--key-file", p.KeyFile}
}

func (p openSSH) sync(*testing.T)         {}
func (p openSSH) file(name string) string { return filepath.Join(p.Dir, name) }
func (p openSSH) address() string         { return p.Address }
func (p openSSH) kill()                   { p.Kill() }
func (p openSSH) restart(t *testing.T)    { p.Restart(t) }
func (p openSSH) lockOut(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	p.SetAuthorized(t, other)
	p.Restart(t)
}

// gateway is versitygw.
type gateway struct {
	*versitygw.Server
	dir  string // what is shown
	keys string // the file with the credentials
}

const prefix = "recordings/of acme"

func newGateway(t *testing.T, dir string) place {
	g := gateway{Server: versitygw.Start(t, versitygw.Options{}), dir: dir, keys: filepath.Join(t.TempDir(), "credentials")}
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", g.KeyID, g.SecretKey)
	if err := os.WriteFile(g.keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g gateway) flags(_ *testing.T, address string) []string {
	return []string{"--s3", g.Bucket + "/" + prefix, "--region", versitygw.Region, "--endpoint", "http://" + address, "--path-style", "--credentials-file", g.keys}
}

func (g gateway) file(name string) string { return filepath.Join(g.Dir, prefix, name) }

// sync puts every file that is not there as it is, deletes what is too much, and gives objects the times of the files.
func (g gateway) sync(t *testing.T) {
	t.Helper()
	client := s3.New(s3.Options{
		BaseEndpoint: &g.Endpoint, UsePathStyle: true, Region: versitygw.Region,
		Credentials: credentials.NewStaticCredentialsProvider(g.KeyID, g.SecretKey, ""),
	})
	err := fs.WalkDir(os.DirFS(g.dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(g.dir, name))
		if err != nil {
			return err
		}
		if there, err := os.ReadFile(g.file(name)); err == nil && bytes.Equal(data, there) {
			return nil
		}
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &g.Bucket, Key: aws.String(prefix + "/" + name), Body: bytes.NewReader(data)}); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(g.file(name), info.ModTime(), info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(g.file(".")), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(name) == ".wolkvox-source" {
			return err
		}
		if _, err := os.Stat(filepath.Join(g.dir, name)); err == nil {
			return nil
		}
		_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &g.Bucket, Key: aws.String(prefix + "/" + name)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (g gateway) address() string      { return g.Address }
func (g gateway) kill()                { g.Kill() }
func (g gateway) restart(t *testing.T) { g.Restart(t) }
func (g gateway) lockOut(t *testing.T) {
	g.SetKey(g.KeyID, "another secret of wolkvox's tests")
	g.Restart(t)
}
