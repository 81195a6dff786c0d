package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/secret"
)

// S3 is a bucket of Amazon S3, or of a store that speaks its API.
type S3 struct {
	Bucket string `yaml:"bucket"`
	Prefix string `yaml:"prefix"` // before every name, with slashes; empty for the bucket itself
	Region string `yaml:"region"` // us-east-1 where not set beside Endpoint
	// Endpoint is the URL of a store that is not Amazon's.
	Endpoint  string `yaml:"endpoint"`
	PathStyle bool   `yaml:"path_style"` // the bucket is named in the path of URLs, not in their host
	// Key is the access key: its id on the first line, its secret on the second. Where neither it nor Profile is set the
	// credentials are found as AWS's own tools find them: environment, shared files, container, instance role.
	Key     *secret.Source `yaml:"key"`
	Profile string         `yaml:"profile"` // of the shared files of AWS's tools
	// ExpectedBucketOwner is the account that the bucket has to belong to, 12 digits.
	ExpectedBucketOwner string `yaml:"expected_bucket_owner"`
	StorageClass        string `yaml:"storage_class"` // of recordings; the service's own where not set
	SSE                 string `yaml:"sse"`           // "s3" or "kms"; the bucket's own where not set
	KMSKey              string `yaml:"kms_key"`       // beside sse: kms; AWS's own key for S3 where not set
	// ObjectLock retains every recording; the bucket has to have object lock.
	ObjectLock *ObjectLock `yaml:"object_lock"`
	// Check is how what is stored is compared: "provider" (the default: the service computes SHA-256 over what it stores, and is
	// seen to refuse a wrong one) or "readback" (everything is read back too).
	Check string `yaml:"check"`
}

// ObjectLock is how long recordings cannot be deleted, and by whom.
type ObjectLock struct {
	Mode string `yaml:"mode"` // "governance" or "compliance"
	Days int    `yaml:"days"`
}

// The values of [S3.SSE], of [ObjectLock.Mode], and what [S3.Check] can be besides [CheckReadback].
const (
	SSES3          = "s3"
	SSEKMS         = "kms"
	LockGovernance = "governance"
	LockCompliance = "compliance"
	CheckProvider  = "provider"
)

// maxLockDays is a hundred years, S3's own limit for retention.
const maxLockDays = 36500

func (s *S3) location() string {
	at := "s3://" + s.Bucket
	if s.Prefix != "" {
		at += "/" + s.Prefix
	}
	if s.Endpoint != "" {
		at += " (" + s.Endpoint + ")"
	}
	return at
}

func (s *S3) check() error {
	if s.Bucket == "" || strings.ContainsAny(s.Bucket, "/ ") {
		return fmt.Errorf("bucket is %q; give the bucket's name alone, and what is below it as prefix", s.Bucket)
	}
	if s.Prefix != "" {
		if err := backup.CheckPath(s.Prefix); err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
	}
	if err := s.checkEndpoint(); err != nil {
		return err
	}
	if s.Key != nil && s.Profile != "" {
		return errors.New("key and profile are both given; give one of them, or none for the credentials that AWS's own tools find")
	}
	if s.Key != nil {
		if err := s.Key.Check(); err != nil {
			return inKey("key", err)
		}
	}
	if owner := s.ExpectedBucketOwner; owner != "" && (len(owner) != 12 || strings.Trim(owner, "0123456789") != "") {
		return fmt.Errorf("expected_bucket_owner is %q; give the account's 12 digits, in quotation marks", owner)
	}
	if s.Check == "" {
		s.Check = CheckProvider
	}
	if s.Check != CheckProvider && s.Check != CheckReadback {
		return fmt.Errorf("check is %q; give %s or %s", s.Check, CheckProvider, CheckReadback)
	}
	return s.checkStorage()
}

func (s *S3) checkEndpoint() error {
	if s.Endpoint == "" {
		if s.Region == "" {
			return errors.New("region is empty; give the bucket's, such as eu-central-1")
		}
		return nil
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return errors.New("endpoint is no URL such as https://s3.example.com; give scheme and host, with the port where it needs one, and no more")
	}
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	return nil
}

// storageClasses are those of Amazon S3 from which an object can be read at once.
func storageClasses() []string {
	return []string{"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"}
}

func (s *S3) checkStorage() error {
	if s.StorageClass == "GLACIER" || s.StorageClass == "DEEP_ARCHIVE" {
		return fmt.Errorf("storage_class is %s, from which nothing can be read back at once; give GLACIER_IR, or let a rule of the bucket move recordings later", s.StorageClass)
	}
	if s.StorageClass != "" && s.Endpoint == "" && !slices.Contains(storageClasses(), s.StorageClass) {
		return fmt.Errorf("storage_class is %q; give one of %s", s.StorageClass, strings.Join(storageClasses(), ", "))
	}
	if s.SSE != "" && s.SSE != SSES3 && s.SSE != SSEKMS {
		return fmt.Errorf("sse is %q; give %s or %s", s.SSE, SSES3, SSEKMS)
	}
	if s.KMSKey != "" && s.SSE != SSEKMS {
		return errors.New("kms_key goes with sse: kms")
	}
	if lock := s.ObjectLock; lock != nil {
		if lock.Mode != LockGovernance && lock.Mode != LockCompliance {
			return fmt.Errorf("object_lock: mode is %q; give %s or %s", lock.Mode, LockGovernance, LockCompliance)
		}
		if lock.Days < 1 || lock.Days > maxLockDays {
			return fmt.Errorf("object_lock: days is %d; give 1 to %d", lock.Days, maxLockDays)
		}
	}
	return nil
}
