package command

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// ProveItem knows one recording, a/call.gsm, and an interaction of two.
func (a *fakeService) ProveItem(_ context.Context, m *backupv1.ProveItemRequest) (*backupv1.ProveItemResponse, error) {
	if err := a.known(m.GetDestination()); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("a recording"))
	item := &backupv1.Item{Manifest: 12, Path: "a/call.gsm", Sha256: sum[:], SizeBytes: 11, State: backupv1.ItemState_ITEM_STATE_CONFIRMED}
	switch {
	case m.GetWanted().GetInteraction() == "two":
		return &backupv1.ProveItemResponse{Candidates: []*backupv1.Item{item, {Manifest: 12, Index: 7, Path: "b/call.gsm", State: backupv1.ItemState_ITEM_STATE_PENDING}}}, nil
	case string(m.GetWanted().GetPath()) != item.GetPath() && m.GetWanted().GetPlace().GetManifest() != 12:
		return nil, wire.Error(codes.NotFound, wire.ReasonNoRecording, "the ledger has no %v", m.GetWanted())
	}
	return &backupv1.ProveItemResponse{Candidates: []*backupv1.Item{item}, Proof: &backupv1.ItemProof{
		Text: "wolkvox-backup proof v1\n", Item: item, ProvenState: backupv1.ItemState_ITEM_STATE_PENDING, AgreedTime: timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		Agreed: &backupv1.LogPosition{Size: 4, Root: []byte{1, 2}}, ServerFingerprint: "aa11", AgentFingerprint: "bb22",
	}}, nil
}

func TestProve(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := filepath.Join(m.dir, "nas", "a", "call.gsm")
	check(t, os.MkdirAll(filepath.Dir(file), 0o700))
	check(t, os.WriteFile(file, []byte("a recording"), 0o600))
	to := filepath.Join(m.dir, "proof.txt")
	status, out, errs := m.run("prove", file, "--to", to)
	if status != statusGood || !strings.Contains(out, file+" has exactly these bytes") || !strings.Contains(out, "12/0") ||
		!strings.Contains(out, "pending; confirmed since") || !strings.Contains(out, "aa11") || !strings.Contains(out, "bb22") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if text, err := os.ReadFile(to); err != nil || string(text) != "wolkvox-backup proof v1\n" {
		t.Errorf("the proof: %q, %v", text, err)
	}
	if status, _, errs := m.run("prove", "a/call.gsm", "--to", to); status != statusBad || !strings.Contains(errs, to) {
		t.Errorf("over a file that is there: status %d, %q", status, errs)
	}
	// By its path at the destination, and by its place: the proof is what goes to the standard output.
	for _, args := range [][]string{{"prove", "a/call.gsm"}, {"prove", "--item", "12/0"}} {
		if status, out, errs := m.run(args...); status != statusGood || out != "wolkvox-backup proof v1\n" || !strings.Contains(errs, file+" has exactly these bytes") {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
	}
	check(t, os.WriteFile(file, []byte("A recording"), 0o600))
	if status, _, errs := m.run("prove", "a/call.gsm"); status != statusBad || !strings.Contains(errs, "HAS OTHER BYTES") {
		t.Errorf("changed: status %d, %q", status, errs)
	}
	var answer struct {
		Proof struct {
			Text string `json:"text"`
		} `json:"proof"`
		File comparedFile `json:"file"`
	}
	status, out, _ = m.run("prove", "a/call.gsm", "--output", "json")
	check(t, json.Unmarshal([]byte(out), &answer))
	if status != statusBad || answer.Proof.Text == "" || answer.File.Equal || answer.File.Path != file || answer.File.SizeBytes != 11 || len(answer.File.SHA256) != 64 {
		t.Errorf("as JSON: status %d, %+v", status, answer)
	}
	check(t, os.Remove(file))
	if status, _, errs := m.run("prove", "a/call.gsm"); status != statusBad || !strings.Contains(errs, "cannot be read") {
		t.Errorf("removed: status %d, %q", status, errs)
	}
}

func TestProveRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if status, out, _ := m.run("prove", "--interaction", "two"); status != statusBad || !strings.Contains(out, "12/0  confirmed  a/call.gsm") || !strings.Contains(out, "12/7  pending  b/call.gsm") {
		t.Errorf("two fit: status %d, %q", status, out)
	}
	if status, out, _ := m.run("prove", "--interaction", "two", "--output", "json"); status != statusBad || strings.Count(out, `"path"`) != 2 {
		t.Errorf("two fit, as JSON: status %d, %q", status, out)
	}
	if status, _, errs := m.run("prove", "b.gsm"); status != statusBad || !strings.Contains(errs, "b.gsm") {
		t.Errorf("none fits: status %d, %q", status, errs)
	}
	for _, args := range [][]string{{"prove"}, {"prove", "a", "b"}, {"prove", "a", "--item", "1/2"}, {"prove", "--item", "12"}, {"prove", "--item", "a/b"}, {"prove", "--item", "1/0", "--interaction", "x"}} {
		if status, _, _ := m.run(args...); status != statusUsage {
			t.Errorf("%v: status %d", args, status)
		}
	}
}
