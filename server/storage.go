package server

import (
	"log/slog"

	"github.com/wolkvox/backup/server/internal/config"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/storage"
)

// openStorage opens wolkvox Storage, with the quotas that stand in the registry.
func openStorage(c config.Config, reg *registry.Registry, log *slog.Logger) (*storage.Store, error) {
	return storage.Open(c.StorageDir, storage.Options{
		Quota: func(tenant string) (int64, error) {
			t, err := reg.Tenant(tenant)
			return t.StorageQuotaBytes, err
		},
		ReserveBytes: int64(*c.StateReserve), Logger: log,
	})
}
