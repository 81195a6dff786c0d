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
	command.AddCommand(a.agentsRevokeCommand())
	return command
}

func (a *app) agentsRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke TENANT AGENT",
		Short: "Refuse an agent's certificates from now on",
		Long: `Refuses an agent's certificates from now on, on open connections too. It cannot be taken
back: the machine, or the one that replaces it, enrols as another agent.`,
		Example: `  wolkvox-server agents revoke acme cfcbd4e3d0dfb53f --reason "the machine was stolen"`,
		Args:    exactly("TENANT", "AGENT"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RevokeAgent(ctx, &backupv1.RevokeAgentRequest{Tenant: args[0], Agent: args[1]})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { row(w, "The agent "+args[1]+" of "+args[0]+" is refused from now on.") })
			})
		},
	}
}

// agentTable has a row for each destination of each agent.
func agentTable(w *tabwriter.Writer, agents []*backupv1.AgentSummary) {
	row(w, "TENANT", "AGENT", "HOST", "VERSION", "HEARD", "CLOCK", "DESTINATION", "HEALTH", "OUTBOX", "FREE", "MESSAGE")
	for _, agent := range agents {
		heard, clock := "never", ""
		if agent.GetHeardTime() != nil {
			heard, clock = instant(agent.GetHeardTime()), fmt.Sprintf("%+.1fs", agent.GetClockOffset().AsDuration().Seconds())
		}
		if agent.GetRevokeTime() != nil {
			heard = "revoked " + instant(agent.GetRevokeTime())
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
				originDestination(d.GetOrigin()), healthText(d), d.GetOutboxCount(), free, d.GetMessage())
		}
	}
}

// healthText is how a destination is, in a word, and whether and until when somebody has paused it.
func healthText(d *backupv1.DestinationReport) string {
	text := label(d.GetHealth(), "DESTINATION_HEALTH_")
	if d.GetPause() == nil {
		return text
	}
	if text += ", paused"; d.GetPause().GetUntilTime() != nil {
		text += " until " + instant(d.GetPause().GetUntilTime())
	}
	if reason := d.GetPause().GetReason(); reason != "" {
		text += " (" + reason + ")"
	}
	return text
}
