package adminrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/wire"
	"github.com/wolkvox/backup/server/internal/registry"
	"github.com/wolkvox/backup/server/internal/sealer"
	"github.com/wolkvox/backup/server/internal/source"
)

// AddSource registers a directory tree, and makes the proof by which it is known from then on.
func (s *Service) AddSource(ctx context.Context, req *backupv1.AddSourceRequest) (*backupv1.AddSourceResponse, error) {
	added := registry.Source{
		Tenant: req.GetSource().GetTenant(), Name: req.GetSource().GetName(),
		Directory: req.GetSource().GetDirectory(), ProofFile: req.GetSource().GetProofFile(),
	}
	if err := s.checkNew(added); err != nil {
		return nil, s.refused(ctx, err)
	}
	proof, err := prove(added)
	if err != nil {
		return nil, err
	}
	added.MarkerID, added.ProofDigest = proof.MarkerID, proof.Digest
	if err := s.Registry.CreateSource(added); err != nil {
		return nil, s.refused(ctx, err)
	}
	s.done(ctx, "add source", added.Tenant+"/"+added.Name)
	return &backupv1.AddSourceResponse{Source: sourceOf(added)}, nil
}

// checkNew finds what is wrong with a source before anything is written into its directory.
func (s *Service) checkNew(added registry.Source) error {
	if _, err := s.Registry.Tenant(added.Tenant); err != nil {
		return err
	}
	if err := ledger.CheckLabel(added.Name); err != nil {
		return fmt.Errorf("source: %w: %w", registry.ErrBadName, err)
	}
	if !filepath.IsAbs(added.Directory) || filepath.Clean(added.Directory) != added.Directory || !utf8.ValidString(added.Directory) {
		return fmt.Errorf("source %s: %w: %q is not an absolute path in its shortest form", added.Name, registry.ErrBadPath, added.Directory)
	}
	if added.ProofFile != "" && (!filepath.IsLocal(added.ProofFile) || !utf8.ValidString(added.ProofFile)) {
		return fmt.Errorf("source %s: %w: the proof file %q is not a path below it", added.Name, registry.ErrBadPath, added.ProofFile)
	}
	known, err := s.Registry.Sources(added.Tenant)
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.Name == added.Name {
			return &registry.SubjectError{Subject: registry.SubjectSource, Name: k.Tenant + "/" + k.Name, Err: registry.ErrExists}
		}
	}
	return nil
}

// prove makes the proof of a new source. The error is a status.
func prove(added registry.Source) (source.Proof, error) {
	directory, err := os.Open(added.Directory)
	if err == nil {
		_, err = directory.Readdirnames(1)
		directory.Close()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceUnreachable, "the directory cannot be read: %v", err)
	}
	if added.ProofFile != "" {
		proof, err := source.Witness(added.Directory, added.ProofFile)
		if err != nil {
			return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceUnreachable, "%v", err)
		}
		return proof, nil
	}
	proof, err := source.Mark(added.Directory)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceReadOnly,
			"no marker can be written into %s: name a file that it has, and that stays as it is, to prove that it is mounted (%v)", added.Directory, err)
	case err != nil:
		return source.Proof{}, wire.Error(codes.FailedPrecondition, wire.ReasonSourceUnreachable, "%v", err)
	}
	return proof, nil
}

// ListSources lists sources and whether each can be reached now.
func (s *Service) ListSources(ctx context.Context, req *backupv1.ListSourcesRequest) (*backupv1.ListSourcesResponse, error) {
	all, err := s.Registry.Sources(req.GetTenant())
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	res := &backupv1.ListSourcesResponse{}
	for _, one := range all {
		listed := sourceOf(one)
		if tree, err := sealer.OpenSource(one); err != nil {
			listed.Problem = err.Error()
		} else {
			tree.Close()
		}
		res.Sources = append(res.Sources, listed)
	}
	return res, nil
}

func sourceOf(s registry.Source) *backupv1.Source {
	return &backupv1.Source{Tenant: s.Tenant, Name: s.Name, Directory: s.Directory, ProofFile: s.ProofFile}
}
