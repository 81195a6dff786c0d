package download_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/download"
)

// shelf has a file for each name, which holds its name many times; it fails as told.
type shelf struct {
	backupv1.StorageServiceClient
	names []string
	fail  map[string]error // by name, after half of the file

	mu   sync.Mutex
	sent map[string]int // bytes, by name
}

func contents(name string) []byte { return []byte(strings.Repeat(name+"\n", 50)) }

func (s *shelf) ReadFile(_ context.Context, req *backupv1.ReadFileRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[backupv1.ReadFileResponse], error) {
	data := contents(req.GetName())
	sum := sha256.Sum256(data)
	rest := data[req.GetOffsetBytes():]
	piece := &backupv1.ReadFileResponse{Data: rest, Complete: true, Sealed: true, Digest: &backupv1.StorageDigest{Sha256: sum[:], SizeBytes: int64(len(data))}}
	err := s.fail[req.GetName()]
	if err != nil {
		piece.Data, piece.Complete = rest[:len(rest)/2], false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[req.GetName()] += len(piece.Data)
	return &stream[backupv1.ReadFileResponse]{messages: []*backupv1.ReadFileResponse{piece}, err: err}, nil
}

func (s *shelf) ListFiles(_ context.Context, req *backupv1.ListFilesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[backupv1.ListFilesResponse], error) {
	out := &stream[backupv1.ListFilesResponse]{}
	for _, name := range s.names {
		if strings.HasPrefix(name, req.GetFolder()+"/") && name > req.GetAfterName() {
			out.messages = append(out.messages, &backupv1.ListFilesResponse{Files: []*backupv1.StoredFile{{Name: name}}})
		}
	}
	out.messages = append(out.messages, &backupv1.ListFilesResponse{Complete: true})
	return out, nil
}

// TestFolder gets a folder of which one file is in the way of another, is cut in the middle, and gets it again.
func TestFolder(t *testing.T) {
	t.Parallel()
	s := &shelf{names: []string{"b/other.gsm"}, fail: map[string]error{}, sent: map[string]int{}}
	for i := range 40 {
		s.names = append(s.names, fmt.Sprintf("calls/%d/%02d.gsm", i%3, i))
	}
	slices.Sort(s.names)
	place, dir := download.Place{Service: s}, t.TempDir()
	const taken, gone, cut = "calls/0/03.gsm", "calls/0/06.gsm", "calls/1/22.gsm"
	if err := os.MkdirAll(filepath.Join(dir, "calls", "0"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, taken), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.fail[gone], s.fail[cut] = status.Error(codes.NotFound, "gone"), status.Error(codes.PermissionDenied, "no more")
	failed := map[string]error{}
	get := func() (download.Total, error) {
		clear(failed)
		return place.GetFolder(t.Context(), "calls", dir, func(name string, _ download.Got, err error) error {
			if err != nil {
				failed[name] = err
			}
			return nil
		})
	}
	if total, err := get(); status.Code(err) != codes.PermissionDenied || total.Files == 0 || total.Files > 38 {
		t.Fatalf("cut in the middle: %+v, %v", total, err)
	}
	s.fail = map[string]error{gone: s.fail[gone]}
	total, err := get()
	if err != nil || total.Files != 38 || total.AlreadyFiles == 0 || total.Failed != 2 || total.Err() == nil {
		t.Errorf("again: %+v, %v", total, err)
	}
	if !errors.Is(failed[taken], fs.ErrExist) || status.Code(failed[gone]) != codes.NotFound || len(failed) != 2 {
		t.Errorf("failed have %v", failed)
	}
	if s.sent[cut] != len(contents(cut)) {
		t.Errorf("of %s %d bytes came, it has %d", cut, s.sent[cut], len(contents(cut)))
	}
	s.fail = nil
	if err := os.Remove(filepath.Join(dir, taken)); err != nil {
		t.Fatal(err)
	}
	if total, err := get(); err != nil || total.Err() != nil || total.Files != 40 || total.AlreadyFiles != 38 {
		t.Errorf("after all is well: %+v, %v", total, err)
	}
	found := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, contents(filepath.ToSlash(name))) {
			t.Errorf("%s holds other contents, %v", path, err)
		}
		return nil
	})
	if err != nil || found != 40 {
		t.Errorf("%d files are there, %v", found, err)
	}
	s.fail = map[string]error{}
	broken := errors.New("nobody reads")
	if _, err := place.GetFolder(t.Context(), "calls", t.TempDir(), func(string, download.Got, error) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("where nobody hears of it: %v", err)
	}
}
