package catalogrpc_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/adminrpc"
	"github.com/wolkvox/backup/server/internal/servertest"
)

// TestUnrecorded lists what has no recording, as it is announced, missed and counted.
func TestUnrecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	address := r.Serve(func(g *grpc.Server) {
		backupv1.RegisterAdminServiceServer(g, &adminrpc.Service{Registry: r.Registry, Sequencers: r.Sequencers})
	})
	admin := backupv1.NewAdminServiceClient(r.Dial(address, identity.AuditorRole(servertest.Tenant, "auditor")))
	list := func(night string) (listed []string, err error) {
		stream, err := admin.ListUnrecorded(t.Context(), &backupv1.ListUnrecordedRequest{Tenant: servertest.Tenant, Destination: servertest.Destination, Night: night})
		r.Must(err)
		for {
			part, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return listed, nil
			}
			if err != nil {
				return listed, err
			}
			for _, u := range part.GetInteractions() {
				if !u.GetRecordedTime().AsTime().Equal(r.noon(-1)) {
					t.Errorf("%s was at %v", u.GetInteraction(), u.GetRecordedTime().AsTime())
				}
				listed = append(listed, fmt.Sprintf("%s %s %d %v", u.GetInteraction(), u.GetReason(), u.GetManifest(), u.GetSourcePaths()))
			}
		}
	}
	night := r.today.AddDays(-1).String()
	want := func(when string, want ...string) {
		t.Helper()
		got, err := list(night)
		r.Must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	want("before anything was announced")
	const many = 1100 // more than are read at a time, all with a recording
	all := []*backupv1.Announcement{
		recording("a-there", "a.gsm", "a", r.noon(-1)), recording("b-absent", "b.gsm", "b", r.noon(-1)),
		recording("y-differs", "c.gsm", "c", r.noon(-1)), none("z-none", failed, r.noon(-1)),
	}
	for i := range many {
		path := fmt.Sprintf("m/%d.gsm", i)
		all = append(all, recording(fmt.Sprintf("m-%d", i), path, path, r.noon(-1)))
		r.Write(path, path, r.noon(-1))
	}
	for len(all) > 0 {
		n := min(len(all), 1000)
		r.register(all[:n]...)
		all = all[n:]
	}
	r.Write("a.gsm", "a", r.noon(-1))
	r.Write("c.gsm", "not c", r.noon(-1))
	r.cutOff(0)
	first := r.Sequencer().Last()
	differs, none := fmt.Sprintf("y-differs differs %d [main/c.gsm]", first), fmt.Sprintf("z-none failed %d []", first)
	want("after the cut-off", "b-absent waiting 0 [main/b.gsm]", differs, none)
	r.cutOff(1)
	want("after the next one", fmt.Sprintf("b-absent missing %d [main/b.gsm]", first+1), differs, none)
	if _, err := list("yesterday"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no date: %v", err)
	}
	if other, err := list(r.today.String()); err != nil || len(other) > 0 {
		t.Errorf("another night has %v, %v", other, err)
	}
}
