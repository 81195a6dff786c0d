package fault

// sftpRows are SSH_FX_*: those of version 3, which most servers keep to, and those of draft-ietf-secsh-filexfer-13 section
// 9.1. OpenSSH answers FAILURE for a full disk, a used-up quota, a failing disk and a read-only one alike: it says nothing
// by itself.
func sftpRows() map[int64]row {
	return map[int64]row{
		0:  {code: "SSH_FX_OK", class: ClassOther, vague: true},
		1:  {code: "SSH_FX_EOF", class: ClassOther, vague: true},
		2:  {code: "SSH_FX_NO_SUCH_FILE", class: ClassDestLost, topic: topicMissing, item: true},
		3:  {code: "SSH_FX_PERMISSION_DENIED", class: ClassPermission},
		4:  {code: "SSH_FX_FAILURE", class: ClassOther, topic: topicSFTPFailure, vague: true},
		5:  {code: "SSH_FX_BAD_MESSAGE", class: ClassName},
		6:  {code: "SSH_FX_NO_CONNECTION", class: ClassNetwork},
		7:  {code: "SSH_FX_CONNECTION_LOST", class: ClassNetwork},
		8:  {code: "SSH_FX_OP_UNSUPPORTED", class: ClassDestConfig, topic: topicUnsupported},
		9:  {code: "SSH_FX_INVALID_HANDLE", class: ClassTransient},
		10: {code: "SSH_FX_NO_SUCH_PATH", class: ClassDestLost, topic: topicMissing, item: true},
		11: {code: "SSH_FX_FILE_ALREADY_EXISTS", class: ClassIntegrity, topic: topicConflict, item: true},
		12: {code: "SSH_FX_WRITE_PROTECT", class: ClassDestConfig, topic: topicReadOnly},
		13: {code: "SSH_FX_NO_MEDIA", class: ClassDestLost},
		14: {code: "SSH_FX_NO_SPACE_ON_FILESYSTEM", class: ClassCapacity},
		15: {code: "SSH_FX_QUOTA_EXCEEDED", class: ClassQuota},
		16: {code: "SSH_FX_UNKNOWN_PRINCIPAL", class: ClassPermission},
		17: {code: "SSH_FX_LOCK_CONFLICT", class: ClassTransient, topic: topicInUse},
		18: {code: "SSH_FX_DIR_NOT_EMPTY", class: ClassTransient, topic: topicInUse},
		19: {code: "SSH_FX_NOT_A_DIRECTORY", class: ClassDestLost, topic: topicMissing, item: true},
		20: {code: "SSH_FX_INVALID_FILENAME", class: ClassName},
		21: {code: "SSH_FX_LINK_LOOP", class: ClassDestConfig, topic: topicLink},
		22: {code: "SSH_FX_CANNOT_DELETE", class: ClassPermission},
		23: {code: "SSH_FX_INVALID_PARAMETER", class: ClassClientBug},
		24: {code: "SSH_FX_FILE_IS_A_DIRECTORY", class: ClassIntegrity, topic: topicConflict, item: true},
		25: {code: "SSH_FX_BYTE_RANGE_LOCK_CONFLICT", class: ClassTransient, topic: topicInUse},
		26: {code: "SSH_FX_BYTE_RANGE_LOCK_REFUSED", class: ClassTransient, topic: topicInUse},
		27: {code: "SSH_FX_DELETE_PENDING", class: ClassTransient, topic: topicInUse},
		28: {code: "SSH_FX_FILE_CORRUPT", class: ClassIntegrity},
		29: {code: "SSH_FX_OWNER_INVALID", class: ClassPermission},
		30: {code: "SSH_FX_GROUP_INVALID", class: ClassPermission},
		31: {code: "SSH_FX_NO_MATCHING_BYTE_RANGE_LOCK", class: ClassClientBug},
	}
}

// sshRows are the reasons for which an SSH server disconnects (RFC 4253 section 11.1).
func sshRows() map[int64]row {
	return map[int64]row{
		1:  {code: "SSH_DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT", class: ClassPermission},
		2:  {code: "SSH_DISCONNECT_PROTOCOL_ERROR", class: ClassNetwork, vague: true},
		3:  {code: "SSH_DISCONNECT_KEY_EXCHANGE_FAILED", class: ClassDestConfig, topic: topicAlgorithms},
		5:  {code: "SSH_DISCONNECT_MAC_ERROR", class: ClassNetwork},
		6:  {code: "SSH_DISCONNECT_COMPRESSION_ERROR", class: ClassNetwork},
		7:  {code: "SSH_DISCONNECT_SERVICE_NOT_AVAILABLE", class: ClassDestConfig},
		8:  {code: "SSH_DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED", class: ClassDestConfig, topic: topicWrongProtocol},
		9:  {code: "SSH_DISCONNECT_HOST_KEY_NOT_VERIFIABLE", class: ClassDestConfig, topic: topicHostKey},
		10: {code: "SSH_DISCONNECT_CONNECTION_LOST", class: ClassNetwork},
		11: {code: "SSH_DISCONNECT_BY_APPLICATION", class: ClassTransient, vague: true},
		12: {code: "SSH_DISCONNECT_TOO_MANY_CONNECTIONS", class: ClassThrottle, topic: topicConnections},
		13: {code: "SSH_DISCONNECT_AUTH_CANCELLED_BY_USER", class: ClassCredential},
		14: {code: "SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE", class: ClassCredential},
		15: {code: "SSH_DISCONNECT_ILLEGAL_USER_NAME", class: ClassCredential},
	}
}
