package fault

// The topics of Amazon S3 and the stores that speak its API.
const (
	topicS3Billing      topic = "s3-billing"
	topicS3Disabled     topic = "s3-disabled"
	topicS3NotSignedUp  topic = "s3-not-signed-up"
	topicS3Key          topic = "s3-key"
	topicS3Secret       topic = "s3-secret"
	topicS3Token        topic = "s3-token"
	topicS3Denied       topic = "s3-denied"
	topicS3Bucket       topic = "s3-bucket"
	topicS3Region       topic = "s3-region"
	topicS3Encryption   topic = "s3-encryption"
	topicS3StorageClass topic = "s3-storage-class"
	topicS3Archived     topic = "s3-archived"
	topicS3State        topic = "s3-state"
	topicS3Unable       topic = "s3-unable"
	topicS3Digest       topic = "s3-digest"
	topicS3Restart      topic = "s3-restart"
	topicS3Provider     topic = "s3-provider"
)

// s3Rows are the error codes of Amazon S3 (type Error in the types of aws-sdk-go-v2's service/s3, and the API reference's list of
// error responses), of AWS's services in general (their page on common errors), and those that MinIO adds (its
// cmd/api-errors.go) and versitygw (its s3err). Codes count, and not statuses: RequestTimeout is a 400.
func s3Rows() map[string]row {
	return map[string]row{
		"AccountProblem":    {class: ClassBilling, topic: topicS3Billing},
		"AllAccessDisabled": {class: ClassBilling, topic: topicS3Disabled},
		"InvalidPayer":      {class: ClassBilling, topic: topicS3Disabled},
		"NotSignedUp":       {class: ClassBilling, topic: topicS3NotSignedUp},
		"OptInRequired":     {class: ClassBilling, topic: topicS3NotSignedUp},

		"InvalidAccessKeyId":          {class: ClassCredential, topic: topicS3Key},
		"InvalidClientTokenId":        {class: ClassCredential, topic: topicS3Key},
		"UnrecognizedClientException": {class: ClassCredential, topic: topicS3Key},
		"XAdminUserNotFound":          {class: ClassCredential, topic: topicS3Key},
		"InvalidSecurity":             {class: ClassCredential, topic: topicS3Key},
		"SignatureDoesNotMatch":       {class: ClassCredential, topic: topicS3Secret},
		"ExpiredToken":                {class: ClassCredential, topic: topicS3Token},
		"InvalidToken":                {class: ClassCredential, topic: topicS3Token},
		"TokenRefreshRequired":        {class: ClassCredential, topic: topicS3Token},

		"AccessDenied": {class: ClassPermission, topic: topicS3Denied},

		"RequestTimeTooSkewed": {class: ClassClock},
		"RequestExpired":       {class: ClassClock},

		"SlowDown":            {class: ClassThrottle, party: PartyCloudProvider},
		"SlowDownRead":        {class: ClassThrottle, party: PartyCloudProvider},
		"SlowDownWrite":       {class: ClassThrottle, party: PartyCloudProvider},
		"ServiceUnavailable":  {class: ClassThrottle, party: PartyCloudProvider},
		"ThrottlingException": {class: ClassThrottle, party: PartyCloudProvider},

		"InternalError":              {class: ClassTransient, party: PartyCloudProvider, topic: topicS3Provider},
		"OperationAborted":           {class: ClassTransient, party: PartyCloudProvider, topic: topicS3Provider},
		"ConditionalRequestConflict": {class: ClassTransient, party: PartyCloudProvider, topic: topicS3Provider},
		"NoSuchUpload":               {class: ClassTransient, topic: topicS3Restart, item: true},

		"RequestTimeout": {class: ClassNetwork, topic: topicTimeout},

		"XMinioStorageFull":              {class: ClassCapacity},
		"XMinioAdminBucketQuotaExceeded": {class: ClassQuota},
		"TooManyBuckets":                 {class: ClassQuota},

		"NoSuchKey":                          {class: ClassDestLost, topic: topicMissing, item: true},
		"PreconditionFailed":                 {class: ClassIntegrity, topic: topicConflict, item: true},
		"NoSuchBucket":                       {class: ClassDestConfig, topic: topicS3Bucket},
		"InvalidBucketName":                  {class: ClassDestConfig, topic: topicS3Bucket},
		"PermanentRedirect":                  {class: ClassDestConfig, topic: topicS3Region},
		"TemporaryRedirect":                  {class: ClassDestConfig, topic: topicS3Region},
		"Redirect":                           {class: ClassDestConfig, topic: topicS3Region},
		"AuthorizationHeaderMalformed":       {class: ClassDestConfig, topic: topicS3Region},
		"IllegalLocationConstraintException": {class: ClassDestConfig, topic: topicS3Region},
		"InvalidObjectState":                 {class: ClassDestConfig, topic: topicS3Archived, item: true},
		"InvalidStorageClass":                {class: ClassDestConfig, topic: topicS3StorageClass},
		"InvalidEncryptionAlgorithmError":    {class: ClassDestConfig, topic: topicS3Encryption},
		"KMS.DisabledException":              {class: ClassDestConfig, topic: topicS3Encryption},
		"KMS.NotFoundException":              {class: ClassDestConfig, topic: topicS3Encryption},
		"KMS.KMSInvalidStateException":       {class: ClassDestConfig, topic: topicS3Encryption},
		"InvalidBucketState":                 {class: ClassDestConfig, topic: topicS3State},
		"MethodNotAllowed":                   {class: ClassDestConfig, topic: topicS3Unable},
		"NotImplemented":                     {class: ClassDestConfig, topic: topicS3Unable},

		"BadDigest":                   {class: ClassIntegrity, topic: topicS3Digest},
		"XAmzContentChecksumMismatch": {class: ClassIntegrity, topic: topicS3Digest},
		"XAmzContentSHA256Mismatch":   {class: ClassIntegrity, topic: topicS3Digest},
		"IncompleteBody":              {class: ClassIntegrity, topic: topicS3Digest},
		"InvalidDigest":               {class: ClassIntegrity, topic: topicS3Digest},

		"KeyTooLongError":     {class: ClassName, item: true},
		"InvalidURI":          {class: ClassName, item: true},
		"EntityTooLarge":      {class: ClassClientBug, item: true},
		"EntityTooSmall":      {class: ClassClientBug, item: true},
		"InvalidPart":         {class: ClassClientBug, item: true},
		"InvalidPartOrder":    {class: ClassClientBug, item: true},
		"MetadataTooLarge":    {class: ClassClientBug, item: true},
		"InvalidRequest":      {class: ClassClientBug},
		"IncompleteSignature": {class: ClassClientBug},
	}
}

// ofS3 returns the meaning of an error of the S3 API: that of its code, or of its status where the code says nothing.
func ofS3(code string, status int64) (row, bool) {
	r, known := s3Rows()[code]
	if !known {
		return ofHTTPStatus(code, status)
	}
	r.code = code
	return r, true
}
