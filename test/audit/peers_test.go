//go:build linux && peers

package audit

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wolkvox/backup/internal/peertest/azurite"
	"github.com/wolkvox/backup/internal/peertest/rsyncd"
	"github.com/wolkvox/backup/internal/peertest/samba"
	"github.com/wolkvox/backup/internal/peertest/sshd"
	"github.com/wolkvox/backup/internal/peertest/versitygw"
)

// peer is a place where recordings go.
type peer struct {
	where   string // the lines of the agent's configuration that lead there
	kill    func() // nil for what cannot be stopped
	restart func()
	files   files // nil for those of the folder
}

// files is how somebody changes what is at a peer behind the agent's back.
type files interface {
	read(t testing.TB, name string) []byte
	write(t testing.TB, name string, data []byte)
	remove(t testing.TB, name string)
}

// folder is a peer's own folder.
type folder string

func (f folder) read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(f), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f folder) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(f), name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (f folder) remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(string(f), name)); err != nil {
		t.Fatal(err)
	}
}

// kind is one way to a peer that serves a folder.
type kind struct {
	name  string
	start func(t testing.TB, dir string) peer
	// reads says that a file that the peer itself cannot read is one that it names as such.
	reads bool
}

func kinds() []kind {
	return []kind{
		{"local", startFolder, true},
		{"sftp", startSFTP, true},
		{"smb", startSMB, true},
		{"rsync", startRsync, true},
		{"s3", startS3, false},
		{"azure", startAzure, false},
		{"wolkvox", startWolkvox, true},
	}
}

func startFolder(_ testing.TB, dir string) peer {
	return peer{where: "  directory: " + dir + "\n"}
}

// startWolkvox names wolkvox Storage, which the fleet's own server is.
func startWolkvox(testing.TB, string) peer { return peer{where: "  wolkvox: {}\n"} }

func secret(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func startSFTP(t testing.TB, dir string) peer {
	p := sshd.Start(t, sshd.Options{Dir: dir})
	return peer{fmt.Sprintf("  sftp:\n    address: %s\n    user: %s\n    host_key: %q\n    key: {file: %s}\n    folder: %s\n",
		p.Address, p.User, p.HostKey, secret(t, string(p.Key)), p.Dir), p.Kill, func() { p.Restart(t) }, nil}
}

func startSMB(t testing.TB, dir string) peer {
	p := samba.Start(t, samba.Options{Dir: dir})
	return peer{fmt.Sprintf("  smb:\n    address: %s\n    share: %s\n    user: %s\n    password: {file: %s}\n",
		p.Address, p.Share, p.User, secret(t, p.Password+"\n")), p.Kill, func() { p.Restart(t) }, nil}
}

func startRsync(t testing.TB, dir string) peer {
	p := rsyncd.Start(t, rsyncd.Options{Dir: dir})
	return peer{fmt.Sprintf("  rsync:\n    address: %s\n    module: %s\n    user: %s\n    password: {file: %s}\n",
		p.Address, p.Module, p.User, secret(t, p.Password+"\n")), p.Kill, func() { p.Restart(t) }, nil}
}

func startS3(t testing.TB, dir string) peer {
	p := versitygw.Start(t, versitygw.Options{Dir: dir})
	return peer{fmt.Sprintf("  s3:\n    bucket: %q\n    endpoint: http://%s\n    path_style: true\n    region: %s\n    key: {file: %s}\n",
		p.Bucket, p.Address, versitygw.Region, secret(t, p.KeyID+"\n"+p.SecretKey+"\n")), p.Kill, func() { p.Restart(t) }, nil}
}

func startAzure(t testing.TB, _ string) peer {
	p := azurite.Start(t, azurite.Options{})
	return peer{fmt.Sprintf("  azure_blob:\n    account: %s\n    endpoint: %s\n    container: %s\n    key: {file: %s}\n",
		p.Account, p.Endpoint(), p.Container, secret(t, p.Key+"\n")), p.Kill, func() { p.Restart(t) }, blobs{p}}
}

// blobs are those of a container, changed by plain requests.
type blobs struct{ *azurite.Server }

func (b blobs) ask(t testing.TB, method, name string, data []byte) []byte {
	t.Helper()
	at := b.Endpoint() + "/" + b.Container + "/" + (&url.URL{Path: name}).EscapedPath() + "?" + b.SAS(time.Now().Add(time.Hour), "rwd")
	request, err := http.NewRequestWithContext(t.Context(), method, at, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("x-ms-version", "2023-11-03")
	if method == http.MethodPut {
		request.Header.Set("x-ms-blob-type", "BlockBlob")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s %v", method, name, response.Status, body, err)
	}
	return body
}

func (b blobs) read(t testing.TB, name string) []byte        { return b.ask(t, http.MethodGet, name, nil) }
func (b blobs) write(t testing.TB, name string, data []byte) { b.ask(t, http.MethodPut, name, data) }
func (b blobs) remove(t testing.TB, name string)             { b.ask(t, http.MethodDelete, name, nil) }
