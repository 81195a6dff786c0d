//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// audit has the product copy a tree once, and then reads the copy in turn: the agent's `audit`, which reads every byte, and sha256sum.
func (b *bench) audit(ctx context.Context) (err error) {
	source, err := makeTree(ctx, filepath.Join(b.dir, "source"), b.files, b.meanBytes, b.seed)
	if err != nil {
		return err
	}
	ours, err := startProduct(ctx, b.bin, filepath.Join(b.dir, "product"), source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	if err := b.checkSpace(source, 1); err != nil {
		return err
	}
	to := filepath.Join(b.dir, "copy")
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	copying, err := ours.prepare(ctx, to)
	if err != nil {
		return err
	}
	if _, err := copying(ctx); err != nil {
		return err
	}
	runs := make([][]measured, 2)
	cold := true
	for range b.rounds {
		for i, read := range []func(context.Context) (used, error){ours.audit, func(ctx context.Context) (used, error) { return sha256sum(ctx, to) }} {
			if err := syncFileSystem(b.dir); err != nil {
				return err
			}
			cold = os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0) == nil && cold
			u, err := read(ctx)
			if err != nil {
				return err
			}
			runs[i] = append(runs[i], measured{u, u.wall})
		}
	}
	return reportAudits(os.Stdout, source, cold, runs)
}

// audit reads everything that the last agent has confirmed.
func (p *product) audit(ctx context.Context) (used, error) {
	name := fmt.Sprintf("nas-%d", p.copies)
	u, out, err := measure(ctx, true, filepath.Join(p.bin, "wolkvox-agent"), "audit", name, "--config", filepath.Join(p.dir, name+".yaml"), "--output", "json")
	if err != nil {
		return used{}, err
	}
	var said struct {
		Report struct {
			Counts struct {
				Present int64 `json:"present_count,string"`
			}
		}
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return used{}, err
	}
	if said.Report.Counts.Present != int64(p.source.files) {
		return used{}, fmt.Errorf("the audit found %d of %d files as they were", said.Report.Counts.Present, p.source.files)
	}
	return u, nil
}

// sha256sum hashes all files below a directory that are not the agent's own.
func sha256sum(ctx context.Context, dir string) (used, error) {
	u, out, err := measure(ctx, false, "sh", "-c", `find "$1" -path "$1/.wolkvox" -prune -o -type f -print0 | xargs -0 sha256sum`, "sh", dir)
	if err == nil && !strings.Contains(string(out), dir) {
		err = errors.New("sha256sum found no files")
	}
	return u, err
}

// reportAudits writes what reading took.
func reportAudits(w io.Writer, source tree, cold bool, runs [][]measured) error {
	cache := "with the cache as it was, which could not be emptied"
	if cold {
		cache = "each time from an empty cache"
	}
	ours, theirs := summarize(runs[0]), summarize(runs[1])
	megabytes := float64(source.sizeBytes) / 1e6
	_, err := fmt.Fprintf(w, "reading %d files, %.2f GB, in turn, %d times each, %s: `wolkvox-agent audit` %.2f s (%.0f MB/s, peak anonymous memory %.1f MiB), "+
		"sha256sum %.2f s (%.0f MB/s): x %.2f in seconds, x %.2f in CPU\n\n", source.files, megabytes/1000, len(runs[0]), cache,
		ours.wall, megabytes/ours.wall, ours.peakMebibytes, theirs.wall, megabytes/theirs.wall, ours.wall/theirs.wall, ours.cpu/theirs.cpu)
	return err
}
