package operator

import (
	"context"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *app) outagesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "outages",
		Short: "List when the server was not there",
		Long: `Lists when the server was not there for more than ten minutes, and how many manifests would be
extended for it now. Nothing is extended by itself: see wolkvox-server extend.`,
		Example: `  wolkvox-server outages`,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				res, err := admin.ListOutages(ctx, &backupv1.ListOutagesRequest{})
				if err != nil {
					return err
				}
				return a.show(res, func(w *tabwriter.Writer) {
					row(w, "OUTAGE", "FROM", "UNTIL", "LENGTH", "MANIFESTS", "ANSWERED")
					for _, o := range res.GetOutages() {
						length := o.GetEndTime().AsTime().Sub(o.GetStartTime().AsTime()).Round(time.Second)
						row(w, o.GetNumber(), instant(o.GetStartTime()), instant(o.GetEndTime()), length, o.GetManifestCount(), instant(o.GetAnswerTime()))
					}
				})
			})
		},
	}
}

// maxExtensionsBytes is the greatest answer to ExtendDeadlines that is taken: a fleet has many open manifests.
const maxExtensionsBytes = 256 << 20

func (a *app) extendCommand() *cobra.Command {
	var fleet, closedToo, dryRun bool
	var outage int64
	var by time.Duration
	var because string
	command := &cobra.Command{
		Use:   "extend [TENANT [DESTINATION [MANIFEST]]]",
		Short: "Move the deadlines of manifests",
		Long: `Moves deadlines: for an outage, by its length and only those of manifests whose time to be copied
fell into it; or by a length of time. It concerns manifests that are open and have something pending,
of the whole fleet (--fleet), a tenant, a destination, or one by its number. Closed ones are opened
again with --closed-too. A manifest is moved once for an outage, however often it is asked
for. The exit status is 1 if any could not be moved.`,
		Example: `  wolkvox-server extend --fleet --outage 3 --dry-run
  wolkvox-server extend acme nas 7 --by 72h --because courtesy --closed-too`,
		Args: between(0, "TENANT", "DESTINATION", "MANIFEST"),
		RunE: func(c *cobra.Command, args []string) error {
			request := &backupv1.ExtendDeadlinesRequest{Outage: outage, ClosedToo: closedToo, DryRun: dryRun}
			switch {
			case fleet == (len(args) > 0):
				return usage("name a TENANT, or the whole fleet with --fleet")
			case (outage != 0) == (by != 0):
				return usage("give either --outage, or --by")
			case outage < 0 || by < 0:
				return usage("outages count from 1, and deadlines are moved later only")
			}
			switch because {
			case "outage":
				request.Reason = backupv1.ExtensionReason_EXTENSION_REASON_OUTAGE
			case "courtesy":
				request.Reason = backupv1.ExtensionReason_EXTENSION_REASON_COURTESY
			default:
				return usage("--because is %q; give outage or courtesy", because)
			}
			if by != 0 {
				request.By = durationpb.New(by)
			}
			if err := extendWhat(request, args); err != nil {
				return err
			}
			return a.call(c.Context(), func(ctx context.Context, admin backupv1.AdminServiceClient) error {
				return a.extend(ctx, admin, request)
			})
		},
	}
	command.Flags().BoolVar(&fleet, "fleet", false, "all tenants")
	command.Flags().Int64Var(&outage, "outage", 0, "the `NUMBER` of the outage that is answered")
	command.Flags().DurationVar(&by, "by", 0, "for how long, such as 48h; at most 8784h")
	command.Flags().StringVar(&because, "because", "outage", "why: outage (wolkvox was not there) or courtesy (the client asked for it)")
	command.Flags().BoolVar(&closedToo, "closed-too", false, "open closed manifests again too")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	return command
}

func extendWhat(request *backupv1.ExtendDeadlinesRequest, args []string) error {
	if len(args) > 0 {
		request.Tenant = args[0]
	}
	if len(args) > 1 {
		request.Destination = args[1]
	}
	if len(args) > 2 {
		manifest, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil || manifest < 1 {
			return usage("MANIFEST is %q; manifests count from 1", args[2])
		}
		request.Manifest = manifest
	}
	return nil
}

func (a *app) extend(ctx context.Context, admin backupv1.AdminServiceClient, request *backupv1.ExtendDeadlinesRequest) error {
	res, err := admin.ExtendDeadlines(ctx, request, grpc.MaxCallRecvMsgSize(maxExtensionsBytes))
	if err != nil {
		return err
	}
	problems := 0
	for _, e := range res.GetExtensions() {
		if e.GetProblem() != "" {
			problems++
		}
	}
	err = a.show(res, func(w *tabwriter.Writer) {
		row(w, "TENANT", "DESTINATION", "MANIFEST", "PENDING", "DEADLINE", "NEW DEADLINE", "PROBLEM")
		for _, e := range res.GetExtensions() {
			row(w, e.GetTenant(), e.GetDestination(), e.GetManifest(), e.GetPendingCount(), instant(e.GetOldDeadline()), instant(e.GetNewDeadline()), e.GetProblem())
		}
		if request.GetDryRun() {
			row(w, fmt.Sprintf("Nothing was done: %d would be moved.", len(res.GetExtensions())-problems))
		}
	})
	if err == nil && problems > 0 {
		err = fmt.Errorf("%d of %d manifests cannot be moved", problems, len(res.GetExtensions()))
	}
	return err
}
