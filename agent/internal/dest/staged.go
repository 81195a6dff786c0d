package dest

import (
	"fmt"
	"hash"

	"github.com/wolkvox/backup"
)

// fileState is how far a staged file has come.
type fileState uint8

const (
	writing   fileState = iota // open; owned by the goroutine that writes it
	committed                  // closed with the wanted digest; not durable
	synced                     // durable
	verified                   // read back; its result says with what outcome
	dropped                    // gone
)

// Staged is one file of a [Batch], out of sight. Until it is committed or dropped it is used by one goroutine at a
// time. What it has accepted stays accepted when the stream that brings it breaks: the caller opens the stream
// again at [Staged.Offset].
type Staged struct {
	batch  *Batch
	number int // in the order in which files were begun
	name   string
	want   backup.Digest
	key    string
	file   StagedFile
	sum    hash.Hash
	n      int64
	err    error // of the file itself: it can only be dropped

	state  fileState // guarded by batch.mu
	result Result    // set by Verify; owned by the batch's goroutine from then on
}

// Name returns the name under which the file shall become visible.
func (s *Staged) Name() string { return s.name }

// Offset returns how many bytes were accepted, in order and without gaps.
func (s *Staged) Offset() int64 { return s.n }

// Write appends p. Bytes beyond the wanted size are backup.ErrDigest. After an error the file can only be dropped.
func (s *Staged) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if int64(len(p)) > s.want.SizeBytes-s.n {
		s.err = fmt.Errorf("receive %q: %w: more than %d bytes came", s.name, backup.ErrDigest, s.want.SizeBytes)
		return 0, s.err
	}
	n, err := s.file.Write(p)
	s.sum.Write(p[:n])
	s.n += int64(n)
	if err != nil {
		s.err = fmt.Errorf("write %q to staging: %w", s.name, err)
	}
	return n, s.err
}

// Commit ends writing. Where what was received does not have the wanted digest it drops the file and returns
// backup.ErrDigest; the batch goes on. After any other error the batch is unknown. After a nil error the next
// [Batch.Sync] takes the file up.
func (s *Staged) Commit() error {
	if s.err != nil {
		return s.err
	}
	if got := digestOf(s.sum, s.n); got != s.want {
		s.err = fmt.Errorf("receive %q: %w: received %v, recorded %v", s.name, backup.ErrDigest, got, s.want)
		if err := s.Drop(); err != nil {
			return fmt.Errorf("%w; %w", s.err, err)
		}
		return s.err
	}
	s.batch.mu.Lock()
	err := s.batch.unknown()
	s.batch.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.file.Close(); err != nil {
		s.batch.setState([]*Staged{s}, dropped)
		return s.batch.fail(fmt.Errorf("close staged %q: %w", s.name, err))
	}
	s.file, s.sum = nil, nil // a round may have tens of thousands of files
	s.batch.setState([]*Staged{s}, committed)
	return nil
}

// Drop deletes a file that was not committed; after [Staged.Commit] it does nothing. It may be deferred.
func (s *Staged) Drop() error {
	s.batch.mu.Lock()
	open := s.state == writing && s.batch.files != nil
	if open {
		s.state = dropped
		delete(s.batch.files, s)
	}
	s.batch.mu.Unlock()
	if !open {
		return nil
	}
	if s.err == nil {
		s.err = fmt.Errorf("staged %q was dropped", s.name)
	}
	if err := s.file.Discard(); err != nil {
		return fmt.Errorf("drop staged %q: %w", s.name, err)
	}
	return nil
}
