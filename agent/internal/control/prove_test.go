package control

import (
	"testing"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
)

func TestProveItem(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	client := r.ask(t)
	ask := func(wanted *backupv1.WantedItem) (*backupv1.ProveItemResponse, error) {
		return client.ProveItem(t.Context(), &backupv1.ProveItemRequest{Destination: "nas", Wanted: wanted})
	}
	byPath := func(path string) *backupv1.WantedItem {
		return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Path{Path: []byte(path)}}
	}
	if _, err := ask(byPath("b.gsm")); wire.Reason(err) != wire.ReasonNotProvable {
		t.Errorf("before any agreement: %v", err)
	}
	size, root := r.log.Position()
	head, err := ledger.SignHead(ledger.Head{Origin: testOrigin, Size: size, Root: root}, r.server.key)
	check(t, err)
	agent := testKey(t, testOrigin.AgentKeyName(testAgent))
	agreed, err := ledger.Cosign(head, r.server.key.Verifier(), agent, noon)
	check(t, err)
	check(t, r.log.PutAgreed(agreed))
	response, err := ask(byPath("b.gsm"))
	check(t, err)
	proof := response.GetProof()
	if len(response.GetCandidates()) != 1 || proof.GetItem().GetPath() != "b.gsm" || proof.GetItem().GetIndex() != 1 || proof.GetProvenState() != backupv1.ItemState_ITEM_STATE_PENDING ||
		proof.GetAgreed().GetSize() != 3 || !proof.GetAgreedTime().AsTime().Equal(noon) || proof.GetOrigin() != string(testOrigin) {
		t.Errorf("response %v", response)
	}
	parsed, err := ledger.ParseProof([]byte(proof.GetText()))
	check(t, err)
	if _, err := parsed.Check(r.server.key.Verifier().Fingerprint(), agent.Verifier().Fingerprint()); err != nil {
		t.Error(err)
	}
	if proof.GetServerFingerprint() != r.server.key.Verifier().Fingerprint() || proof.GetAgentFingerprint() != agent.Verifier().Fingerprint() {
		t.Errorf("fingerprints %s, %s", proof.GetServerFingerprint(), proof.GetAgentFingerprint())
	}
	place := func(manifest, index int64) *backupv1.WantedItem {
		return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Place{Place: &backupv1.ItemPlace{Manifest: manifest, Index: index}}}
	}
	if response, err := ask(place(1, 0)); err != nil || response.GetProof().GetItem().GetPath() != "a.gsm" {
		t.Errorf("by place: %v, %v", response, err)
	}
	for reason, wanted := range map[string][]*backupv1.WantedItem{
		wire.ReasonNoRecording: {byPath("c.gsm"), place(1, 2), place(2, 0), {Wanted: &backupv1.WantedItem_Interaction{Interaction: "1"}}},
		wire.ReasonBadRequest:  {nil, {}, byPath(""), place(0, 0), place(1, -1), place(-1, 0), byPath(string(make([]byte, 4097)))},
	} {
		for _, w := range wanted {
			if _, err := ask(w); wire.Reason(err) != reason {
				t.Errorf("ProveItem(%v) = %v, want %s", w, err, reason)
			}
		}
	}
	if _, err := client.ProveItem(t.Context(), &backupv1.ProveItemRequest{Destination: "tape"}); wire.Reason(err) != wire.ReasonNoDestination {
		t.Errorf("of another destination: %v", err)
	}
}
