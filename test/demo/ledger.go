package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// item is a recording as the server lists it.
type item struct {
	Manifest   int64  `json:"manifest"`
	Path       string `json:"path"`
	SourcePath string `json:"source_path"`
	SHA256     string `json:"sha256"`
	SizeBytes  int64  `json:"size_bytes"`
	State      string `json:"state"`
}

// sourcePath begins with the name of the source.
func (i item) sourcePath() string {
	if i.SourcePath != "" {
		return i.SourcePath
	}
	return i.Path
}

// items returns the recordings that the ledger knows, by manifest.
func (d *demo) items(ctx context.Context) ([]item, error) {
	out, err := d.operate(ctx, "items", tenantName, destinationName, "--output", "json")
	if err != nil {
		return nil, err
	}
	var items []item
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var i item
		if err := decoder.Decode(&i); errors.Is(err, io.EOF) {
			return items, nil
		} else if err != nil {
			return nil, fmt.Errorf("understand the list of items: %w", err)
		}
		items = append(items, i)
	}
}

// counts are numbers of items by state.
type counts struct {
	Pending   int64 `json:"pending_count"`
	Confirmed int64 `json:"confirmed_count"`
	Expired   int64 `json:"expired_count"`
	Waived    int64 `json:"waived_count"`
	Withdrawn int64 `json:"withdrawn_count"`
}

// night is a manifest as the server lists it.
type night struct {
	Manifest  int64     `json:"manifest"`
	Night     string    `json:"night"`
	ItemCount int64     `json:"item_count"`
	Deadline  time.Time `json:"deadline_time"`
	Counts    counts    `json:"counts"`
}

func (d *demo) nights(ctx context.Context) ([]night, error) {
	var list struct {
		Nights []night `json:"nights"`
	}
	err := d.operateJSON(ctx, &list, "nights", tenantName, destinationName)
	return list.Nights, err
}

func sum(nights []night) (all counts) {
	for _, n := range nights {
		all.Pending += n.Counts.Pending
		all.Confirmed += n.Counts.Confirmed
		all.Expired += n.Counts.Expired
		all.Waived += n.Counts.Waived
		all.Withdrawn += n.Counts.Withdrawn
	}
	return all
}

// head is the size of a log and its root hash.
type head struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

func (h head) String() string { return fmt.Sprintf("%d %s", h.Size, h.Root) }

// report is what one side says after it has folded its ledger from nothing.
type report struct {
	Position  head     `json:"position"`
	Agreed    head     `json:"agreed"`
	ItemCount int64    `json:"item_count"`
	Problems  []string `json:"problems"`
}

func (d *demo) verifyServer(ctx context.Context) (r report, err error) {
	err = d.operateJSON(ctx, &r, "ledger", "verify", tenantName, destinationName)
	return r, err
}

func (d *demo) verifyAgent(ctx context.Context) (r report, err error) {
	out, err := d.ask(ctx, "ledger", "verify", "--output", "json")
	if err != nil {
		return report{}, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return report{}, fmt.Errorf("understand the agent's report: %w", err)
	}
	return r, nil
}
