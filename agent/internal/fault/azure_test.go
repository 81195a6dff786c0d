package fault

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// azureMeanings is every code of Azure Blob Storage that a destination can meet.
func azureMeanings() []struct{ class, party, codes string } {
	return []struct{ class, party, codes string }{
		{"billing", "client", "AccountIsDisabled SubscriptionDisabled ReadOnlyDisabledSubscription SubscriptionStateForbidden"},
		{"credential", "client", "AuthenticationFailed InvalidAuthenticationInfo NoAuthenticationInformation"},
		{"permission", "client", "InsufficientAccountPermissions ContainerDisabled AuthorizationFailure AuthorizationSourceIPMismatch AuthorizationPermissionMismatch UnauthorizedBlobOverwrite"},
		{"dest-config", "client", "AuthorizationProtocolMismatch AuthorizationServiceMismatch AuthorizationResourceTypeMismatch KeyBasedAuthenticationNotPermitted PublicAccessNotPermitted " +
			"AccountBeingCreated StorageAccountBeingCreated StorageAccountIsNotProvisioned ContainerNotFound ResourceNotFound ContainerBeingDeleted SubscriptionNotFound BlobArchived " +
			"BlobBeingRehydrated CannotVerifyCopySource"},
		{"immutable", "client", "AccountProtectedFromDeletion BlobImmutableDueToPolicy BlobImmutableDueToLegalHold"},
		{"dest-lost", "client", "BlobNotFound"},
		{"integrity", "client", "BlobAlreadyExists ConditionNotMet Md5Mismatch Crc64Mismatch"},
		{"throttle", "cloud-provider", "ServerBusy"},
		{"transient", "cloud-provider", "OperationTimedOut InternalError"},
		{"transient", "client", "LeaseIdMissing InvalidBlockList InvalidBlobOrBlock"},
		{"name", "wolkvox", "InvalidResourceName InvalidUri InvalidMetadata EmptyMetadataKey MetadataTooLarge OutOfRangeInput"},
		{"client-bug", "wolkvox", "AccountAlreadyExists InvalidMd5 RequestBodyTooLarge BlockCountExceedsLimit FeatureVersionMismatch UnsupportedHeader InvalidHeaderValue"},
	}
}

func azureError(code string, status int64) error {
	return fmt.Errorf("put: %w", &dest.CodeError{Space: dest.SpaceAzure, Number: status, Name: code, Cause: errors.New("remote")})
}

func TestAzure(t *testing.T) {
	t.Parallel()
	listed := 0
	for _, m := range azureMeanings() {
		for code := range strings.FieldsSeq(m.codes) {
			got := Of(azureError(code, 400))
			if got.Class != m.class || got.Party != m.party || got.Code != code {
				t.Errorf("%s is %+v, want %s, %s", code, got, m.class, m.party)
			}
			listed++
		}
	}
	if listed != len(azureRows()) {
		t.Errorf("%d codes are listed here, %d in the table", listed, len(azureRows()))
	}
	for code, class := range map[string]string{"AADSTS700027": ClassCredential, "AADSTS7000222": ClassCredential, "SomethingNew": ClassPermission} {
		if got := Of(azureError(code, 403)); got.Class != class || got.Code != code {
			t.Errorf("%s is %+v, want %s", code, got, class)
		}
	}
}

// TestAzureBilling says where to go, in both languages; also where an account only takes no writes.
func TestAzureBilling(t *testing.T) {
	t.Parallel()
	errs := []error{&dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAccountReadOnly, Cause: azureError("InsufficientAccountPermissions", 403)}}
	for code, r := range azureRows() {
		if r.class == ClassBilling {
			errs = append(errs, azureError(code, 403))
		}
	}
	for _, err := range errs {
		for _, language := range []Language{English, Spanish} {
			got := Teller{Language: language, Place: "https://a.blob.core.windows.net/c"}.Of(err)
			if got.Class != ClassBilling || !strings.Contains(got.Message, "https://portal.azure.com") || !strings.Contains(got.Message, "blob.core.windows.net/c") {
				t.Errorf("%v is told as %+v", err, got)
			}
		}
	}
	if policy := PolicyOf(ClassBilling); policy.OpensAfter != 1 || policy.First.Hours() != 1 || policy.Longest.Hours() != 1 {
		t.Errorf("the policy is %+v, want to be left alone at once and tried hourly", policy)
	}
}
