package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func (a *app) sealCommand() *cobra.Command {
	var wait bool
	command := &cobra.Command{
		Use:   "seal TENANT [DESTINATION]",
		Short: "Look at a tenant's sources now and seal what is new",
		Long: `Looks at a tenant's sources now and seals what is new, for one or all of its
destinations. A file is sealed only if an earlier look, the quiet time ago, found it
equal; with --wait the server looks twice, the quiet time apart.`,
		Example: `  wolkvox-server seal acme --wait`,
		Args:    between(1, "TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.SealNightRequest{Tenant: args[0], Wait: wait}
			if len(args) > 1 {
				request.Destination = args[1]
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.SealNight(ctx, request)
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { sealTable(w, res.GetResults()) })
			})
		},
	}
	command.Flags().BoolVar(&wait, "wait", false, "wait for files that are not yet known to be finished")
	return command
}

func sealTable(w *tabwriter.Writer, results []*backupv1.SealResult) {
	row(w, "DESTINATION", "MANIFEST", "NIGHT", "ITEMS", "SIZE", "DEADLINE")
	for _, r := range results {
		if len(r.GetNights()) == 0 {
			row(w, r.GetDestination(), "nothing new", "", "", "", "")
		}
		for _, n := range r.GetNights() {
			row(w, r.GetDestination(), n.GetManifest(), n.GetNight(), n.GetItemCount(), bytesText(n.GetSizeBytes()), instant(n.GetDeadlineTime()))
		}
	}
	for _, r := range results {
		if r.GetUnsettledCount() > 0 {
			row(w, fmt.Sprintf("%s: %d files are left for later, because they may still be being written; --wait waits for them",
				r.GetDestination(), r.GetUnsettledCount()))
		}
		for _, problem := range r.GetProblems() {
			row(w, r.GetDestination()+": "+problem)
		}
	}
}

func (a *app) nightsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "nights TENANT DESTINATION",
		Short:   "List what was sealed for a destination and what became of it",
		Example: `  wolkvox-server nights acme nas`,
		Args:    exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.callShort(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListNights(ctx, &backupv1.ListNightsRequest{Tenant: args[0], Destination: args[1]})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) { nightTable(w, res.GetNights(), time.Now()) })
			})
		},
	}
}

func nightTable(w *tabwriter.Writer, nights []*backupv1.Night, now time.Time) {
	row(w, "MANIFEST", "NIGHT", "ITEMS", "SIZE", "CONFIRMED", "PENDING", "EXPIRED", "WAIVED", "RELEASED", "WITHDRAWN", "FORGOTTEN", "INTERACTIONS", "DEADLINE", "LAST FAULT")
	for _, n := range nights {
		deadline := instant(n.GetDeadlineTime())
		switch left := n.GetDeadlineTime().AsTime().Sub(now); {
		case !n.GetOpen():
			deadline += " (closed)"
		case left > 0:
			deadline += fmt.Sprintf(" (%.1f days left)", left.Hours()/24)
		default:
			deadline += " (over, not closed yet)"
		}
		c := n.GetCounts()
		row(w, n.GetManifest(), n.GetNight(), n.GetItemCount(), bytesText(n.GetSizeBytes()), c.GetConfirmedCount(), c.GetPendingCount(),
			c.GetExpiredCount(), c.GetWaivedCount(), c.GetReleasedCount(), c.GetWithdrawnCount(), c.GetForgottenCount(), interactionText(n), deadline, faultText(n.GetLastFault()))
	}
}

// interactionText says how many interactions a night has and how many of them no recording, such as "7; no recording: 1 failed, 2 missing".
func interactionText(n *backupv1.Night) string {
	if n.InteractionCount == nil {
		return "-"
	}
	var text strings.Builder
	text.WriteString(fmt.Sprint(n.GetInteractionCount()))
	for i, u := range n.GetUnrecorded() {
		if i == 0 {
			text.WriteString("; no recording:")
		} else {
			text.WriteString(",")
		}
		text.WriteString(fmt.Sprintf(" %d %s", u.GetCount(), u.GetReason()))
	}
	return text.String()
}

func (a *app) itemsCommand() *cobra.Command {
	var states []string
	var manifest int64
	var cause string
	command := &cobra.Command{
		Use:   "items TENANT DESTINATION",
		Short: "List the recordings of a destination and their states",
		Long:  `Lists the recordings of a destination and their states. With --output json every recording is an object on a line of its own.`,
		Example: `  wolkvox-server items acme nas --state pending,expired
  wolkvox-server items acme nas --cause capacity
  wolkvox-server items acme nas --manifest 7 --output json | jq -r .path`,
		Args: exactly("TENANT", "DESTINATION"),
		RunE: func(c *cobra.Command, args []string) error {
			if manifest < 0 {
				return usage("--manifest is %d; manifests count from 1", manifest)
			}
			request := &backupv1.ListItemsRequest{Tenant: args[0], Destination: args[1], Manifest: manifest, Cause: cause}
			for _, name := range states {
				state, err := backup.ParseState(name)
				if err != nil {
					return usage("--state is %q; give one or more of %v", name, backup.States)
				}
				request.States = append(request.States, wire.State(state))
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.showItems(ctx, admin, request)
			})
		},
	}
	command.Flags().StringSliceVar(&states, "state", nil, "only items in these `STATES`, joined by commas: pending, confirmed, expired, waived, released, withdrawn, forgotten")
	command.Flags().Int64Var(&manifest, "manifest", 0, "only items of this `MANIFEST`, by its number")
	command.Flags().StringVar(&cause, "cause", "", "only items whose last fault is of this `CLASS`, such as capacity; docs/operations.md lists them")
	return command
}

// showItems shows items as they come.
func (a *app) showItems(ctx context.Context, admin backupv1.AdminServiceClient, request *backupv1.ListItemsRequest) error {
	stream, err := admin.ListItems(ctx, request)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	if a.output != outputJSON {
		row(w, "MANIFEST", "INDEX", "STATE", "KIND", "SIZE", "SHA-256", "PATH", "LAST FAULT")
	}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		for _, item := range page.GetItems() {
			if a.output != outputJSON {
				itemRow(w, item)
				continue
			}
			text, err := wire.CompactJSON(item)
			if err != nil {
				return err
			}
			if _, err := a.stdout.Write(append(text, '\n')); err != nil {
				return err
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

func itemRow(w *tabwriter.Writer, item *backupv1.Item) {
	state := label(item.GetState(), "ITEM_STATE_")
	if item.GetPath() == "" {
		row(w, item.GetManifest(), item.GetIndex(), state, "", "", "", "(erased)", "")
		return
	}
	row(w, item.GetManifest(), item.GetIndex(), state, label(item.GetKind(), "MEDIA_KIND_"), bytesText(item.GetSizeBytes()),
		fmt.Sprintf("%x", item.GetSha256()), item.GetPath(), faultText(item.GetLastFault()))
}
