package operator

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/credential"
)

var roleKinds = map[string]backupv1.RoleKind{
	"operator": backupv1.RoleKind_ROLE_KIND_OPERATOR,
	"client":   backupv1.RoleKind_ROLE_KIND_CLIENT,
	"auditor":  backupv1.RoleKind_ROLE_KIND_AUDITOR,
	"platform": backupv1.RoleKind_ROLE_KIND_PLATFORM,
}

func (a *app) credentialIssueCommand() *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "issue client|auditor|platform|operator [TENANT] NAME",
		Short: "Make the credential file of a client, an auditor, a platform or an operator",
		Long: `Makes a credential file that is good for a year. Its key is made here and does not leave
this machine but in the file. A client sees how the tenant's copies are; an auditor
checks the tenant's ledgers and reads what was done; a platform announces the tenant's
recordings; an operator runs the fleet.`,
		Example: `  wolkvox-server credential issue client acme ana --to ana.pem
  wolkvox-server credential issue platform acme recorder --to recorder.pem
  wolkvox-server credential issue operator maria --to maria.pem --reason "joined the team"`,
		Args: between(2, "client, auditor, platform or operator", "NAME, after the TENANT of all but an operator", "NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.IssueCredentialRequest{Kind: roleKinds[args[0]], Name: args[len(args)-1]}
			switch {
			case request.GetKind() == backupv1.RoleKind_ROLE_KIND_UNSPECIFIED:
				return usage("%q is no role; give client, auditor, platform or operator", args[0])
			case args[0] == "operator" && len(args) != 2:
				return usage("an operator belongs to no tenant: give only a NAME")
			case args[0] != "operator" && len(args) != 3:
				return usage("whose %s is it? give TENANT and NAME", args[0])
			case len(args) == 3:
				request.Tenant = args[1]
			}
			if err := checkNewFile(to); err != nil {
				return err
			}
			return a.issue(c.Context(), request, to)
		},
	}
	command.Flags().StringVar(&to, "to", "", "the `FILE` to write")
	return command
}

// issue has a certificate made over a new key, and writes the credential file.
func (a *app) issue(ctx context.Context, request *backupv1.IssueCredentialRequest, to string) error {
	own, err := a.loadCredential()
	if err != nil {
		return err
	}
	key, err := identity.NewKey()
	if err != nil {
		return err
	}
	request.CertificateRequest, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return fmt.Errorf("make a certificate request: %w", err)
	}
	return a.callShort(ctx, func(ctx context.Context, admin backupv1.AdminServiceClient) error {
		res, err := admin.IssueCredential(ctx, request)
		if err != nil {
			return err
		}
		sent, err := identity.ParseCertificates(res.GetCertificates())
		if err != nil {
			return err
		}
		made, err := own.Renewed(sent, key, time.Now())
		if err != nil {
			return err
		}
		if err := (credential.Credential{Credential: made, Server: own.Server}).Save(to); err != nil {
			return fmt.Errorf("%w; revoke %s, which nobody has, and issue another", err, res.GetCredential().GetSerial())
		}
		return a.show(res.GetCredential(), func(w *tabwriter.Writer) { credentialTable(w, res.GetCredential()) })
	})
}

func (a *app) credentialListCommand() *cobra.Command {
	var tenant string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the credentials of people and programs",
		Example: `  wolkvox-server credential list --tenant acme`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListCredentials(ctx, &backupv1.ListCredentialsRequest{Tenant: tenant})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { credentialTable(w, res.GetCredentials()...) })
			})
		},
	}
	tenantFlag(command, &tenant)
	return command
}

func (a *app) credentialRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke SERIAL",
		Short:   "Refuse a credential from now on",
		Long:    `Refuses a credential from now on, on open connections too. It cannot be taken back.`,
		Example: `  wolkvox-server credential revoke 5d1c0fcb3a4b3f7e2c55a1b0c9e0a7d1 --reason "left the company"`,
		Args:    exactly("SERIAL"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.RevokeCredential(ctx, &backupv1.RevokeCredentialRequest{Serial: args[0]})
				if err != nil {
					return err
				}
				return a.show(res.GetCredential(), func(w *tabwriter.Writer) { credentialTable(w, res.GetCredential()) })
			})
		},
	}
}

func credentialTable(w *tabwriter.Writer, credentials ...*backupv1.Credential) {
	row(w, "ROLE", "TENANT", "NAME", "ISSUED", "BY", "EXPIRES", "REVOKED", "SERIAL")
	for _, c := range credentials {
		row(w, label(c.GetKind(), "ROLE_KIND_"), c.GetTenant(), c.GetName(), instant(c.GetIssueTime()), c.GetIssuedBy(),
			instant(c.GetExpireTime()), instant(c.GetRevokeTime()), c.GetSerial())
	}
}
