// Command wolkvox-witness cosigns the heads of ledgers for a third party, so that nobody can be shown another history.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/wolkvox/backup/witness/internal/witness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := witness.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
