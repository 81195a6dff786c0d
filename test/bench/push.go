//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// push copies to a server that stands where a client's would: the product and others in turn, and then what the agent's memory
// is for many small files and for a large one.
func (b *bench) push(ctx context.Context, part string) error {
	for _, step := range []struct {
		what  string
		build func(dir string) (tree, error)
		all   bool // all programs, not the product alone
	}{
		{fmt.Sprintf("%d files", b.pushFiles), func(dir string) (tree, error) { return makeTree(ctx, dir, b.pushFiles, b.meanBytes, b.seed) }, true},
		{fmt.Sprintf("%d files of 2 kB on average", b.pushSmall), func(dir string) (tree, error) { return makeTree(ctx, dir, b.pushSmall, 2000, b.seed) }, false},
		{"one large file", func(dir string) (tree, error) { return b.makeLarge(dir) }, false},
	} {
		if err := b.pushStep(ctx, part, step.what, step.build, step.all); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (b *bench) pushStep(ctx context.Context, part, what string, build func(dir string) (tree, error), all bool) (err error) {
	dir, err := os.MkdirTemp(b.dir, "step-")
	if err != nil {
		return err
	}
	step := bench{b.options, filepath.Join(dir, "served")}
	if err := os.Mkdir(step.dir, 0o755); err != nil {
		return err
	}
	spread(ctx, step.dir)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, err := build(filepath.Join(dir, "source"))
	if err != nil {
		return err
	}
	p, err := startPeer(ctx, part, filepath.Join(dir, "peer"), step.dir, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.service.stop()) }()
	ours, err := startProduct(ctx, b.bin, filepath.Join(dir, "product"), source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	ours.peer = p
	if !all {
		m, err := step.copyOnce(ctx, source, ours)
		if err != nil {
			return err
		}
		return reportMemory(os.Stdout, part+": "+what, source, m)
	}
	copiers := append([]copier{ours}, p.copiers...)
	if err := step.checkSpace(source, b.rounds*len(copiers)); err != nil {
		return err
	}
	fmt.Printf("%s: ", part)
	return step.inTurn(ctx, source, copiers)
}

// makeLarge makes the large file: as large as it is wanted, or smaller where there is no room for it, a spool and its copy.
func (b *bench) makeLarge(dir string) (tree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(b.dir, &st); err != nil {
		return tree{}, fmt.Errorf("statfs %s: %w", b.dir, err)
	}
	return makeLarge(dir, min(b.largeBytes, int64(st.Bavail)*st.Frsize/4))
}
