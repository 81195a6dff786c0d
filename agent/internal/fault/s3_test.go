package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// s3Meanings is every code of the S3 API that a destination can meet.
func s3Meanings() []struct{ class, party, codes string } {
	return []struct{ class, party, codes string }{
		{"billing", "client", "AccountProblem AllAccessDisabled InvalidPayer NotSignedUp OptInRequired"},
		{"credential", "client", "InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException XAdminUserNotFound InvalidSecurity SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired"},
		{"permission", "client", "AccessDenied"},
		{"clock", "client", "RequestTimeTooSkewed RequestExpired"},
		{"throttle", "cloud-provider", "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable ThrottlingException"},
		{"transient", "cloud-provider", "InternalError OperationAborted ConditionalRequestConflict"},
		{"transient", "client", "NoSuchUpload"},
		{"network", "network", "RequestTimeout"},
		{"capacity", "client", "XMinioStorageFull"},
		{"quota", "client", "XMinioAdminBucketQuotaExceeded TooManyBuckets"},
		{"dest-lost", "client", "NoSuchKey"},
		{"dest-config", "client", "NoSuchBucket InvalidBucketName PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed IllegalLocationConstraintException " +
			"InvalidObjectState InvalidStorageClass InvalidEncryptionAlgorithmError KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException InvalidBucketState " +
			"MethodNotAllowed NotImplemented"},
		{"integrity", "client", "PreconditionFailed BadDigest XAmzContentChecksumMismatch XAmzContentSHA256Mismatch IncompleteBody InvalidDigest"},
		{"name", "wolkvox", "KeyTooLongError InvalidURI"},
		{"client-bug", "wolkvox", "EntityTooLarge EntityTooSmall InvalidPart InvalidPartOrder MetadataTooLarge InvalidRequest IncompleteSignature"},
	}
}

func TestS3(t *testing.T) {
	t.Parallel()
	listed := 0
	for _, m := range s3Meanings() {
		for code := range strings.FieldsSeq(m.codes) {
			got := Of(fmt.Errorf("put: %w", &dest.CodeError{Space: dest.SpaceS3, Number: 400, Name: code, Cause: errors.New("remote")}))
			if got.Class != m.class || got.Party != m.party || got.Code != code {
				t.Errorf("%s is %+v, want %s, %s", code, got, m.class, m.party)
			}
			listed++
		}
	}
	if listed != len(s3Rows()) {
		t.Errorf("%d codes are listed here, %d in the table", listed, len(s3Rows()))
	}
}

// TestS3Billing says where to go, in both languages.
func TestS3Billing(t *testing.T) {
	t.Parallel()
	for code, r := range s3Rows() {
		if r.class != ClassBilling {
			continue
		}
		for _, language := range []Language{English, Spanish} {
			got := Teller{Language: language, Place: "s3://b"}.Of(&dest.CodeError{Space: dest.SpaceS3, Number: 403, Name: code, Cause: errors.New("remote")})
			if !strings.Contains(got.Message, "https://console.aws.amazon.com/billing/") || !strings.Contains(got.Message, "s3://b") {
				t.Errorf("%s in %s: %s", code, language, got.Message)
			}
		}
	}
}

// TestStatus: a status counts only where no code says more.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		status      int64
		class, code string
	}{
		{"", 403, ClassPermission, "HTTP 403"},
		{"", 507, ClassCapacity, "HTTP 507"},
		{"SomethingNew", 507, ClassCapacity, "SomethingNew"},
		{"SomethingNew", 503, ClassThrottle, "SomethingNew"},
		{"SomethingNew", 418, ClassOther, "SomethingNew"},
		{"", 418, ClassOther, "s3 418"},
		{"RequestTimeout", 400, ClassNetwork, "RequestTimeout"},
	} {
		got := Of(&dest.CodeError{Space: dest.SpaceS3, Number: test.status, Name: test.name, Cause: errors.New("remote")})
		if got.Class != test.class || got.Code != test.code {
			t.Errorf("%q with status %d is %+v, want %s, %s", test.name, test.status, got, test.class, test.code)
		}
	}
}
