//go:build linux

// Command bench measures what the product costs beside what people would otherwise use. It copies the same recordings in
// turn by the built binaries, by `rsync -a` and by `rsync -a --fsync`; to an SFTP server beside `rclone copy` and `sftp -r`, to
// an rsync daemon beside `rsync -a`, to an SMB server beside smbclient and rclone, to an S3 server beside rclone and s5cmd, to an Azure
// emulator beside rclone; has a copy audited beside sha256sum; and samples the agent's memory for nights of
// many small files and of one large file. `make bench` runs it. It asserts that every copy is whole, and nothing about time; it
// measures one machine, and no network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// options is what the command line says.
type options struct {
	parts      []string
	programs   []string
	files      int
	meanBytes  int
	rounds     int
	smallFiles int
	largeBytes int64
	pushFiles  int
	pushSmall  int
	bigFiles   int
	bigBytes   int64
	dir        string
	bin        string
	seed       uint64
}

// The parts.
const (
	partCopy  = "copy"
	partSmall = "small"
	partLarge = "large"
	partSFTP  = "sftp"
	partRsync = "rsync"
	partSMB   = "smb"
	partS3    = "s3"
	partAzure = "azure"
	partAudit = "audit"
)

func allParts() []string {
	return []string{partCopy, partSmall, partLarge, partSFTP, partRsync, partSMB, partS3, partAzure, partAudit}
}

// The programs.
const (
	programProduct    = "wolkvox"
	programRsync      = "rsync"
	programRsyncFsync = "rsync-fsync"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(ctx, o)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	parts := flags.String("part", strings.Join(allParts(), ","), "what to measure, joined by commas")
	programs := flags.String("program", strings.Join([]string{programProduct, programRsync, programRsyncFsync}, ","), "what to compare in the part copy")
	flags.IntVar(&o.files, "files", 20_000, "files to copy in the parts copy and audit")
	flags.IntVar(&o.meanBytes, "mean", 150_000, "their mean size in bytes; sizes are log-normal")
	flags.IntVar(&o.rounds, "rounds", 3, "times that each program copies them")
	flags.IntVar(&o.smallFiles, "small", 200_000, "files in the part small, of 2 kB on average")
	flags.Int64Var(&o.largeBytes, "large", 5<<30, "bytes of the one large file; in the parts sftp, rsync and smb less where the disk has no room")
	flags.IntVar(&o.pushFiles, "push", 2000, "files to copy to the servers of the parts sftp, rsync, smb, s3 and azure")
	flags.IntVar(&o.pushSmall, "pushsmall", 10_000, "files of 2 kB on average to copy to each of them by the product")
	flags.IntVar(&o.bigFiles, "big", 4, "large files that each program copies in the parts s3 and azure")
	flags.Int64Var(&o.bigBytes, "bigbytes", 512<<20, "bytes of each of them; less where the disk has no room for all copies")
	flags.StringVar(&o.dir, "dir", filepath.Join("bin", "bench"), "where sources and copies lie while it runs: on the disk that is to be measured")
	flags.StringVar(&o.bin, "bin", "bin", "where wolkvox-server and wolkvox-agent are")
	flags.Uint64Var(&o.seed, "seed", 1, "of the sizes and contents")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	o.parts = strings.Split(*parts, ",")
	o.programs = strings.Split(*programs, ",")
	for _, chosen := range []struct {
		flag        string
		names, some []string
	}{
		{"-part", o.parts, allParts()},
		{"-program", o.programs, []string{programProduct, programRsync, programRsyncFsync}},
	} {
		for _, name := range chosen.names {
			if !slices.Contains(chosen.some, name) {
				return options{}, fmt.Errorf("%s names %q; give some of %s", chosen.flag, name, strings.Join(chosen.some, ","))
			}
		}
	}
	if flags.NArg() > 0 || o.files < 1 || o.meanBytes < 1 || o.rounds < 1 || o.smallFiles < 1 || o.pushFiles < 1 || o.pushSmall < 1 || o.bigFiles < 1 || o.largeBytes < 1 || o.bigBytes < 1 {
		return options{}, errors.New("give flags only, and numbers above 0; see -help")
	}
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return options{}, err
	}
	o.bin, err = filepath.Abs(o.bin)
	return o, err
}

func run(ctx context.Context, o options) (err error) {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := describeMachine(ctx, os.Stdout, o); err != nil {
		return err
	}
	for _, part := range o.parts {
		b := bench{options: o, dir: filepath.Join(dir, part)}
		if err := os.Mkdir(b.dir, 0o755); err != nil {
			return err
		}
		spread(ctx, b.dir)
		switch part {
		case partCopy:
			err = b.compare(ctx)
		case partSmall:
			err = b.memory(ctx, fmt.Sprintf("%d files of 2 kB on average", o.smallFiles), func(dir string) (tree, error) {
				return makeTree(ctx, dir, o.smallFiles, 2000, o.seed)
			})
		case partLarge:
			err = b.memory(ctx, fmt.Sprintf("one file of %.1f GiB", float64(o.largeBytes)/(1<<30)), func(dir string) (tree, error) {
				return makeLarge(dir, 1, o.largeBytes)
			})
		case partAudit:
			err = b.audit(ctx)
		default:
			err = b.push(ctx, part)
		}
		if err := errors.Join(err, os.RemoveAll(b.dir)); err != nil {
			return fmt.Errorf("part %s: %w", part, err)
		}
	}
	return nil
}

// bench is one part.
type bench struct {
	options
	dir  string
	peer *peer // what is copied to; nil for a folder
}
