// Command wolkvox-server runs and operates the wolkvox side of the nightly copies.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the tenants' zones, whatever the machine has

	"github.com/wolkvox/backup/server"
	"github.com/wolkvox/backup/server/internal/operator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	commands := operator.Server{Init: server.Init, CreateCredential: server.CreateCredential, Restore: server.Restore, Run: server.Run}
	status := operator.Main(ctx, commands, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
