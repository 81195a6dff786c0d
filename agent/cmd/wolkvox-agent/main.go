// Command wolkvox-agent copies a client's recordings from wolkvox to the client's own storage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // Windows and small containers have no zone database

	"github.com/wolkvox/backup/agent"
	"github.com/wolkvox/backup/agent/internal/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program even where a destination hangs
	status := command.Run(ctx, open, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func open(o command.Options) (command.Agent, error) { return agent.Open(agent.Options(o)) }
