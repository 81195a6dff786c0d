package registry

// Two tables with the same letter do not compile.
var _ = map[byte]struct{}{
	tenantTable: {}, sourceTable: {}, destinationTable: {}, logKeyTable: {}, tokenTable: {}, agentTable: {}, heardTable: {},
	catalogTable: {}, nameTable: {}, backupTable: {}, endedTable: {}, presenceTable: {}, outageTable: {}, extendedTable: {},
	credentialTable: {}, revokedAgentTable: {}, adminTable: {}, adminHeadTable: {}, actTable: {}, takenTable: {},
	formerTable: {}, newCatalogTable: {}, newNameTable: {}, announcedTable: {}, recoveryTable: {}, alarmTable: {},
	doorKeyTable: {},
}
