package control

import (
	"testing"

	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/wire"
)

// FuzzRequests sends what anybody who may open the socket can send. A destination that is not configured is named as
// that, and nothing of another is touched.
func FuzzRequests(f *testing.F) {
	for _, m := range []*backupv1.InitDestinationRequest{{Destination: "tape"}, {Destination: "../nas"}, {}} {
		encoded, err := proto.Marshal(m)
		check(f, err)
		f.Add(encoded)
	}
	service := &Service{Destinations: []Destination{{Name: "nas"}}}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		initialise, verify := &backupv1.InitDestinationRequest{}, &backupv1.VerifyAgentLedgerRequest{}
		if proto.Unmarshal(encoded, initialise) != nil || proto.Unmarshal(encoded, verify) != nil || initialise.GetDestination() == "nas" || verify.GetDestination() == "nas" {
			return
		}
		if _, err := service.InitDestination(t.Context(), initialise); wire.Reason(err) != wire.ReasonNoDestination {
			t.Errorf("InitDestination(%v) = %v", initialise, err)
		}
		if _, err := service.VerifyAgentLedger(t.Context(), verify); wire.Reason(err) != wire.ReasonNoDestination {
			t.Errorf("VerifyAgentLedger(%v) = %v", verify, err)
		}
	})
}
