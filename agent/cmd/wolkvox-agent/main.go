// Command wolkvox-agent copies a client's recordings from wolkvox to the client's own storage.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // Windows and small containers have no zone database

	"github.com/wolkvox/backup/agent"
	"github.com/wolkvox/backup/agent/internal/command"
)

// gcPercent is how much garbage there may be for what is in use: the agent runs beside other things, and makes little.
const gcPercent = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program even where a destination hangs
	status := command.Run(ctx, open, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func open(o command.Options) (command.Agent, error) { return agent.Open(agent.Options(o)) }
