package adminrpc

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// FuzzTenant reads tenants: what the registry would keep of one is sent back to people as the same again.
func FuzzTenant(f *testing.F) {
	encoded, err := proto.Marshal(&backupv1.Tenant{
		Name: "acme", CutOff: durationpb.New(2 * time.Hour), Quiet: durationpb.New(time.Minute),
		Window: &backupv1.NightWindow{TimeZone: "America/Bogota", Start: durationpb.New(22 * time.Hour), End: durationpb.New(6 * time.Hour), BytesPerSecond: 7},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m := &backupv1.Tenant{}
		if proto.Unmarshal(encoded, m) != nil {
			return
		}
		parsed, err := parseTenant(m)
		if err != nil || parsed.Check() != nil {
			return
		}
		if again, err := parseTenant(tenant(parsed)); err != nil || again != parsed {
			t.Errorf("%+v is read again as %+v, %v", parsed, again, err)
		}
	})
}
