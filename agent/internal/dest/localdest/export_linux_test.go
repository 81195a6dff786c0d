package localdest

import (
	"context"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// NewWithoutSyncFS opens dir as if its file system's sync could not be relied upon.
func NewWithoutSyncFS(dir string) dest.Opener { return untrusting{New(dir)} }

type untrusting struct{ *Local }

func (o untrusting) Open(ctx context.Context) (dest.Driver, error) {
	driver, err := o.Local.Open(ctx)
	if err == nil {
		driver.(*handle).syncFS = false
	}
	return driver, err
}
