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
	var red bool
	command := &cobra.Command{
		Use:   "agents",
		Short: "List the agents and how they were when last heard",
		Long: `Lists the agents and how they were when last heard. A destination is red where the agent's last check
found that it would not take a night's recordings: agents check after their start, three hours before each window, and
every hour while they are red. With --red only those are listed, a row for each thing that is bad, with what to do.`,
		Example: `  wolkvox-server agents --tenant acme
  wolkvox-server agents --red`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListAgents(ctx, &backupv1.ListAgentsRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				if red {
					res.Agents = redAgents(res.GetAgents())
					return a.show(res, func(w *tabwriter.Writer) { redTable(w, res.GetAgents()) })
				}
				return a.show(res, func(w *tabwriter.Writer) { agentTable(w, res.GetAgents()) })
			})
		},
	}
	tenantFlag(command, &tenant)
	command.Flags().BoolVar(&red, "red", false, "only destinations that would not take a night's recordings, and why")
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
				free = bytesText(d.GetFreeBytes())
			}
			health := healthText(d)
			if isRed(d) {
				health += " RED"
			}
			row(w, agent.GetTenant(), agent.GetName(), agent.GetHostName(), agent.GetVersion(), heard, clock,
				originDestination(d.GetOrigin()), health, d.GetOutboxCount(), free, d.GetMessage())
		}
	}
}

// healthText is how a destination is, in a word, the class of the fault for which the agent leaves it alone, and whether and
// until when somebody has paused it.
func healthText(d *backupv1.DestinationReport) string {
	text := label(d.GetHealth(), "DESTINATION_HEALTH_")
	if c := d.GetCircuit(); c != nil {
		text += " (left alone: " + c.GetFault().GetClass() + ")"
	}
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
