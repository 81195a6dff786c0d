package agent

import (
	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/azblobdest"
)

// openAzureBlob returns what opens a container of Azure Blob Storage.
func openAzureBlob(c *config.AzureBlob) dest.Opener {
	o := azblobdest.Options{
		Endpoint: c.Endpoint, Account: c.Account, Container: c.Container, Prefix: c.Prefix,
		Identity: c.Identity == config.IdentityEntra, Tier: azblobdest.Tier(c.Tier), Readback: c.Check == config.CheckReadback,
	}
	if c.Part != nil {
		o.PartBytes = int64(*c.Part)
	}
	if c.Key != nil {
		o.Key = c.Key.Text
	}
	if c.SAS != nil {
		o.SAS = c.SAS.Text
	}
	return azblobdest.New(o)
}
