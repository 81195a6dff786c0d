package adminrpc

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

func TestProveLedgerItemRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	byPath := func(path string) *backupv1.WantedItem {
		return &backupv1.WantedItem{Wanted: &backupv1.WantedItem_Path{Path: []byte(path)}}
	}
	for _, c := range []struct {
		tenant, destination string
		wanted              *backupv1.WantedItem
		code                codes.Code
		reason              string
	}{
		{"acme", "tape", byPath("1/000000.gsm"), codes.NotFound, wire.ReasonNoDestination},
		{"other", "nas", byPath("1/000000.gsm"), codes.NotFound, wire.ReasonNoDestination},
		{"acme", "nas", nil, codes.InvalidArgument, wire.ReasonBadRequest},
		{"acme", "nas", byPath("4/000000.gsm"), codes.NotFound, wire.ReasonNoRecording},
		{"acme", "nas", byPath("1/000000.gsm"), codes.FailedPrecondition, wire.ReasonNotProvable}, // nothing is agreed
	} {
		_, err := s.ProveLedgerItem(t.Context(), &backupv1.ProveLedgerItemRequest{Tenant: c.tenant, Destination: c.destination, Wanted: c.wanted})
		if status.Code(err) != c.code || wire.Reason(err) != c.reason {
			t.Errorf("%v: %v", c, err)
		}
	}
	// The same name in two manifests: somebody has to choose.
	res, err := s.ProveLedgerItem(t.Context(), &backupv1.ProveLedgerItemRequest{Tenant: "acme", Destination: "nas", Wanted: byPath("000000.gsm")})
	if err != nil || res.GetProof() != nil || len(res.GetCandidates()) != 2 || res.GetCandidates()[1].GetManifest() != 3 {
		t.Errorf("two fit: %v, %v", res, err)
	}
}
