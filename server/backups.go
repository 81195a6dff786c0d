package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/wolkvox/backup/server/internal/registry"
)

const (
	// staleAfter is the age from which on the last backup is too old: it is meant to be made every night.
	staleAfter = 48 * time.Hour
	// complainEvery is how often is looked whether there is a recent backup.
	complainEvery = 6 * time.Hour
)

// watchBackups warns, now and every few hours, until ctx ends, where no recent backup exists.
func watchBackups(ctx context.Context, reg *registry.Registry, log *slog.Logger) error {
	ticker := time.NewTicker(complainEvery)
	defer ticker.Stop()
	for {
		if complaint, attrs := backupComplaint(reg, time.Now()); complaint != "" {
			log.LogAttrs(ctx, slog.LevelWarn, complaint, attrs...)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// backupComplaint says what is wrong with the last backup, if anything is; a server without destinations has nothing
// to lose.
func backupComplaint(reg *registry.Registry, at time.Time) (complaint string, attrs []slog.Attr) {
	destinations, err := reg.Destinations("")
	if err != nil || len(destinations) == 0 {
		return "", nil
	}
	last, made, err := reg.LastBackup()
	switch {
	case err != nil:
		return "last backup not known", []slog.Attr{slog.Any("error", err)}
	case !made:
		return "no backup was ever made; run `wolkvox-server backup` every night", nil
	case at.Sub(last.At) > staleAfter:
		return "the last backup is old; run `wolkvox-server backup` every night", []slog.Attr{slog.Time("last", last.At), slog.Duration("age", at.Sub(last.At).Round(time.Minute))}
	}
	return "", nil
}
