package wire

// Reasons of errors between server and agent (proto/README.md, part 5). Each service documents which of them its methods
// return.
const (
	ReasonNoCertificate     = "NO_CERTIFICATE"     // the caller showed no certificate, and the method wants one
	ReasonNotAllowed        = "NOT_ALLOWED"        // the caller's role may not call this method
	ReasonNotEnrolled       = "NOT_ENROLLED"       // the server does not know this agent
	ReasonNotAssigned       = "NOT_ASSIGNED"       // the destination is served by another agent, or by none
	ReasonSuperseded        = "SUPERSEDED"         // another process of this agent began later
	ReasonReplaced          = "REPLACED"           // the same process opened a new watch of the destination
	ReasonOfferWanted       = "OFFER_WANTED"       // the server's log does not contain the caller's head or the kept one
	ReasonTooManyWatches    = "TOO_MANY_WATCHES"   // close one first
	ReasonNoManifest        = "NO_MANIFEST"        // the manifest is not sealed
	ReasonTooLarge          = "TOO_LARGE"          // the message exceeds the table of limits
	ReasonBadRequest        = "BAD_REQUEST"        // a field is missing or not of its form
	ReasonBadReceipt        = "BAD_RECEIPT"        // a receipt is no canonical, signed text
	ReasonBadIndexes        = "BAD_INDEXES"        // the indexes are not of their form, or not of the manifest
	ReasonTryLater          = "TRY_LATER"          // the server serves as much as it can at the moment
	ReasonSourceUnreachable = "SOURCE_UNREACHABLE" // the recordings cannot be reached at the moment
	ReasonShuttingDown      = "SHUTTING_DOWN"      // the server is being stopped
	ReasonNoDestination     = "NO_DESTINATION"     // there is no destination of that name
	ReasonForeignMarker     = "FOREIGN_MARKER"     // the place belongs to another log
	ReasonDestinationUnfit  = "DESTINATION_UNFIT"  // the place cannot do what safe copying needs

	ReasonDestinationUnreachable = "DESTINATION_UNREACHABLE" // the place cannot be reached

	ReasonNoSession = "NO_SESSION" // the server does not know this session: watch again
	ReasonBadOffer  = "BAD_OFFER"  // what was offered does not lead to a head that the server signed, or ends too early
	ReasonFork      = "FORK"       // agents hold two histories of the log: people decide
	ReasonTailLost  = "TAIL_LOST"  // nobody can supply a head that the destination keeps: people decide
	ReasonRevoked   = "REVOKED"    // the certificate was revoked, or replaced by a later one
	ReasonAuditing  = "AUDITING"   // another audit of the destination is under way
	ReasonNoLosses  = "NO_LOSSES"  // no audit waits for a person's decision

	ReasonNoRecording = "NO_RECORDING" // no manifest of the log has it
	ReasonNotProvable = "NOT_PROVABLE" // no agreed head has its sealing yet, or its line was erased
	ReasonNoNight     = "NO_NIGHT"     // no night of that month is in the agreed log
	ReasonNotAgreed   = "NOT_AGREED"   // both sides have signed no head yet

	ReasonTooManyRecordings = "TOO_MANY_RECORDINGS" // a night, or an interaction, has as many announcements as are kept
)

// Reasons of errors of AdminService, besides those above and [ReasonDestinationAssigned].
const (
	ReasonTenantExists      = "TENANT_EXISTS"      // there is already a tenant of that name
	ReasonSourceExists      = "SOURCE_EXISTS"      // the tenant has already a source of that name
	ReasonDestinationExists = "DESTINATION_EXISTS" // the tenant has already a destination of that name
	ReasonNoTenant          = "NO_TENANT"          // there is no tenant of that name
	ReasonNoSource          = "NO_SOURCE"          // the tenant has no source yet
	ReasonBadName           = "BAD_NAME"           // the name is no label
	ReasonBadTimeZone       = "BAD_TIME_ZONE"      // the time zone is no IANA name
	ReasonBadWindow         = "BAD_WINDOW"         // a time of the nightly schedule, or its rate, is not allowed
	ReasonBadPath           = "BAD_PATH"           // the path is not absolute, or leads out of its directory
	ReasonSourceReadOnly    = "SOURCE_READ_ONLY"   // no marker can be written there: name a file that proves the source
	ReasonSourceRefused     = "SOURCE_REFUSED"     // the place does not let the server in, or is another: credentials, host key
	ReasonReasonWanted      = "REASON_WANTED"      // say why, with the header wolkvox-reason
	ReasonNoAlarm           = "NO_ALARM"           // no such alarm stands
	ReasonRestartWanted     = "RESTART_WANTED"     // the log cannot go on: restart it
	ReasonNoBackup          = "NO_BACKUP"          // no backup was made since: make one first
	ReasonRetired           = "RETIRED"            // the destination has ended
	ReasonNoAgent           = "NO_AGENT"           // the tenant has no agent of that name
	ReasonNoCredential      = "NO_CREDENTIAL"      // there is no credential of that serial number
	ReasonCredentialExists  = "CREDENTIAL_EXISTS"  // somebody of that role has this name already
)

// Reasons by which a server bounds what one caller takes of it (proto/README.md, part 5).
const (
	ReasonTooManyCalls   = "TOO_MANY_CALLS"   // calls at once, or in a short time: come back
	ReasonTooMuchFetched = "TOO_MUCH_FETCHED" // the contents of a manifest, many times over within a night: come back
	ReasonCompressed     = "COMPRESSED"       // messages are to be sent as they are
)

// Reasons of errors of AdminService about the keys of the door for people.
const (
	ReasonBadDoorKey      = "BAD_DOOR_KEY"       // the key is no single public key of a kind that is strong enough
	ReasonDoorKeyExists   = "DOOR_KEY_EXISTS"    // the tenant has this key already
	ReasonNoDoorKey       = "NO_DOOR_KEY"        // the tenant has no key of this fingerprint
	ReasonTooManyDoorKeys = "TOO_MANY_DOOR_KEYS" // the tenant has as many as it may have: remove one
)

// Reasons of errors about what expired, of AdminService and of the agent's own service.
const (
	ReasonNotClosed = "NOT_CLOSED" // the manifest is open: nothing of it has expired
	ReasonNoItem    = "NO_ITEM"    // no expired recording is meant
)
