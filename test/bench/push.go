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

// pushStep is one tree that is copied to a server.
type pushStep struct {
	what  string
	build func(dir string) (tree, error)
	all   bool // by all programs, not by the product alone
}

// push copies to a server that stands where a client's would: the product and others in turn, and then what the agent's memory
// is for many small files and for a large one. To an object store, which takes large files in parts, the others copy some too.
func (b *bench) push(ctx context.Context, part string) error {
	steps := []pushStep{
		{fmt.Sprintf("%d files", b.pushFiles), func(dir string) (tree, error) { return makeTree(ctx, dir, b.pushFiles, b.meanBytes, b.seed) }, true},
		{fmt.Sprintf("%d files of 2 kB on average", b.pushSmall), func(dir string) (tree, error) { return makeTree(ctx, dir, b.pushSmall, 2000, b.seed) }, false},
	}
	if part == partS3 || part == partAzure {
		const programs = 3 // at most
		steps = append(steps, pushStep{fmt.Sprintf("%d large files", b.bigFiles), func(dir string) (tree, error) {
			return b.makeLarge(dir, b.bigFiles, b.bigBytes, 2*programs*b.rounds)
		}, true})
	} else {
		steps = append(steps, pushStep{"one large file", func(dir string) (tree, error) { return b.makeLarge(dir, 1, b.largeBytes, 4) }, false})
	}
	for _, step := range steps {
		if err := b.pushOne(ctx, part, step); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (b *bench) pushOne(ctx context.Context, part string, s pushStep) (err error) {
	dir, err := os.MkdirTemp(b.dir, "step-")
	if err != nil {
		return err
	}
	step := bench{options: b.options, dir: filepath.Join(dir, "served")}
	if err := os.Mkdir(step.dir, 0o755); err != nil {
		return err
	}
	spread(ctx, step.dir)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	source, err := s.build(filepath.Join(dir, "source"))
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
	ours.peer, step.peer = p, p
	if !s.all {
		m, err := step.copyOnce(ctx, source, ours)
		if err != nil {
			return err
		}
		return reportMemory(os.Stdout, part+": "+s.what, source, m)
	}
	copiers := append([]copier{ours}, p.copiers...)
	if err := step.checkSpace(source, b.rounds*len(copiers)); err != nil {
		return err
	}
	fmt.Printf("%s: ", part)
	return step.inTurn(ctx, source, copiers)
}

// makeLarge makes large files: as large as they are wanted, or smaller where there is no room for so many copies of them.
func (b *bench) makeLarge(dir string, files int, wantedBytes int64, copies int) (tree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(b.dir, &st); err != nil {
		return tree{}, fmt.Errorf("statfs %s: %w", b.dir, err)
	}
	return makeLarge(dir, files, min(wantedBytes, int64(st.Bavail)*st.Frsize/int64(files*copies)))
}
