package server

import (
	"log/slog"
	"testing"
	"time"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/server/internal/registry"
)

func TestBackupComplaint(t *testing.T) {
	t.Parallel()
	reg, err := registry.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	at := time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)
	complains := func(at time.Time) bool {
		complaint, _ := backupComplaint(reg, at)
		return complaint != ""
	}
	if complains(at) {
		t.Error("a server with nothing to lose is complained about")
	}
	if err := reg.CreateTenant(registry.Tenant{Name: "acme", TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.CreateDestination("acme", "nas", backup.StorageRSYNC, at); err != nil {
		t.Fatal(err)
	}
	if !complains(at) {
		t.Error("a server without any backup is not complained about")
	}
	if err := reg.RecordBackup(registry.Backup{At: at}); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]bool{0: false, staleAfter: false, staleAfter + time.Second: true} {
		if complains(at.Add(age)) != want {
			t.Errorf("a backup that is %v old: complaint %v, want %v", age, !want, want)
		}
	}
}
