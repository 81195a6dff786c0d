package fault

import "github.com/wolkvox/backup/internal/wire"

// wolkvoxRows are the reasons of wolkvox' server (proto/README.md, part 5) as wolkvox Storage answers them.
func wolkvoxRows() map[string]row {
	return map[string]row{
		wire.ReasonStorageQuota:   {class: ClassQuota, topic: topicStorageQuota},
		wire.ReasonStorageFull:    {class: ClassCapacity, party: PartyWolkvox, topic: topicStorageFull},
		wire.ReasonFileExists:     {class: ClassIntegrity, topic: topicConflict, item: true},
		wire.ReasonNameObstructed: {class: ClassIntegrity, topic: topicConflict, item: true},
		wire.ReasonNotReplaced:    {class: ClassIntegrity, topic: topicConflict, item: true},
		wire.ReasonNoFile:         {class: ClassDestLost, party: PartyWolkvox, topic: topicMissing, item: true},
		wire.ReasonReadBack:       {class: ClassIntegrity, party: PartyWolkvox, topic: topicStorageDisk},
		wire.ReasonBadPath:        {class: ClassName},
		wire.ReasonWrongDigest:    {class: ClassNetwork},
		"UNREADABLE":              {class: ClassIntegrity, party: PartyWolkvox, topic: topicStorageDisk},
		wire.ReasonNotStorage:     {class: ClassDestConfig, topic: topicNotStorage},
		wire.ReasonNoDestination:  {class: ClassDestConfig, topic: topicNotStorage},
		wire.ReasonNotAssigned:    {class: ClassPermission, topic: topicNotAssigned},
		wire.ReasonNotEnrolled:    {class: ClassPermission, topic: topicNotAssigned},
		wire.ReasonOtherTenant:    {class: ClassPermission, topic: topicNotAssigned},
		wire.ReasonNotAllowed:     {class: ClassPermission, topic: topicNotAssigned},
		wire.ReasonRevoked:        {class: ClassCredential, topic: topicNotAssigned},
		wire.ReasonNoCertificate:  {class: ClassCredential, topic: topicNotAssigned},
		wire.ReasonTryLater:       {class: ClassThrottle, party: PartyWolkvox, topic: topicStorageBusy},
		wire.ReasonTooManyCalls:   {class: ClassThrottle, party: PartyWolkvox, topic: topicStorageBusy},
		wire.ReasonShuttingDown:   {class: ClassTransient, party: PartyWolkvox},
		wire.ReasonNoManifest:     {class: ClassTransient, party: PartyWolkvox},
		wire.ReasonBadIndexes:     {class: ClassClientBug},
		wire.ReasonBadRequest:     {class: ClassClientBug},
		wire.ReasonTooLarge:       {class: ClassClientBug},
		wire.ReasonCompressed:     {class: ClassClientBug},

		wire.ReasonSourceUnreachable: {class: ClassSource},
	}
}

// grpcRows are what gRPC itself says where the server gives no reason, by its code (google.golang.org/grpc/codes).
func grpcRows() map[int64]row {
	return map[int64]row{
		4:  {code: "DEADLINE_EXCEEDED", class: ClassNetwork, topic: topicTimeout},
		8:  {code: "RESOURCE_EXHAUSTED", class: ClassClientBug},
		12: {code: "UNIMPLEMENTED", class: ClassDestConfig, party: PartyWolkvox, topic: topicUnsupported},
		13: {code: "INTERNAL", class: ClassTransient, party: PartyWolkvox, topic: topicStorageFailed},
		14: {code: "UNAVAILABLE", class: ClassNetwork},
		15: {code: "DATA_LOSS", class: ClassIntegrity, party: PartyWolkvox, topic: topicStorageDisk},
	}
}

// ofWolkvox returns the meaning of an answer of wolkvox' server.
func ofWolkvox(reason string, code int64) (row, bool) {
	if reason == "" {
		r, known := grpcRows()[code]
		return r, known
	}
	r, known := wolkvoxRows()[reason]
	r.code = reason
	return r, known
}
