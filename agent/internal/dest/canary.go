package dest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/wolkvox/backup"
)

// canaryBytes is how long the contents are that a place is tried with.
const canaryBytes = 4 << 10

// The names that a canary has: below the own folder, and in its staging.
const (
	canaryOwn = "probe"
	canaryKey = "first"
	rivalKey  = "second"
)

// Canary tries at a place, below the own folder, what copying relies upon: writing, making durable, taking a name that is free
// and no other, reading back what is stored, and deleting. Its methods are called in this order by one goroutine; after an
// error only [Canary.Remove] is, which comes last in any case and leaves nothing behind. A process tries a destination once at
// a time.
type Canary struct {
	place   *Place
	content []byte // of the file that gets the name
	rival   []byte // of the one that must not
	stage   Stage
	uploads Uploader // the stage, where each file goes to its own name
	checked bool     // nothing is out of sight at the place itself
	turn    bool     // the store's turn is taken
	named   bool     // the name may be taken
}

// NewCanary returns a canary that has done nothing.
func (p *Place) NewCanary() *Canary {
	c := &Canary{place: p, content: make([]byte, canaryBytes), rival: make([]byte, canaryBytes)}
	rand.Read(c.content) // never fails (crypto/rand)
	rand.Read(c.rival)
	return c
}

// Write stores the contents at the place, out of sight where it can stage.
func (c *Canary) Write(ctx context.Context) error {
	select {
	case c.place.store.trying <- struct{}{}:
		c.turn = true
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p := c.place
	if _, err := p.able.ReadOwn(ctx, canaryOwn); !errors.Is(err, fs.ErrNotExist) {
		if err := p.able.RemoveOwn(ctx, canaryOwn); err != nil {
			return fmt.Errorf("remove what an earlier trial left: %w", err)
		}
	}
	if p.able.stager == nil {
		if err := c.put(ctx, c.content); err != nil {
			return fmt.Errorf("store a file: %w", err)
		}
		return nil
	}
	stage, err := p.able.stager.NewStage(ctx)
	if err != nil {
		return fmt.Errorf("make a staging folder: %w", err)
	}
	c.stage = stage
	_, c.checked = stage.(Checker)
	c.uploads, _ = stage.(Uploader)
	if err := c.write(ctx, canaryKey, c.content); err != nil {
		return err
	}
	if c.uploads == nil { // otherwise it could be the first to have the name
		if err := c.write(ctx, rivalKey, c.rival); err != nil {
			return err
		}
	}
	if !c.checked {
		return nil
	}
	if err := stage.Sync(ctx); err != nil {
		return fmt.Errorf("gather files to be sent: %w", err)
	}
	if err := c.publish(ctx, canaryKey); err != nil {
		return fmt.Errorf("send a file: %w", err)
	}
	return nil
}

func (c *Canary) write(ctx context.Context, key string, content []byte) error {
	file, err := c.create(ctx, key, content)
	if err != nil {
		return fmt.Errorf("create a file: %w", err)
	}
	if _, err := file.Write(content); err != nil {
		return errors.Join(fmt.Errorf("write a file: %w", err), file.Discard())
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("close a file: %w", err)
	}
	return nil
}

func (c *Canary) create(ctx context.Context, key string, content []byte) (StagedFile, error) {
	if c.uploads == nil {
		return c.stage.Create(ctx, key, int64(len(content)))
	}
	c.named = true
	want := backup.Digest{SHA256: sha256.Sum256(content), SizeBytes: int64(len(content))}
	return c.uploads.Upload(ctx, key, backup.OwnPrefix+"/"+canaryOwn, want)
}

// Sync makes what was written durable.
func (c *Canary) Sync(ctx context.Context) error {
	if c.stage == nil || c.checked { // what was stored is durable already, or is when its name is
		return nil
	}
	if err := c.stage.Sync(ctx); err != nil {
		return fmt.Errorf("make files durable: %w", err)
	}
	return nil
}

// Rename makes the file take its name, and makes sure that another one cannot take it afterwards.
func (c *Canary) Rename(ctx context.Context) error {
	if c.stage == nil {
		if err := c.put(ctx, c.rival); !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("store a file only if absent: got %w where the name is taken", orNoError(err))
		}
		return nil
	}
	if !c.checked {
		if err := c.publish(ctx, canaryKey); err != nil {
			return fmt.Errorf("rename a file without replacing: %w", err)
		}
	}
	if c.uploads != nil {
		if err := c.write(ctx, rivalKey, c.rival); err != nil {
			return err
		}
		if err := c.stage.Sync(ctx); err != nil {
			return fmt.Errorf("send a second file: %w", err)
		}
	}
	if err := c.publish(ctx, rivalKey); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("rename a file without replacing: got %w where the name is taken", orNoError(err))
	}
	if err := c.stage.SyncNames(ctx); err != nil {
		return fmt.Errorf("make names durable: %w", err)
	}
	return nil
}

// ReadBack reads what is stored under the name and compares it. It is [ErrReadBack] where it differs.
func (c *Canary) ReadBack(ctx context.Context) error {
	got, err := c.place.able.ReadOwn(ctx, canaryOwn)
	if err != nil {
		return fmt.Errorf("read back what was stored: %w", err)
	}
	if !bytes.Equal(got, c.content) {
		return fmt.Errorf("%w: %d bytes were stored, and %d came back", ErrReadBack, len(c.content), len(got))
	}
	return nil
}

// Remove deletes all that was made, whatever came before. It may be called again, and does not end with ctx alone: a caller
// that was called off passes one that goes on.
func (c *Canary) Remove(ctx context.Context) error {
	var errs []error
	if c.stage != nil {
		if err := c.stage.Discard(); err != nil {
			errs = append(errs, fmt.Errorf("delete staged files: %w", err))
		} else {
			c.stage = nil
		}
	}
	if c.named {
		if err := c.place.able.RemoveOwn(ctx, canaryOwn); err != nil {
			errs = append(errs, fmt.Errorf("delete a file: %w", err))
		} else if _, err := c.place.able.ReadOwn(ctx, canaryOwn); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("delete a file: it was deleted, and looking for it gave %w", orNoError(err)))
		} else {
			c.named = false
		}
	}
	if c.turn {
		c.turn = false
		<-c.place.store.trying
	}
	return errors.Join(errs...)
}

func (c *Canary) publish(ctx context.Context, key string) error {
	c.named = true
	return c.stage.Publish(ctx, []Move{{Key: key, Name: backup.OwnPrefix + "/" + canaryOwn}})[0]
}

func (c *Canary) put(ctx context.Context, content []byte) error {
	c.named = true
	return c.place.driver.Put(ctx, backup.OwnPrefix+"/"+canaryOwn, bytes.NewReader(content), int64(len(content)), Absent)
}

// try lets a canary do all that it does.
func (p *Place) try(ctx context.Context) (err error) {
	c := p.NewCanary()
	defer func() { err = errors.Join(err, c.Remove(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context) error{c.Write, c.Sync, c.Rename, c.ReadBack} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errNone = errors.New("no error")

// orNoError puts words where an error was due and none came.
func orNoError(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// Reach opens a handle without looking at the marker, for a caller who looks at it before anything else. The error is
// [ErrUnreachable] or that of ctx. The caller closes the Place.
func (s *Store) Reach(ctx context.Context) (*Place, error) { return s.handle(ctx) }

// TakesOver reports whether a place that carries a foreign marker will be made this log's when it is opened; see
// [Store.Continue].
func (s *Store) TakesOver(err error) bool {
	foreign, ok := errors.AsType[*ForeignMarkerError](err)
	return ok && s.previous != nil && foreign.Found == s.previous()
}
