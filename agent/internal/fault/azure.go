package fault

import "strings"

// The topics of Azure Blob Storage and Microsoft Entra.
const (
	topicAzureDisabled   topic = "azure-disabled"
	topicAzureReadOnly   topic = "azure-read-only"
	topicAzureStopped    topic = "azure-stopped"
	topicAzureCreated    topic = "azure-created"
	topicAzureKey        topic = "azure-key"
	topicAzureEntra      topic = "azure-entra"
	topicAzureNetwork    topic = "azure-network"
	topicAzureRole       topic = "azure-role"
	topicAzureSAS        topic = "azure-sas"
	topicAzureSharedKey  topic = "azure-shared-key"
	topicAzurePublic     topic = "azure-public"
	topicAzureContainer  topic = "azure-container"
	topicAzureArchived   topic = "azure-archived"
	topicAzureLease      topic = "azure-lease"
	topicAzureChecksum   topic = "azure-checksum"
	topicAzureBlocks     topic = "azure-blocks"
	topicAzureProvider   topic = "azure-provider"
	topicAzureUnable     topic = "azure-unable"
	topicAzureCopySource topic = "azure-copy-source"
)

// azureRows are the error codes of Azure Blob Storage (bloberror of azure-sdk-for-go's storage/azblob; the pages
// common-rest-api-error-codes and blob-service-error-codes of its REST reference), those of the management of accounts, and
// what Microsoft Entra says of credentials (reference-error-codes of its documentation). Codes count, and not statuses.
func azureRows() map[string]row {
	return map[string]row{
		"AccountIsDisabled":            {class: ClassBilling, topic: topicAzureDisabled},
		"SubscriptionDisabled":         {class: ClassBilling, topic: topicAzureDisabled},
		"ReadOnlyDisabledSubscription": {class: ClassBilling, topic: topicAzureDisabled},
		"SubscriptionStateForbidden":   {class: ClassBilling, topic: topicAzureDisabled},

		"AuthenticationFailed":        {class: ClassCredential, topic: topicAzureKey},
		"InvalidAuthenticationInfo":   {class: ClassCredential, topic: topicAzureKey},
		"NoAuthenticationInformation": {class: ClassCredential, topic: topicAzureKey},

		"InsufficientAccountPermissions":  {class: ClassPermission, topic: topicAzureStopped},
		"ContainerDisabled":               {class: ClassPermission, topic: topicAzureStopped},
		"AuthorizationFailure":            {class: ClassPermission, topic: topicAzureNetwork},
		"AuthorizationSourceIPMismatch":   {class: ClassPermission, topic: topicAzureNetwork},
		"AuthorizationPermissionMismatch": {class: ClassPermission, topic: topicAzureRole},
		"UnauthorizedBlobOverwrite":       {class: ClassPermission, topic: topicAzureRole},

		"AuthorizationProtocolMismatch":      {class: ClassDestConfig, topic: topicAzureSAS},
		"AuthorizationServiceMismatch":       {class: ClassDestConfig, topic: topicAzureSAS},
		"AuthorizationResourceTypeMismatch":  {class: ClassDestConfig, topic: topicAzureSAS},
		"KeyBasedAuthenticationNotPermitted": {class: ClassDestConfig, topic: topicAzureSharedKey},
		"PublicAccessNotPermitted":           {class: ClassDestConfig, topic: topicAzurePublic},
		"AccountBeingCreated":                {class: ClassDestConfig, topic: topicAzureCreated},
		"StorageAccountBeingCreated":         {class: ClassDestConfig, topic: topicAzureCreated},
		"StorageAccountIsNotProvisioned":     {class: ClassDestConfig, topic: topicAzureCreated},
		"ContainerNotFound":                  {class: ClassDestConfig, topic: topicAzureContainer},
		"ResourceNotFound":                   {class: ClassDestConfig, topic: topicAzureContainer},
		"ContainerBeingDeleted":              {class: ClassDestConfig, topic: topicAzureContainer},
		"SubscriptionNotFound":               {class: ClassDestConfig, topic: topicAzureContainer},
		"BlobArchived":                       {class: ClassDestConfig, topic: topicAzureArchived, item: true},
		"BlobBeingRehydrated":                {class: ClassDestConfig, topic: topicAzureArchived, item: true},
		"CannotVerifyCopySource":             {class: ClassDestConfig, topic: topicAzureCopySource},

		"AccountProtectedFromDeletion": {class: ClassImmutable},
		"BlobImmutableDueToPolicy":     {class: ClassImmutable, item: true},
		"BlobImmutableDueToLegalHold":  {class: ClassImmutable, item: true},

		"BlobNotFound":      {class: ClassDestLost, topic: topicMissing, item: true},
		"BlobAlreadyExists": {class: ClassIntegrity, topic: topicConflict, item: true},
		"ConditionNotMet":   {class: ClassIntegrity, topic: topicConflict, item: true},
		"Md5Mismatch":       {class: ClassIntegrity, topic: topicAzureChecksum},
		"Crc64Mismatch":     {class: ClassIntegrity, topic: topicAzureChecksum},

		"ServerBusy": {class: ClassThrottle, party: PartyCloudProvider},

		"OperationTimedOut":  {class: ClassTransient, party: PartyCloudProvider, topic: topicAzureProvider},
		"InternalError":      {class: ClassTransient, party: PartyCloudProvider, topic: topicAzureProvider},
		"LeaseIdMissing":     {class: ClassTransient, topic: topicAzureLease, item: true},
		"InvalidBlockList":   {class: ClassTransient, topic: topicAzureBlocks, item: true},
		"InvalidBlobOrBlock": {class: ClassTransient, topic: topicAzureBlocks, item: true},

		"InvalidResourceName": {class: ClassName, item: true},
		"InvalidUri":          {class: ClassName, item: true},
		"InvalidMetadata":     {class: ClassName, item: true},
		"EmptyMetadataKey":    {class: ClassName, item: true},
		"MetadataTooLarge":    {class: ClassName, item: true},
		"OutOfRangeInput":     {class: ClassName, item: true},

		"AccountAlreadyExists":   {class: ClassClientBug},
		"InvalidMd5":             {class: ClassClientBug, item: true},
		"RequestBodyTooLarge":    {class: ClassClientBug, item: true},
		"BlockCountExceedsLimit": {class: ClassClientBug, item: true},
		"FeatureVersionMismatch": {class: ClassClientBug, topic: topicAzureUnable},
		"UnsupportedHeader":      {class: ClassClientBug, topic: topicAzureUnable},
		"InvalidHeaderValue":     {class: ClassClientBug, topic: topicAzureUnable},
	}
}

// entraPrefix begins the codes of Microsoft Entra. All that can be met here are about who the agent is.
const entraPrefix = "AADSTS"

// ofAzure returns the meaning of an error of Azure Blob Storage: that of its code, or of its status where the code says nothing.
func ofAzure(code string, status int64) (row, bool) {
	r, known := azureRows()[code]
	switch {
	case known:
	case strings.HasPrefix(code, entraPrefix):
		r = row{class: ClassCredential, topic: topicAzureEntra}
	default:
		return ofHTTPStatus(code, status)
	}
	r.code = code
	return r, true
}
