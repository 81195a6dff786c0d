package command

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func (a *fakeService) ExportEvidence(m *backupv1.ExportEvidenceRequest, stream grpc.ServerStreamingServer[backupv1.ExportEvidenceResponse]) error {
	if err := a.known(m.GetDestination()); err != nil {
		return err
	}
	for _, file := range a.files {
		if err := stream.Send(&backupv1.ExportEvidenceResponse{File: file}); err != nil {
			return err
		}
	}
	return a.fails
}

// TestEvidenceExport writes a kit with a page, a verifier and the sums of all of it, and nothing into a directory in use.
func TestEvidenceExport(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.files = []*backupv1.ExportedFile{
		{Path: "kit.txt", Data: []byte("wolkvox-backup evidence kit v1\norigin wolkvox.com/backup/acme/nas/0\nmonth 2026-11\nserver-fin")},
		{Path: "kit.txt", Data: []byte("gerprint 11aa\nagent-fingerprint 22bb\n")},
		{Path: "ledger/0000000000.txt", Data: []byte("entry 0 1\nx")},
		{Path: "nights/2026-11-20/0000000004/SHA256SUMS", Data: []byte("sum  a.gsm\n")},
	}
	dir := filepath.Join(t.TempDir(), "kit")
	status, out, errs := m.run("evidence", "export", "nas", "--month", "2026-11", "--to", dir)
	if status != statusGood || !strings.Contains(out, "of 1 nights") {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	check(t, err)
	listed := make(map[string]bool)
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		check(t, err)
		if want := sha256.Sum256(text); sum != hex.EncodeToString(want[:]) {
			t.Errorf("%s has another digest", name)
		}
		listed[name] = true
	}
	for _, name := range []string{"README.html", "evidence/kit.txt", "evidence/ledger/0000000000.txt", "verifier/verify.mjs", "verifier/evidence.mjs"} {
		if !listed[name] {
			t.Errorf("%s is not in the kit", name)
		}
	}
	if listed["verifier/generate.mjs"] || listed["verifier/evidence.test.mjs"] {
		t.Error("tests are in the kit")
	}
	page, err := os.ReadFile(filepath.Join(dir, "README.html"))
	check(t, err)
	for _, want := range []string{"--server-fingerprint 11aa --agent-fingerprint 22bb", "2026-11-20", "Paquete para el auditor", "wolkvox.com/backup/acme/nas/0"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if status, _, errs := m.run("evidence", "export", "nas", "--month", "2026-11", "--to", dir); status != statusBad || !strings.Contains(errs, "is not empty") {
		t.Errorf("into a directory in use: %d, %q", status, errs)
	}
	other := filepath.Join(t.TempDir(), "other")
	if status, _, errs := m.run("evidence", "export", "tape", "--month", "2026-11", "--to", other); status != statusBad || !strings.Contains(errs, "tape") {
		t.Errorf("of another destination: %d, %q", status, errs)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("a directory was made for nothing")
	}
	if status, _, _ := m.run("evidence", "export", "nas", "--to", other); status != statusUsage {
		t.Errorf("without a month: status %d", status)
	}
}

// TestEvidenceStatus shows how far the evidence reaches.
func TestEvidenceStatus(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.agent.status.Destinations[0].Evidence = &backupv1.EvidenceStatus{Size: 9, ThroughNight: "2026-11-20", Problem: "no room"}
	if _, out, _ := m.run("status"); !strings.Contains(out, "evidence: through night 2026-11-20\n! evidence is not written further: no room\n") {
		t.Errorf("status says %q", out)
	}
}
