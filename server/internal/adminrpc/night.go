package adminrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/store"
	"github.com/wolkvox/backup/internal/wire"
)

// MaxItemsPerMessage is how many items one message of ListItems carries at most.
const MaxItemsPerMessage = 1000

// ListNights lists the manifests of a destination and what became of them, by number.
func (s *Service) ListNights(ctx context.Context, req *backupv1.ListNightsRequest) (*backupv1.ListNightsResponse, error) {
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return nil, err
	}
	res := &backupv1.ListNightsResponse{}
	for _, m := range manifests(seq.Ledger()) {
		night, err := wire.Night(seq.Ledger(), m)
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		res.Nights = append(res.Nights, night)
	}
	return res, nil
}

// ListItems streams the items of a destination, by manifest and index.
func (s *Service) ListItems(req *backupv1.ListItemsRequest, stream grpc.ServerStreamingServer[backupv1.ListItemsResponse]) error {
	ctx := stream.Context()
	_, seq, err := s.sequencer(ctx, req.GetTenant(), req.GetDestination())
	if err != nil {
		return err
	}
	states := backup.States[:]
	if len(req.GetStates()) > 0 {
		states = nil
	}
	for _, wanted := range req.GetStates() {
		state, err := wire.ParseState(wanted)
		if err != nil {
			return wire.Error(codes.InvalidArgument, wire.ReasonBadRequest, "list items: %v", err)
		}
		states = append(states, state)
	}
	chosen := manifests(seq.Ledger())
	if n := req.GetManifest(); n != 0 {
		if n < 1 || n > int64(len(chosen)) {
			return wire.Error(codes.NotFound, wire.ReasonNoManifest, "manifest %d of %s is not sealed; the last one is %d", n, seq.Origin(), len(chosen))
		}
		chosen = chosen[n-1 : n]
	}
	page := &pager{send: stream.Send}
	for _, m := range chosen {
		if err := items(ctx, seq.Ledger(), m, states, req.GetCause(), page); err != nil {
			return s.failed(ctx, err)
		}
	}
	return page.flush()
}

// items passes on those items of a manifest that are in one of the states, and whose last fault is of class cause where one is
// named.
func items(ctx context.Context, log *store.Ledger, m ledger.Manifest, states []backup.State, cause string, page *pager) error {
	if m.Items == 0 {
		return nil
	}
	sets, err := log.States(m.Number)
	if err != nil {
		return err
	}
	wanted := sets.Among(ledger.NewSet(ledger.Range{First: 0, Last: m.Items - 1}), states...)
	faults, err := log.Faults(m.Number)
	if err != nil {
		return err
	}
	if cause != "" {
		wanted = wanted.Intersect(hitBy(faults, cause))
	}
	if wanted.IsEmpty() {
		return nil
	}
	index := wanted.Ranges()[0].First
	for line, err := range log.Lines(m.Number, index) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if wanted.Contains(index) {
			state, _ := sets.State(index)
			item := wire.Line(m.Number, index, line, state)
			item.LastFault = faultOf(faults, index)
			if err := page.add(item); err != nil {
				return err
			}
		}
		if index == wanted.Max() {
			return nil
		}
		index++
	}
	return nil
}

// faultOf returns the last fault of an item, nil where there is none. The faults are those seen last first.
func faultOf(faults []store.ItemsFault, index int64) *backupv1.Fault {
	for _, f := range faults {
		if f.Items.Contains(index) {
			return wire.Fault(f.Fault)
		}
	}
	return nil
}

// pager gathers items into messages.
type pager struct {
	send  func(*backupv1.ListItemsResponse) error
	items []*backupv1.Item
}

func (p *pager) add(item *backupv1.Item) error {
	p.items = append(p.items, item)
	if len(p.items) < MaxItemsPerMessage {
		return nil
	}
	return p.flush()
}

func (p *pager) flush() error {
	if len(p.items) == 0 {
		return nil
	}
	page := &backupv1.ListItemsResponse{Items: p.items}
	p.items = nil
	return p.send(page)
}

// hitBy returns the items whose last fault is of a class.
func hitBy(faults []store.ItemsFault, class string) (items ledger.Set) {
	for _, f := range faults {
		if f.Fault.Class == class {
			items = items.Union(f.Items)
		}
	}
	return items
}

// manifests returns what a log says of its manifests now.
func manifests(log *store.Ledger) (all []ledger.Manifest) {
	log.View(func(state *ledger.Log) { all = append(all, state.Manifests...) })
	return all
}
