package wire

// Reasons of errors of EnrollmentService, besides [ReasonBadRequest].
const (
	ReasonTokenInvalid        = "TOKEN_INVALID"        // the secret is unknown, used or revoked: not told apart
	ReasonTokenExpired        = "TOKEN_EXPIRED"        // the secret was good until its time was over
	ReasonDestinationAssigned = "DESTINATION_ASSIGNED" // another agent serves the destination; the message names it
	ReasonOtherTenant         = "OTHER_TENANT"         // the caller's certificate is of another tenant
	ReasonNameTaken           = "NAME_TAKEN"           // the tenant has an agent of this name with another key
)
