package sources

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/wolkvox/backup/internal/peertest/gosftp"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/source"
)

// TestOpener proves and opens a directory and a folder behind SFTP, over one connection for all work.
func TestOpener(t *testing.T) {
	t.Parallel()
	server := gosftp.Start(t, gosftp.Options{})
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(server.Password()), 0o600); err != nil {
		t.Fatal(err)
	}
	ofSFTP := registry.SFTPSource{Address: server.Address, User: server.User, Folder: server.Dir, HostKey: server.HostKey, PasswordFile: secret}
	opener := &Opener{}
	for about, s := range map[string]registry.Source{
		"directory": {Name: "s", Directory: t.TempDir()},
		"sftp":      {Name: "s", SFTP: &ofSFTP},
	} {
		proof, err := Prove(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		s.MarkerID = proof.MarkerID
		for range 2 {
			tree, err := opener.Open(t.Context(), s)
			if err != nil {
				t.Fatalf("%s: %v", about, err)
			}
			if found, err := tree.Scan(t.Context(), nil); err != nil || len(found.Candidates) != 0 {
				t.Errorf("%s: %+v, %v", about, found, err)
			}
			if err := tree.Close(); err != nil {
				t.Error(err)
			}
		}
		s.MarkerID = "00112233445566778899aabbccddeeff"
		if _, err := opener.Open(t.Context(), s); !errors.Is(err, source.ErrUnreachable) {
			t.Errorf("%s with another marker: %v", about, err)
		}
	}
	if len(opener.kept) != 1 {
		t.Errorf("%d are kept, want one", len(opener.kept))
	}
	if err := opener.Close(); err != nil {
		t.Error(err)
	}
	bad := ofSFTP
	bad.HostKey = "none"
	if _, err := Prove(t.Context(), registry.Source{Name: "s", SFTP: &bad}); !errors.Is(err, ErrConfig) {
		t.Errorf("a bad host key: %v", err)
	}
	if _, err := opener.Open(t.Context(), registry.Source{Name: "s", SFTP: &bad}); !errors.Is(err, source.ErrUnreachable) {
		t.Errorf("a bad host key: %v", err)
	}
	bad.HostKey, bad.PasswordFile = server.HostKey, "/none"
	if _, err := Prove(t.Context(), registry.Source{Name: "s", SFTP: &bad}); !errors.Is(err, source.ErrRefused) {
		t.Errorf("no secret: %v", err)
	}
}
