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
	if err := b.checkSpace(source, b.rounds*len(copiers)); err != nil {
		return err
	}
	return b.inTurn(ctx, source, copiers)
}

// inTurn has each program copy the source in each round, and reports.
func (b *bench) inTurn(ctx context.Context, source tree, copiers []copier) error {
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

// copyOnce copies the source to a new directory. Before it begins the source is in the cache and nothing waits to be
// written. The copy stays until the part ends: see spread.
func (b *bench) copyOnce(ctx context.Context, source tree, c copier) (measured, error) {
	to, err := os.MkdirTemp(b.dir, "copy-")
	if err != nil {
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
	if b.peer == nil || b.peer.holds == nil {
		return m, source.check(to)
	}
	found, err := b.peer.holds(ctx, to)
	if err != nil {
		return measured{}, err
	}
	return m, source.same(found)
}

// spread has the folders made in dir start in different parts of the disk, where ext4 would put them near each other:
// it does not use the inodes of deleted files again for minutes, and looks at each of them whenever it makes a file
// near them. What was deleted before a copy would slow that copy down.
func spread(ctx context.Context, dir string) {
	if _, err := command(ctx, "chattr", "+T", dir); err != nil {
		progress("%s is not on ext4, or cannot be told to spread its folders: %v", dir, err)
	}
}

// checkSpace makes sure that there is room for some copies of the source.
func (b *bench) checkSpace(source tree, copies int) error {
	var st unix.Statfs_t
	if err := unix.Statfs(b.dir, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", b.dir, err)
	}
	free, wanted := int64(st.Bavail)*st.Frsize, source.sizeBytes*int64(copies)*11/10
	if free < wanted {
		return fmt.Errorf("%s has %.0f GB free and %d copies need %.0f GB: name another place with -dir, or fewer -rounds or -files",
			b.dir, float64(free)/1e9, copies, float64(wanted)/1e9)
	}
	return nil
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
