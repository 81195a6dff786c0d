package dest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/wolkvox/backup"
)

// Batch is a set of files that are staged, made durable, read back and published together. [Batch.Stage], and the
// files it returns, may be used from several goroutines at once; Sync, Verify, Publish and Discard are called
// from one. Sync begins a round with what is committed by then, Verify and Publish go on with it.
type Batch struct {
	place *Place
	stage Stage

	mu     sync.Mutex // guards what follows, and the state of every file
	files  map[*Staged]struct{}
	next   int   // number of the next staged file
	broken error // why the batch is unknown
}

// Result is what became of one file.
type Result struct {
	Name    string
	Digest  backup.Digest // the wanted one
	Method  backup.Method // how what is stored was compared
	Adopted bool          // an equal file was already there
	Err     error         // nil: complete, compared, and visible; see the package comment
}

// judge compares what lies under the name with what is wanted.
func (r *Result) judge(found Found) {
	r.Method = found.Method
	switch {
	case found.Err != nil:
		r.Err = found.Err
	case found.Digest == r.Digest:
	case r.Adopted:
		r.Err = fmt.Errorf("%w: %q is %v, wanted is %v", ErrConflict, r.Name, found.Digest, r.Digest)
	default:
		r.Err = fmt.Errorf("%w: %q is %v, wanted is %v", ErrReadBack, r.Name, found.Digest, r.Digest)
	}
	r.Adopted = r.Adopted && r.Err == nil
}

// Begin starts a batch on this handle. It is errors.ErrUnsupported where the place cannot stage; then
// [Place.Put] is the way. The caller discards the batch before closing the place.
func (p *Place) Begin(ctx context.Context) (*Batch, error) {
	if p.able.stager == nil {
		return nil, fmt.Errorf("stage files at %s: %w", p.store.label, errors.ErrUnsupported)
	}
	stage, err := p.able.stager.NewStage(ctx)
	if err != nil {
		return nil, fmt.Errorf("make a staging folder at %s: %w", p.store.label, err)
	}
	return &Batch{place: p, stage: stage, files: make(map[*Staged]struct{})}, nil
}

// Stage begins a file that shall become visible as name and have the wanted contents. A name that cannot be used
// is [ErrName], and nothing was touched.
func (b *Batch) Stage(ctx context.Context, name string, want backup.Digest) (*Staged, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	b.mu.Lock()
	err := b.unknown()
	b.next++
	number := b.next
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%x-%d", want.SHA256, number)
	file, err := b.create(ctx, key, name, want)
	if err != nil {
		return nil, fmt.Errorf("stage %q: %w", name, err)
	}
	s := &Staged{batch: b, number: number, name: name, want: want, key: key, file: file, sum: sha256.New()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.unknown(); err != nil {
		return nil, errors.Join(err, file.Discard())
	}
	b.files[s] = struct{}{}
	return s, nil
}

func (b *Batch) create(ctx context.Context, key, name string, want backup.Digest) (StagedFile, error) {
	if uploader, ok := b.stage.(Uploader); ok {
		return uploader.Upload(ctx, key, name, want)
	}
	return b.stage.Create(ctx, key, want.SizeBytes)
}

// Sync makes the contents of all files committed before the call durable, out of sight (step 4). After an error
// the whole batch is unknown.
func (b *Batch) Sync(ctx context.Context) error {
	round, err := b.inState(committed)
	if err != nil || len(round) == 0 {
		return err
	}
	if err := b.stage.Sync(ctx); err != nil {
		return b.fail(fmt.Errorf("sync %d staged files at %s: %w", len(round), b.place.store.label, err))
	}
	b.setState(round, synced)
	return nil
}

// Verify reads back what was synced, as far as possible past the caches, and compares it with what is wanted
// (step 5). Files that differ or cannot be read are not published; their results say so. The error of Verify
// itself is that of ctx, after which it may be called again, or ErrBroken.
func (b *Batch) Verify(ctx context.Context) error {
	round, err := b.inState(synced)
	if err != nil {
		return err
	}
	if _, ok := b.stage.(Uploader); ok { // what is stored is compared after publishing
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, s := range round {
			s.result = Result{Name: s.name, Digest: s.want}
		}
		b.setState(round, verified)
		return nil
	}
	return Parallel(ctx, len(round), workers, func(i int) {
		s := round[i]
		found := Found{Name: s.name}
		r, err := b.stage.Open(ctx, s.key)
		if err == nil {
			found.Digest, found.Method, err = sumAndClose(ctx, r)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			found.Err = fmt.Errorf("read back %q before publishing: %w", s.name, err)
		}
		s.result = Result{Name: s.name, Digest: s.want}
		s.result.judge(found)
		b.setState([]*Staged{s}, verified)
	})
}

// Publish makes the verified files visible under their names, never replacing anything, makes the names durable
// (step 6), and returns what became of every file that was synced and verified since the last Publish. A name that
// is taken by an equal file is a success (adopted); by anything else, [ErrConflict]. After an error of Publish
// itself the batch is unknown and nothing may be confirmed; what became visible will be found by its hash.
func (b *Batch) Publish(ctx context.Context) ([]Result, error) {
	round, err := b.inState(verified)
	if err != nil || len(round) == 0 {
		return nil, err
	}
	if err := b.place.CheckMarker(ctx); err != nil {
		return nil, b.fail(fmt.Errorf("publish %d files: %w", len(round), err))
	}
	if err := b.publish(ctx, round); err != nil {
		return nil, b.fail(fmt.Errorf("publish %d files at %s: %w", len(round), b.place.store.label, err))
	}
	results := make([]Result, len(round))
	b.mu.Lock()
	for i, s := range round {
		results[i] = s.result
		delete(b.files, s)
	}
	b.mu.Unlock()
	return results, nil
}

func (b *Batch) publish(ctx context.Context, round []*Staged) error {
	var moving []*Staged
	var moves []Move
	for _, s := range round {
		if s.result.Err == nil {
			moving = append(moving, s)
			moves = append(moves, Move{Key: s.key, Name: s.name})
		}
	}
	if len(moves) > 0 {
		var taken, made []*Staged
		for i, err := range b.stage.Publish(ctx, moves) {
			if errors.Is(err, fs.ErrExist) && !errors.Is(err, ErrConflict) {
				taken = append(taken, moving[i])
			} else if err != nil {
				moving[i].result.Err = fmt.Errorf("publish %q: %w", moving[i].name, err)
			} else {
				made = append(made, moving[i])
			}
		}
		if err := b.settle(ctx, made); err != nil {
			return err
		}
		if err := b.adopt(ctx, taken); err != nil {
			return err
		}
	}
	for _, s := range round {
		if s.result.Err != nil || s.result.Adopted {
			if err := b.stage.Remove(s.key); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove a staged file that is not needed: %w", err)
			}
		}
	}
	return nil
}

// settle makes the names of what was published durable, and meanwhile compares it where that is due.
func (b *Batch) settle(ctx context.Context, made []*Staged) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	synced := make(chan error, 1)
	go func() {
		err := b.stage.SyncNames(ctx)
		if err != nil {
			cancel(err) // there is no use in comparing
		}
		synced <- err
	}()
	checked := b.check(ctx, made)
	return cmp.Or(<-synced, checked)
}

// check compares what was published where the stage itself is not at the destination, and moves aside what differs.
func (b *Batch) check(ctx context.Context, made []*Staged) error {
	checker, ok := b.stage.(Checker)
	if !ok || len(made) == 0 {
		return nil
	}
	moves := make([]Move, len(made))
	for i, s := range made {
		moves[i] = Move{Key: s.key, Name: s.name}
	}
	checked, err := checker.Check(ctx, moves)
	if err != nil {
		return fmt.Errorf("compare what was published: %w", err)
	}
	for i, s := range made {
		s.result.Method, s.result.Err = checked[i].Method, checked[i].Err
		if !errors.Is(s.result.Err, ErrReadBack) {
			continue
		}
		if _, err := b.place.MoveAside(ctx, s.name, hex.EncodeToString(s.want.SHA256[:])); err != nil {
			s.result.Err = errors.Join(s.result.Err, err)
		}
	}
	return nil
}

// adopt looks at what has the names of the files in taken.
func (b *Batch) adopt(ctx context.Context, taken []*Staged) error {
	if len(taken) == 0 {
		return nil
	}
	names := make([]string, len(taken))
	for i, s := range taken {
		names[i] = s.name
	}
	found, err := b.place.Hash(ctx, names)
	if err != nil {
		return err
	}
	for i, s := range taken {
		s.result.Adopted = true
		s.result.judge(found[i])
		if errors.Is(found[i].Err, fs.ErrNotExist) {
			s.result.Err = fmt.Errorf("publish %q: the name was taken, and then was not", s.name)
		}
	}
	return nil
}

// Discard deletes the batch's staging and everything in it that was not published, whatever its state. It may be
// called after anything, and again; no goroutine may still be writing.
func (b *Batch) Discard() error {
	b.mu.Lock()
	files := b.files
	b.files = nil
	if b.broken == nil {
		b.broken = errors.New("it was discarded")
	}
	b.mu.Unlock()
	if files == nil {
		return nil
	}
	var errs []error
	for s := range files {
		if s.state == writing {
			errs = append(errs, s.file.Discard())
		}
	}
	errs = append(errs, b.stage.Discard())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("discard staging at %s: %w", b.place.store.label, err)
	}
	return nil
}

// fail records that the batch is unknown, and why.
func (b *Batch) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken = err
	}
	return err
}

// unknown returns why no further call is possible; b.mu is held.
func (b *Batch) unknown() error {
	if b.broken == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrBroken, b.broken)
}

// inState returns the files in one state, in the order in which they were begun.
func (b *Batch) inState(state fileState) ([]*Staged, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.unknown(); err != nil {
		return nil, err
	}
	var files []*Staged
	for s := range b.files {
		if s.state == state {
			files = append(files, s)
		}
	}
	slices.SortFunc(files, func(s, t *Staged) int { return s.number - t.number })
	return files, nil
}

func (b *Batch) setState(files []*Staged, state fileState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range files {
		s.state = state
	}
}
