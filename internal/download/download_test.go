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
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/download"
)

// service has one file and some names, and breaks its streams after some messages as often as told.
type service struct {
	backupv1.StorageServiceClient
	data   []byte
	digest [32]byte
	names  []string
	breaks int
	asked  []int64 // the offsets
}

var errCut = status.Error(codes.Unavailable, "cut")

// stream yields messages and then an error.
type stream[M any] struct {
	grpc.ClientStream
	messages []*M
	err      error
}

func (s *stream[M]) Recv() (*M, error) {
	if len(s.messages) == 0 {
		return nil, s.err
	}
	next := s.messages[0]
	s.messages = s.messages[1:]
	return next, nil
}

func (s *service) ReadFile(_ context.Context, req *backupv1.ReadFileRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[backupv1.ReadFileResponse], error) {
	s.asked = append(s.asked, req.GetOffsetBytes())
	if req.GetOffsetBytes() > int64(len(s.data)) {
		return nil, status.Error(codes.InvalidArgument, "beyond the end")
	}
	out := &stream[backupv1.ReadFileResponse]{err: errCut}
	first := true
	for rest := s.data[req.GetOffsetBytes():]; ; first = false {
		n := min(len(rest), 10)
		m := &backupv1.ReadFileResponse{Data: rest[:n], Complete: n == len(rest)}
		if first && req.GetWantDigest() {
			m.Digest, m.Sealed = &backupv1.StorageDigest{Sha256: s.digest[:], SizeBytes: int64(len(s.data))}, true
		}
		out.messages = append(out.messages, m)
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
	}
	if s.breaks > 0 {
		s.breaks--
		out.messages = out.messages[:len(out.messages)/2]
	}
	return out, nil
}

func (s *service) ListFiles(_ context.Context, req *backupv1.ListFilesRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[backupv1.ListFilesResponse], error) {
	out := &stream[backupv1.ListFilesResponse]{err: errCut}
	for _, name := range s.names {
		if name > req.GetAfterName() {
			out.messages = append(out.messages, &backupv1.ListFilesResponse{Files: []*backupv1.StoredFile{{Name: name}}})
		}
	}
	if s.breaks > 0 {
		s.breaks--
		out.messages = out.messages[:len(out.messages)/2]
		return out, nil
	}
	out.messages = append(out.messages, &backupv1.ListFilesResponse{Complete: true})
	return out, nil
}

func newService(breaks int) *service {
	s := &service{data: bytes.Repeat([]byte("0123456789"), 10), breaks: breaks}
	s.digest = sha256.Sum256(s.data)
	for i := range 8 {
		s.names = append(s.names, fmt.Sprintf("%d.gsm", i))
	}
	return s
}

// A stream that breaks is taken up again where it broke.
func TestBroken(t *testing.T) {
	t.Parallel()
	s := newService(2)
	dir := t.TempDir()
	got, err := download.Place{Service: s}.Get(t.Context(), "a/b.gsm", dir)
	if err != nil || !got.Sealed || got.FetchedBytes != 100 || !slices.Equal(s.asked, []int64{0, 50, 70}) {
		t.Errorf("Get = %+v, %v, after asking from %v", got, err, s.asked)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a", "b.gsm")); err != nil || !bytes.Equal(data, s.data) {
		t.Errorf("the file has %d bytes, %v", len(data), err)
	}
	s.breaks = 1
	var names []string
	for file, err := range (download.Place{Service: s}).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, file.GetName())
	}
	if !slices.Equal(names, s.names) {
		t.Errorf("listed are %q", names)
	}
}

// What is not the file gets no name, and what has the name already stays.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newService(0)
	s.data = bytes.Repeat([]byte("x"), 100)
	if _, err := (download.Place{Service: s}).Get(t.Context(), "b.gsm", dir); !errors.Is(err, backup.ErrDigest) {
		t.Errorf("Get of what was damaged = %v, want ErrDigest", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.gsm"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (download.Place{Service: newService(0)}).Get(t.Context(), "a.gsm", dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Get where another file is = %v, want fs.ErrExist", err)
	}
	for _, name := range []string{"../x", "/x", "", "a/../../x", ".wolkvox/marker"} {
		if _, err := (download.Place{Service: newService(0)}).Get(t.Context(), name, dir); err == nil {
			t.Errorf("Get of %q gave no error", name)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "a.gsm" {
		t.Errorf("left are %v, %v", left, err)
	}
}
