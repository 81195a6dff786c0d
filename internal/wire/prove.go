package wire

import (
	"errors"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/proof"
)

// ParseWantedItem reads which recording is wanted. The error is a status with BAD_REQUEST.
func ParseWantedItem(m *backupv1.WantedItem) (proof.Wanted, error) {
	w := proof.Wanted{Path: string(m.GetPath()), Interaction: m.GetInteraction(), Manifest: m.GetPlace().GetManifest(), Index: m.GetPlace().GetIndex()}
	switch {
	case m.GetPlace() != nil && (w.Manifest < 1 || w.Index < 0):
		return proof.Wanted{}, Error(codes.InvalidArgument, ReasonBadRequest, "%d/%d is no place: manifests count from 1, and their items from 0", w.Manifest, w.Index)
	case w == proof.Wanted{}:
		return proof.Wanted{}, Error(codes.InvalidArgument, ReasonBadRequest, "no recording is named: give its path, its interaction or its place")
	case len(w.Path) > ledger.MaxSourcePathBytes || len(w.Interaction) > ledger.MaxInteractionBytes:
		return proof.Wanted{}, Error(codes.InvalidArgument, ReasonBadRequest, "no recording has a path of more than %d bytes or an interaction of more than %d", ledger.MaxSourcePathBytes, ledger.MaxInteractionBytes)
	}
	return w, nil
}

// FoundItem returns a recording that was found as it travels to people.
func FoundItem(f proof.Found) *backupv1.Item { return Line(f.Manifest, f.Index, f.Line, f.State) }

// FoundItems is [FoundItem] of each.
func FoundItems(found []proof.Found) []*backupv1.Item {
	items := make([]*backupv1.Item, len(found))
	for i, f := range found {
		items[i] = FoundItem(f)
	}
	return items
}

// ItemProof returns the proof of a recording that was found.
func ItemProof(f proof.Found, made proof.Made) *backupv1.ItemProof {
	p := made.Proven
	return &backupv1.ItemProof{
		Text: string(made.Text), Item: FoundItem(f), ProvenState: State(p.State), Agreed: Position(p.Head.Size, p.Head.Root),
		AgreedTime: Time(p.AgreedAt), Origin: string(p.Head.Origin), ServerFingerprint: made.ServerFingerprint, AgentFingerprint: made.AgentFingerprint,
	}
}

// ProofError returns what finding and proving a recording refuse with the reason that the contract names, and any other
// error as it is.
func ProofError(err error) error {
	switch {
	case errors.Is(err, proof.ErrNoRecording):
		return Error(codes.NotFound, ReasonNoRecording, "%v; give its path as the manifest has it, its name, its interaction or its place", err)
	case errors.Is(err, proof.ErrNotProvable):
		return Error(codes.FailedPrecondition, ReasonNotProvable, "%v", err)
	}
	return err
}
