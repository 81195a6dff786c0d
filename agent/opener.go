package agent

import (
	"fmt"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// opener returns what opens the place that a destination is configured with.
func opener(c config.Destination) (dest.Opener, error) {
	switch {
	case c.Directory != "":
		return openLocal(c)
	case c.SFTP != nil:
		return openSFTP(c)
	case c.SMB != nil:
		return openSMB(c.SMB), nil
	case c.Rsync != nil:
		return openRsync(c)
	case c.S3 != nil:
		return openS3(c.S3), nil
	case c.AzureBlob != nil:
		return openAzureBlob(c.AzureBlob), nil
	}
	return nil, fmt.Errorf("destination %q: no driver serves %s", c.Name, c.Location())
}
