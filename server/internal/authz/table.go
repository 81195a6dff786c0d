package authz

import (
	"strings"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
)

// Callers is a set of kinds of callers. The zero value is nobody.
type Callers uint8

// The kinds of callers.
const (
	Nobody   Callers = 0
	Anyone   Callers = 1  // also without a certificate
	Agent    Callers = 2  // of any tenant; the service looks at the destination
	Client   Callers = 4  // for the own tenant
	Auditor  Callers = 8  // for the own tenant
	Operator Callers = 16 // of the fleet
	Platform Callers = 32 // for the own tenant
)

// Rule is what the table says of a method. The zero value is a method that nobody may call.
type Rule struct {
	Callers     Callers
	Changes     bool // a person changes something by it: it goes into the admin log (package adminlog)
	WantsReason bool // whoever calls it has to say why
	Forgotten   bool // an agent may call it that was not let in, as far as is known here: the service looks at what it shows
	AfterEnd    bool // an agent may call it with a certificate that has ended, as long as the handshake lets that in
}

// services has the rule of every method of a service that does not depart from it.
var services = map[string]Rule{
	backupv1.EnrollmentService_ServiceDesc.ServiceName: {Callers: Anyone},
	backupv1.LedgerService_ServiceDesc.ServiceName:     {Callers: Agent},
	backupv1.ContentService_ServiceDesc.ServiceName:    {Callers: Agent},
	backupv1.HeartbeatService_ServiceDesc.ServiceName:  {Callers: Agent},
	backupv1.AdminService_ServiceDesc.ServiceName:      {Callers: Operator},
	backupv1.CatalogService_ServiceDesc.ServiceName:    {Callers: Operator | Platform},
	backupv1.StorageService_ServiceDesc.ServiceName:    {Callers: Agent},
	"grpc.health.v1.Health":                            {Callers: Anyone},
	"grpc.reflection.v1.ServerReflection":              {Callers: Operator},
	"grpc.reflection.v1alpha.ServerReflection":         {Callers: Operator},
}

const ofTenant = Operator | Client | Auditor

// stored may look at what is stored: an agent in the place that it serves.
const stored = Agent | Client | Auditor

// methods has the rules of the methods that depart from their service.
var methods = map[string]Rule{
	backupv1.EnrollmentService_RenewCertificate_FullMethodName: {Callers: Agent, AfterEnd: true},

	backupv1.LedgerService_WatchLedger_FullMethodName: {Callers: Agent, Forgotten: true},
	backupv1.LedgerService_OfferLedger_FullMethodName: {Callers: Agent, Forgotten: true},

	backupv1.AdminService_ListDestinations_FullMethodName: {Callers: ofTenant},
	backupv1.AdminService_ListAgents_FullMethodName:       {Callers: ofTenant},
	backupv1.AdminService_ListNights_FullMethodName:       {Callers: ofTenant},
	backupv1.AdminService_ListItems_FullMethodName:        {Callers: ofTenant},
	backupv1.AdminService_ListAlarms_FullMethodName:       {Callers: ofTenant},
	backupv1.AdminService_VerifyLedger_FullMethodName:     {Callers: ofTenant},
	backupv1.AdminService_ExportLedger_FullMethodName:     {Callers: ofTenant},
	backupv1.AdminService_ProveLedgerItem_FullMethodName:  {Callers: ofTenant},
	backupv1.AdminService_ReadAdminLog_FullMethodName:     {Callers: Operator | Auditor},

	backupv1.AdminService_ReadExpiryCertificate_FullMethodName: {Callers: ofTenant},
	backupv1.AdminService_ListExpiring_FullMethodName:          {Callers: ofTenant},
	backupv1.AdminService_FindRecordings_FullMethodName:        {Callers: ofTenant},

	backupv1.AdminService_ListDoorKeys_FullMethodName:   {Callers: ofTenant},
	backupv1.AdminService_ListUnrecorded_FullMethodName: {Callers: ofTenant},

	backupv1.AdminService_AddDoorKey_FullMethodName:    {Callers: Operator | Client, Changes: true},
	backupv1.AdminService_RemoveDoorKey_FullMethodName: {Callers: Operator | Client, Changes: true},

	backupv1.AdminService_CreateTenant_FullMethodName:      {Callers: Operator, Changes: true},
	backupv1.AdminService_AddSource_FullMethodName:         {Callers: Operator, Changes: true},
	backupv1.AdminService_CreateDestination_FullMethodName: {Callers: Operator, Changes: true},
	backupv1.AdminService_CreateToken_FullMethodName:       {Callers: Operator, Changes: true},
	backupv1.AdminService_SealNight_FullMethodName:         {Callers: Operator, Changes: true},
	backupv1.AdminService_RequestRun_FullMethodName:        {Callers: Operator, Changes: true},
	backupv1.AdminService_IssueCredential_FullMethodName:   {Callers: Operator, Changes: true},
	backupv1.AdminService_CreateBackup_FullMethodName:      {Callers: Operator, Changes: true},

	backupv1.AdminService_ClearAlarm_FullMethodName:        {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RestartLog_FullMethodName:        {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RekeyLog_FullMethodName:          {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RetireDestination_FullMethodName: {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RetireTenant_FullMethodName:      {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_ExtendDeadlines_FullMethodName:   {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RevokeAgent_FullMethodName:       {Callers: Operator, Changes: true, WantsReason: true},
	backupv1.AdminService_RevokeCredential_FullMethodName:  {Callers: Operator, Changes: true, WantsReason: true},

	backupv1.AdminService_SetStorageQuota_FullMethodName: {Callers: Operator, Changes: true},

	backupv1.StorageService_StatFiles_FullMethodName: {Callers: stored},
	backupv1.StorageService_ListFiles_FullMethodName: {Callers: stored},
	backupv1.StorageService_ReadFile_FullMethodName:  {Callers: stored},
	backupv1.StorageService_ReadUsage_FullMethodName: {Callers: stored},
}

// Of returns the rule of a method, given as "/package.Service/Method".
func Of(fullMethod string) Rule {
	if rule, ok := methods[fullMethod]; ok {
		return rule
	}
	service, _, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	return services[service]
}

// has reports whether the set has this kind of caller, or anyone.
func (c Callers) has(kind identity.RoleKind) bool {
	return c == Anyone || c&kinds[kind] != 0
}

var kinds = map[identity.RoleKind]Callers{
	identity.KindAgent: Agent, identity.KindClient: Client, identity.KindAuditor: Auditor, identity.KindOperator: Operator,
	identity.KindPlatform: Platform,
}

// String says for a person who is in the set.
func (c Callers) String() string {
	var names []string
	for _, one := range []struct {
		callers Callers
		name    string
	}{{Anyone, "anyone"}, {Operator, "operators"}, {Client, "the tenant's clients"}, {Auditor, "the tenant's auditors"}, {Platform, "the tenant's platforms"}, {Agent, "agents"}} {
		if c&one.callers != 0 {
			names = append(names, one.name)
		}
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}
