package agentsim

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/memdest"
)

// Place is a share that machines reach under one path. Where it is not mounted, an empty local folder is found there. It
// is safe for concurrent use.
type Place struct {
	mu      sync.Mutex
	share   *memdest.Disk
	folder  *memdest.Disk // what is found under the path while the share is not mounted
	mounted bool
}

// NewPlace returns an empty share that is mounted, taken into use under this name for the log with this origin.
func NewPlace(ctx context.Context, name, origin string) (*Place, error) {
	p := &Place{share: memdest.New(), folder: memdest.New(), mounted: true}
	store, err := dest.New(p, name, origin)
	if err != nil {
		return nil, err
	}
	_, err = store.Init(ctx)
	return p, err
}

// Open implements the opener of package dest.
func (p *Place) Open(ctx context.Context) (dest.Driver, error) {
	p.mu.Lock()
	disk := p.folder
	if p.mounted {
		disk = p.share
	}
	p.mu.Unlock()
	return disk.Open(ctx)
}

// Mount mounts the share or takes it away. Handles on it end with that.
func (p *Place) Mount(mounted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mounted == mounted {
		return
	}
	p.mounted = mounted
	if mounted {
		p.share.Plug()
	} else {
		p.share.Unplug()
	}
}

// Reconnect ends all handles on the share, if it is mounted.
func (p *Place) Reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mounted {
		p.share.Unplug()
		p.share.Plug()
	}
}

// CutPower lets the share lose its power for a moment; survives says of each thing that was not durable whether it is there
// afterwards.
func (p *Place) CutPower(survives func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share.CutPower(survives)
}

// Copy is what was on a share at one instant.
type Copy struct{ disk *memdest.Disk }

// Snapshot returns a copy of what is durable on the share.
func (p *Place) Snapshot() Copy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Copy{p.share.Snapshot()}
}

// Restore puts a copy back. Handles on the share end with that.
func (p *Place) Restore(c Copy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share.Unplug()
	p.share = c.disk.Snapshot()
	if !p.mounted {
		p.share.Unplug()
	}
}

// Files returns what is visible on the share, and the agent's own files below their folder.
func (p *Place) Files() map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.share.Files()
}

// Holds reports whether the share is mounted and has exactly these contents under the name.
func (p *Place) Holds(name string, wanted backup.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, ok := p.share.Contents(name)
	return ok && p.mounted && wanted == backup.Digest{SHA256: sha256.Sum256(data), SizeBytes: int64(len(data))}
}

// FolderFiles returns what was written into the local folder that is no share.
func (p *Place) FolderFiles() map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folder.Files()
}

// Plant puts a file of somebody else's on the share, replacing what was there; nil removes the file.
func (p *Place) Plant(name string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if data == nil {
		p.share.Remove(name)
		return
	}
	p.share.Plant(name, data)
}

// SetOwn replaces one of the agent's own files; nil removes it.
func (p *Place) SetOwn(name string, data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share.SetOwn(name, data)
}
