package operator

import (
	"slices"
	"text/tabwriter"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// isRed reports whether a destination would not take a night's recordings, as its agent found last.
func isRed(d *backupv1.DestinationReport) bool {
	return d.GetCheck().GetVerdict() == backupv1.CheckVerdict_CHECK_VERDICT_BAD
}

// redAgents returns the agents that have red destinations, with these alone. Agents that were revoked are left out.
func redAgents(agents []*backupv1.AgentSummary) (red []*backupv1.AgentSummary) {
	for _, agent := range agents {
		agent.Destinations = slices.DeleteFunc(agent.GetDestinations(), func(d *backupv1.DestinationReport) bool { return !isRed(d) })
		if len(agent.GetDestinations()) > 0 && agent.GetRevokeTime() == nil {
			red = append(red, agent)
		}
	}
	return red
}

// redTable has a row for each thing that is bad.
func redTable(w *tabwriter.Writer, agents []*backupv1.AgentSummary) {
	row(w, "TENANT", "AGENT", "HOST", "DESTINATION", "CHECKED", "SUBJECT", "PARTY", "CODE", "MESSAGE")
	for _, agent := range agents {
		for _, d := range agent.GetDestinations() {
			for _, line := range d.GetCheck().GetLines() {
				if line.GetVerdict() == backupv1.CheckVerdict_CHECK_VERDICT_BAD {
					row(w, agent.GetTenant(), agent.GetName(), agent.GetHostName(), originDestination(d.GetOrigin()), instant(d.GetCheck().GetCheckTime()),
						line.GetSubject(), line.GetParty(), line.GetCode(), line.GetMessage())
				}
			}
		}
	}
}
