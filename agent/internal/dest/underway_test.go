package dest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/wolkvox/backup/agent/internal/dest"
)

func TestUnderway(t *testing.T) {
	t.Parallel()
	var u dest.Underway
	if err := u.Wait(t.Context()); err != nil {
		t.Errorf("nothing is under way: %v", err)
	}
	first, later := make(chan struct{}), make(chan struct{})
	ended := false
	u.Go(func() { <-first; ended = true })
	patience, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := u.Wait(patience); !errors.Is(err, enough) {
		t.Errorf("waited for what goes on: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- u.Wait(t.Context()) }()
	u.Go(func() { <-later })
	close(first)
	if err := u.Wait(patience); !errors.Is(err, enough) {
		t.Errorf("the later one is under way: %v", err)
	}
	close(later)
	if err := <-waited; err != nil || !ended {
		t.Errorf("%v, ended %v", err, ended)
	}
}
