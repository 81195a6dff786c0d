//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"time"

	"golang.org/x/sys/unix"
)

// copier is a program that copies one tree.
type copier interface {
	name() string
	// prepare makes ready for copying to an empty directory; what it returns is what is measured.
	prepare(ctx context.Context, to string) (copying func(context.Context) (used, error), err error)
}

// measured is one copy.
type measured struct {
	used
	durable time.Duration // from the start until everything was copied and a sync of the file system had ended
}

// compare copies the same tree in turn by every program.
func (b *bench) compare(ctx context.Context) (err error) {
	source, err := makeTree(ctx, filepath.Join(b.dir, "source"), b.files, b.meanBytes, b.seed)
	if err != nil {
		return err
	}
	daemon, err := startSSHD(ctx, filepath.Join(b.dir, "ssh"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.daemon.stop()) }()
	ours, err := startProduct(ctx, b.bin, filepath.Join(b.dir, "product"), source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	all := map[string]copier{
		programProduct:    ours,
		programRsync:      &rsync{daemon, source, []string{"-a"}},
		programRsyncFsync: &rsync{daemon, source, []string{"-a", "--fsync"}},
	}
	var copiers []copier
	for _, program := range b.programs {
		copiers = append(copiers, all[program])
	}
	runs := make([][]measured, len(copiers))
	for round := range b.rounds {
		for i, c := range copiers {
			m, err := b.copyOnce(ctx, source, c)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", c.name(), round+1, err)
			}
			progress("round %d: %-16s %6.2f s, %6.2f s with sync, %6.2f s CPU", round+1, c.name(), m.wall.Seconds(), m.durable.Seconds(), m.cpu.Seconds())
			runs[i] = append(runs[i], m)
		}
	}
	return reportCopies(os.Stdout, source, copiers, runs)
}

// copyOnce copies the source to a new directory, which is deleted afterwards. Before it begins the source is in the
// cache and nothing waits to be written.
func (b *bench) copyOnce(ctx context.Context, source tree, c copier) (measured, error) {
	to := filepath.Join(b.dir, "copy")
	if err := os.Mkdir(to, 0o755); err != nil {
		return measured{}, err
	}
	copying, err := c.prepare(ctx, to)
	if err != nil {
		return measured{}, err
	}
	if err := source.warm(); err != nil {
		return measured{}, err
	}
	if err := syncFileSystem(b.dir); err != nil {
		return measured{}, err
	}
	began := time.Now()
	u, err := copying(ctx)
	if err != nil {
		return measured{}, err
	}
	if err := syncFileSystem(b.dir); err != nil {
		return measured{}, err
	}
	m := measured{u, time.Since(began)}
	if err := source.check(to); err != nil {
		return measured{}, err
	}
	if err := os.RemoveAll(to); err != nil {
		return measured{}, err
	}
	return m, syncFileSystem(b.dir)
}

func syncFileSystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return nil
}

// memory copies a tree by the product and says how much memory its agent took.
func (b *bench) memory(ctx context.Context, what string, build func(dir string) (tree, error)) (err error) {
	source, err := build(filepath.Join(b.dir, "source"))
	if err != nil {
		return err
	}
	ours, err := startProduct(ctx, b.bin, filepath.Join(b.dir, "product"), source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	m, err := b.copyOnce(ctx, source, ours)
	if err != nil {
		return err
	}
	return reportMemory(os.Stdout, what, source, m)
}
