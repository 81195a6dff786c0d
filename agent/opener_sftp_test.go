package agent

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest/sftpdest"
	"github.com/wolkvox/backup/agent/internal/secret"
)

func TestOpenSFTP(t *testing.T) {
	t.Parallel()
	place := config.SFTP{Folder: "recordings", SSH: config.SSH{
		Address: "nas.example:22", User: "backup", HostKey: "SHA256:RwTyHqVKtmoSWMdxUdaJJPZMzXVNLaZvJ9KRBHoxPmc",
		Password: &secret.Source{File: filepath.Join(t.TempDir(), "password")},
	}}
	c := config.Destination{Name: "nas", Place: config.Place{SFTP: &place}}
	got, err := opener(c)
	if _, ok := got.(*sftpdest.SFTP); !ok || err != nil {
		t.Errorf("opener = %T, %v, want the driver for SFTP", got, err)
	}
	place.HostKey = "nonsense"
	if _, err := opener(c); err == nil || !strings.Contains(err.Error(), `"nas"`) {
		t.Errorf("opener with a host key that is none = %v, want an error that names the destination", err)
	}
}
