package operator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// backupAdmin sends pieces of a backup, and then fails where err is set.
type backupAdmin struct {
	backupv1.UnimplementedAdminServiceServer
	pieces []string
	err    error
}

func (b *backupAdmin) CreateBackup(_ *backupv1.CreateBackupRequest, stream grpc.ServerStreamingServer[backupv1.CreateBackupResponse]) error {
	for _, piece := range b.pieces {
		if err := stream.Send(&backupv1.CreateBackupResponse{Data: []byte(piece)}); err != nil {
			return err
		}
	}
	return b.err
}

// A backup that breaks off takes no earlier one's place, and leaves nothing.
func TestBackupIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	admin := &backupAdmin{pieces: []string{"one", "two"}}
	r := serve(t, admin)
	dir := t.TempDir()
	to := filepath.Join(dir, "server.age")
	backUp := func() (int, string) {
		code, _, errs := r.do(t, "backup", "--recipient", "age1x", "--to", to)
		return code, errs
	}
	if code, errs := backUp(); code != 0 {
		t.Fatalf("backup: status %d, %q", code, errs)
	}
	admin.pieces, admin.err = []string{"half"}, status.Error(codes.Unavailable, "gone")
	if code, _ := backUp(); code != 1 {
		t.Errorf("a backup that breaks off: status %d", code)
	}
	text, err := os.ReadFile(to)
	if err != nil || string(text) != "onetwo" {
		t.Errorf("the backup is %q, %v, want the one before", text, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("beside the backup lies %v, %v", names, err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup: %v, %v, want mode 0600", info, err)
	}
	for _, args := range []string{"backup --to x", "backup --recipient age1x", "backup nothing", "backup keygen", "restore", "restore --from x"} {
		if code, _, _ := r.do(t, strings.Fields(args)...); code != 2 {
			t.Errorf("%s: status %d, want 2", args, code)
		}
	}
}
