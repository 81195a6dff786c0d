package agent

import (
	"strings"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/dest"
	"github.com/wolkvox/backup/agent/internal/dest/s3dest"
)

// openS3 returns what opens a bucket.
func openS3(c *config.S3) dest.Opener {
	o := s3dest.Options{
		Bucket: c.Bucket, Prefix: c.Prefix, Region: c.Region, Endpoint: c.Endpoint, PathStyle: c.PathStyle, Profile: c.Profile,
		ExpectedOwner: c.ExpectedBucketOwner, StorageClass: c.StorageClass, KMSKey: c.KMSKey, Readback: c.Check == config.CheckReadback,
	}
	if c.Key != nil {
		o.Keys = c.Key.Text
	}
	switch c.SSE {
	case config.SSES3:
		o.Encryption = "AES256"
	case config.SSEKMS:
		o.Encryption = "aws:kms"
	}
	if c.ObjectLock != nil {
		o.LockMode, o.LockDays = strings.ToUpper(c.ObjectLock.Mode), c.ObjectLock.Days
	}
	return s3dest.New(o)
}
