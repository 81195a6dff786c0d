package operator

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// provingAdmin knows one recording, and an interaction of two.
type provingAdmin struct{ fakeAdmin }

func (*provingAdmin) ProveLedgerItem(_ context.Context, m *backupv1.ProveLedgerItemRequest) (*backupv1.ProveLedgerItemResponse, error) {
	item := &backupv1.Item{Manifest: 12, Path: "a/call.gsm", Sha256: []byte{1}, SizeBytes: 11, State: backupv1.ItemState_ITEM_STATE_CONFIRMED}
	switch {
	case m.GetTenant() != "acme" || m.GetDestination() != "nas":
		return nil, wire.Error(codes.NotFound, wire.ReasonNoDestination, "there is no %s/%s", m.GetTenant(), m.GetDestination())
	case m.GetWanted().GetInteraction() == "two":
		return &backupv1.ProveLedgerItemResponse{Candidates: []*backupv1.Item{item, {Manifest: 12, Index: 7, Path: "b/call.gsm", State: backupv1.ItemState_ITEM_STATE_PENDING}}}, nil
	case string(m.GetWanted().GetPath()) == item.GetPath(), m.GetWanted().GetPlace().GetManifest() == 12:
		return &backupv1.ProveLedgerItemResponse{Candidates: []*backupv1.Item{item}, Proof: &backupv1.ItemProof{
			Text: "wolkvox-backup proof v1\n", Item: item, ProvenState: backupv1.ItemState_ITEM_STATE_PENDING, ServerFingerprint: "aa11", AgentFingerprint: "bb22",
		}}, nil
	}
	return nil, wire.Error(codes.NotFound, wire.ReasonNoRecording, "the ledger has no such recording")
}

func TestLedgerProve(t *testing.T) {
	t.Parallel()
	r := serve(t, &provingAdmin{})
	to := filepath.Join(t.TempDir(), "proof.txt")
	status, out, errs := r.do(t, "ledger", "prove", "acme", "nas", "--path", "a/call.gsm", "--to", to)
	if status != 0 || !strings.Contains(out, "12/0") || !strings.Contains(out, "pending") || !strings.Contains(out, "confirmed") || !strings.Contains(out, "aa11") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if text, err := os.ReadFile(to); err != nil || string(text) != "wolkvox-backup proof v1\n" {
		t.Errorf("the proof: %q, %v", text, err)
	}
	if status, _, errs := r.do(t, "ledger", "prove", "acme", "nas", "--item", "12/0", "--to", to); status == 0 || !strings.Contains(errs, to) {
		t.Errorf("over a file that is there: status %d, %q", status, errs)
	}
	if status, out, errs := r.do(t, "ledger", "prove", "acme", "nas", "--item", "12/0"); status != 0 || out != "wolkvox-backup proof v1\n" || !strings.Contains(errs, "bb22") {
		t.Errorf("to the standard output: status %d, %q, %q", status, out, errs)
	}
	if status, out, _ := r.do(t, "ledger", "prove", "acme", "nas", "--item", "12/0", "--output", "json"); status != 0 || !strings.Contains(out, `"text": "wolkvox-backup proof v1\n"`) {
		t.Errorf("as JSON: status %d, %q", status, out)
	}
	if status, out, errs := r.do(t, "ledger", "prove", "acme", "nas", "--interaction", "two"); status != 1 || !strings.Contains(out, "12/7") || !strings.Contains(errs, "--item") {
		t.Errorf("two fit: status %d, %q, %q", status, out, errs)
	}
	if status, _, errs := r.do(t, "ledger", "prove", "acme", "nas", "--path", "c"); status != 1 || !strings.Contains(errs, "no such recording") {
		t.Errorf("none fits: status %d, %q", status, errs)
	}
	for _, args := range [][]string{nil, {"--path", "a", "--item", "1/0"}, {"--item", "12"}, {"--item", "x/0"}} {
		if status, _, _ := r.do(t, append([]string{"ledger", "prove", "acme", "nas"}, args...)...); status != 2 {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
