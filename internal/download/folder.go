package download

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup"
)

// getsAtOnce is how many files of a folder are fetched at once, so that small ones do not wait for the line in turn.
const getsAtOnce = 4

// Total is what became of the files of a folder.
type Total struct {
	Files        int   // that are there now, whole
	AlreadyFiles int   // of them, those that were there before
	Failed       int   // that are not there, for a reason of their own
	FetchedBytes int64 // what came now
}

// GetFolder gets all that is stored in a folder and below it, all of the place where it is empty, as [Place.Get] does with
// each file; calling it again goes on. each is told of every file, by one goroutine at a time. What one file alone is to blame
// for, such as another file with its name, does not keep the others from coming; after any other error no more is begun.
func (p Place) GetFolder(ctx context.Context, folder, dir string, each func(name string, got Got, err error) error) (Total, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	names := make(chan string)
	var group sync.WaitGroup
	var mu sync.Mutex // guards total and the calls of each
	var total Total
	for range getsAtOnce {
		group.Go(func() {
			for name := range names {
				got, err := p.Get(ctx, name, dir)
				if err != nil && !ofFile(err) {
					stop(err)
					continue
				}
				mu.Lock()
				total.add(got, err)
				if err := each(name, got, err); err != nil {
					stop(err)
				}
				mu.Unlock()
			}
		})
	}
	var err error
	for file, listErr := range p.List(ctx, folder) {
		if listErr != nil {
			err = fmt.Errorf("list %q: %w", folder, listErr)
			break
		}
		select {
		case names <- file.GetName():
			continue
		case <-ctx.Done():
		}
		break
	}
	close(names)
	group.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return total, err
}

func (t *Total) add(got Got, err error) {
	t.FetchedBytes += got.FetchedBytes
	switch {
	case err != nil:
		t.Failed++
	case got.Already:
		t.AlreadyFiles++
		fallthrough
	default:
		t.Files++
	}
}

// ofFile reports whether one file alone is to blame.
func ofFile(err error) bool {
	return errors.Is(err, fs.ErrExist) || errors.Is(err, backup.ErrDigest) || status.Code(err) == codes.NotFound
}

// Err is nil where all files are there.
func (t Total) Err() error {
	if t.Failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d files did not come; see above why, and get them again after that", t.Failed, t.Failed+t.Files)
}

// Sentence returns t for a person.
func (t Total) Sentence() string {
	return fmt.Sprintf("%d files are there, %d of them were before; %d bytes were fetched now", t.Files, t.AlreadyFiles, t.FetchedBytes)
}

// Failure is a file of a folder that did not come, as commands write it with --output json.
type Failure struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}
