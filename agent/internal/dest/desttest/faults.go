package desttest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/dest"
)

// Op is one operation of a driver.
type Op string

// The operations that a [Hook] is asked about.
const (
	OpOpen       Op = "open"        // of a visible file
	OpPut        Op = "put"         //
	OpReadOwn    Op = "read own"    //
	OpWriteOwn   Op = "write own"   //
	OpRemoveOwn  Op = "remove own"  //
	OpMoveAside  Op = "move aside"  //
	OpSettle     Op = "settle"      // with an empty name
	OpSweep      Op = "sweep"       // with an empty name
	OpNewStage   Op = "new stage"   // with an empty name
	OpCreate     Op = "create"      // name is the key
	OpUpload     Op = "upload"      // the beginning of one; name is the visible name
	OpWrite      Op = "write"       // name is the key
	OpClose      Op = "close"       // of a staged file; name is the key
	OpSync       Op = "sync"        // with an empty name
	OpOpenStaged Op = "open staged" // name is the key
	OpPublish    Op = "publish"     // of one move; name is the visible name
	OpSyncNames  Op = "sync names"  // with an empty name
	OpRemove     Op = "remove"      // of a staged file; name is the key
	OpCheck      Op = "check"       // with an empty name; where the stage lies elsewhere than the place
	OpHashAll    Op = "hash all"    // with an empty name; where the driver hashes many at once
)

// Hook is asked before every operation whether it is applied, and what is returned: err, or, where err is nil and
// the operation is applied, the operation's own result. apply without err is no fault; err without apply is an
// operation that failed; both is one that was done and then reported as failed, as when the answer is lost;
// neither is a lie, and makes sense for writes only. It is called from several goroutines.
type Hook func(op Op, name string) (apply bool, err error)

// run asks the hook and applies do.
func (h Hook) run(op Op, name string, do func() error) error {
	apply, fault := h(op, name)
	var err error
	if apply {
		err = do()
	}
	if fault != nil {
		return fmt.Errorf("%s %q: %w", op, name, fault)
	}
	return err
}

// WithFaults returns an opener whose handles ask hook before every operation. The handles of inner must be able to keep,
// move, stage and list; what else they can, or cannot, is so of the returned ones too.
func WithFaults(inner dest.Opener, hook Hook) dest.Opener { return faultyOpener{inner, hook} }

type faultyOpener struct {
	inner dest.Opener
	hook  Hook
}

func (o faultyOpener) Open(ctx context.Context) (dest.Driver, error) {
	driver, err := o.inner.Open(ctx)
	if err != nil {
		return nil, err
	}
	able, ok := driver.(allAble)
	if !ok {
		return nil, fmt.Errorf("%T cannot be given faults: it lacks an ability", driver)
	}
	f := &faulty{able, o.hook}
	if hasher, ok := driver.(dest.Hasher); ok {
		return &faultyHasher{f, hasher}, nil
	}
	return f, nil
}

type allAble interface {
	dest.Driver
	dest.Keeper
	dest.Mover
	dest.Stager
	dest.Lister
}

type faulty struct {
	allAble
	hook Hook
}

func (f *faulty) Put(ctx context.Context, name string, r io.Reader, size int64, pre dest.Precondition) error {
	return f.hook.run(OpPut, name, func() error { return f.allAble.Put(ctx, name, r, size, pre) })
}

func (f *faulty) Open(ctx context.Context, name string) (r io.ReadCloser, err error) {
	err = f.hook.run(OpOpen, name, func() error { r, err = f.allAble.Open(ctx, name); return err })
	return opened(r, err)
}

// opened closes what was opened where the hook has it that it was not.
func opened(r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil && r != nil {
		r.Close()
		return nil, err
	}
	return r, err
}

func (f *faulty) ReadOwn(ctx context.Context, name string) (data []byte, err error) {
	err = f.hook.run(OpReadOwn, name, func() error { data, err = f.allAble.ReadOwn(ctx, name); return err })
	return data, err
}

func (f *faulty) WriteOwn(ctx context.Context, name string, data []byte) error {
	return f.hook.run(OpWriteOwn, name, func() error { return f.allAble.WriteOwn(ctx, name, data) })
}

func (f *faulty) RemoveOwn(ctx context.Context, name string) error {
	return f.hook.run(OpRemoveOwn, name, func() error { return f.allAble.RemoveOwn(ctx, name) })
}

func (f *faulty) MoveAside(ctx context.Context, name, to string) error {
	return f.hook.run(OpMoveAside, name, func() error { return f.allAble.MoveAside(ctx, name, to) })
}

func (f *faulty) Settle(ctx context.Context, names []string) error {
	settler, ok := f.allAble.(dest.Settler)
	if !ok {
		return nil
	}
	return f.hook.run(OpSettle, "", func() error { return settler.Settle(ctx, names) })
}

func (f *faulty) Space(ctx context.Context) (dest.Space, error) {
	if spacer, ok := f.allAble.(dest.Spacer); ok {
		return spacer.Space(ctx)
	}
	return dest.Space{}, errors.ErrUnsupported
}

// faultyHasher is faulty where the driver hashes many files at once.
type faultyHasher struct {
	*faulty
	hasher dest.Hasher
}

func (f *faultyHasher) HashAll(ctx context.Context, names []string) (found []dest.Found, err error) {
	err = f.hook.run(OpHashAll, "", func() error { found, err = f.hasher.HashAll(ctx, names); return err })
	return found, err
}

func (f *faulty) SweepStaging(ctx context.Context) error {
	return f.hook.run(OpSweep, "", func() error { return f.allAble.SweepStaging(ctx) })
}

func (f *faulty) NewStage(ctx context.Context) (dest.Stage, error) {
	var stage dest.Stage
	err := f.hook.run(OpNewStage, "", func() (err error) { stage, err = f.allAble.NewStage(ctx); return err })
	if err != nil {
		if stage != nil {
			stage.Discard()
		}
		return nil, err
	}
	if uploader, ok := stage.(dest.Uploader); ok {
		return &faultyUploader{&faultyChecker{&faultyStage{stage, f.hook}, uploader}, uploader}, nil
	}
	if checker, ok := stage.(dest.Checker); ok {
		return &faultyChecker{&faultyStage{stage, f.hook}, checker}, nil
	}
	return &faultyStage{stage, f.hook}, nil
}

// faultyChecker is faultyStage where the stage compares what it published.
type faultyChecker struct {
	*faultyStage
	checker dest.Checker
}

func (f *faultyChecker) Check(ctx context.Context, moves []dest.Move) (checked []dest.Checked, err error) {
	err = f.hook.run(OpCheck, "", func() error { checked, err = f.checker.Check(ctx, moves); return err })
	return checked, err
}

// faultyUploader is faultyStage where each file goes to its own name.
type faultyUploader struct {
	*faultyChecker
	uploader dest.Uploader
}

func (f *faultyUploader) Upload(ctx context.Context, key, name string, want backup.Digest) (dest.StagedFile, error) {
	var file dest.StagedFile
	err := f.hook.run(OpUpload, name, func() (err error) { file, err = f.uploader.Upload(ctx, key, name, want); return err })
	if err != nil {
		if file != nil {
			file.Discard()
		}
		return nil, err
	}
	return &faultyUpload{faultyFile{file, key, f.hook}}, nil
}

// faultyUpload is faultyFile where closing is what makes a file visible.
type faultyUpload struct{ faultyFile }

func (f *faultyUpload) Close() error {
	closed := false
	err := f.hook.run(OpClose, f.key, func() error { closed = true; return f.StagedFile.Close() })
	if !closed {
		f.Discard() // the process would have gone, and what it had not sent with it
	}
	return err
}

type faultyStage struct {
	dest.Stage
	hook Hook
}

func (f *faultyStage) Create(ctx context.Context, key string, sizeBytes int64) (dest.StagedFile, error) {
	var file dest.StagedFile
	err := f.hook.run(OpCreate, key, func() (err error) { file, err = f.Stage.Create(ctx, key, sizeBytes); return err })
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultyFile{file, key, f.hook}, nil
}

type faultyFile struct {
	dest.StagedFile
	key  string
	hook Hook
}

func (f *faultyFile) Write(p []byte) (n int, err error) {
	n = len(p)
	err = f.hook.run(OpWrite, f.key, func() error { n, err = f.StagedFile.Write(p); return err })
	return n, err
}

func (f *faultyFile) Close() error {
	closed := false
	err := f.hook.run(OpClose, f.key, func() error { closed = true; return f.StagedFile.Close() })
	if !closed {
		f.StagedFile.Close() // the process would have gone; its descriptors with it
	}
	return err
}

func (f *faultyStage) Sync(ctx context.Context) error {
	return f.hook.run(OpSync, "", func() error { return f.Stage.Sync(ctx) })
}

func (f *faultyStage) Open(ctx context.Context, key string) (r io.ReadCloser, err error) {
	err = f.hook.run(OpOpenStaged, key, func() error { r, err = f.Stage.Open(ctx, key); return err })
	return opened(r, err)
}

func (f *faultyStage) Publish(ctx context.Context, moves []dest.Move) []error {
	errs := make([]error, len(moves))
	for i, move := range moves {
		errs[i] = f.hook.run(OpPublish, move.Name, func() error { return f.Stage.Publish(ctx, []dest.Move{move})[0] })
	}
	return errs
}

func (f *faultyStage) SyncNames(ctx context.Context) error {
	return f.hook.run(OpSyncNames, "", func() error { return f.Stage.SyncNames(ctx) })
}

func (f *faultyStage) Remove(key string) error {
	return f.hook.run(OpRemove, key, func() error { return f.Stage.Remove(key) })
}
