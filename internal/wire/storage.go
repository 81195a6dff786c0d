package wire

// Reasons of errors of StorageService, besides the common ones.
const (
	ReasonStorageQuota   = "STORAGE_QUOTA"       // the tenant's quota has no room
	ReasonStorageFull    = "STORAGE_FULL"        // the server's volume has no room
	ReasonFileExists     = "FILE_EXISTS"         // something is under the name already
	ReasonNoFile         = "NO_FILE"             // nothing is under the name
	ReasonNotReplaced    = "NOT_REPLACED"        // what is there is not what was to be replaced
	ReasonNameObstructed = "NAME_OBSTRUCTED"     // something that is no file is under the name, or on the way
	ReasonWrongDigest    = "WRONG_DIGEST"        // what came does not have the digest that was announced
	ReasonReadBack       = "READ_BACK"           // what was stored reads back differently
	ReasonNotStorage     = "NOT_WOLKVOX_STORAGE" // the destination is of another kind
)

// Limits of StorageService.
const (
	MaxStorageDataBytes = 1 << 20 // of a file in one message
	MaxStorageNames     = 1000    // in one call, or one answer
	MaxStorageOwnBytes  = 1 << 20 // of one of the agent's own small files
)
