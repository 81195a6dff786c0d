package operator

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) agentsCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:     "agents",
		Short:   "List the agents and how they were when last heard",
		Example: `  wolkvox-server agents --tenant acme`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListAgents(ctx, &backupv1.ListAgentsRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { agentTable(w, res.GetAgents()) })
			})
		},
	}
	tenantFlag(command, &tenant)
	return command
}

// agentTable has a row for each destination of each agent.
func agentTable(w *tabwriter.Writer, agents []*backupv1.AgentSummary) {
	row(w, "TENANT", "AGENT", "HOST", "VERSION", "HEARD", "CLOCK", "DESTINATION", "HEALTH", "OUTBOX", "FREE", "MESSAGE")
	for _, agent := range agents {
		heard, clock := "never", ""
		if agent.GetHeardTime() != nil {
			heard, clock = instant(agent.GetHeardTime()), fmt.Sprintf("%+.1fs", agent.GetClockOffset().AsDuration().Seconds())
		}
		if len(agent.GetDestinations()) == 0 {
			row(w, agent.GetTenant(), agent.GetName(), agent.GetHostName(), agent.GetVersion(), heard, clock, "", "", "", "", agent.GetMessage())
		} else if agent.GetMessage() != "" {
			row(w, agent.GetTenant(), agent.GetName(), agent.GetHostName(), agent.GetVersion(), heard, clock, "(the agent)", "", "", "", agent.GetMessage())
		}
		for _, d := range agent.GetDestinations() {
			free := ""
			if d.FreeBytes != nil {
				free = size(d.GetFreeBytes())
			}
			row(w, agent.GetTenant(), agent.GetName(), agent.GetHostName(), agent.GetVersion(), heard, clock,
				originDestination(d.GetOrigin()), label(d.GetHealth(), "DESTINATION_HEALTH_"), d.GetOutboxCount(), free, d.GetMessage())
		}
	}
}
