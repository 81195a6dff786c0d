// Command demo runs nights of a tenant on this machine, with the real programs: it starts a server and an agent,
// seals recordings, kills the agent in the middle, changes a file that was sealed, and has everything checked. It ends
// well only if every recording is confirmed, equal at the destination, and both sides agree; so it is a test, too.
//
// It wants wolkvox-server and wolkvox-agent in bin/ below the current directory, and takes the recordings from the
// directory that the environment variable RECORDINGS names, or makes some. It needs no network but the loopback.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv("RECORDINGS"))
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run is the demo from top to bottom. Recordings is the directory that they are copied from; empty to make some.
func run(ctx context.Context, recordings string) (err error) {
	d, err := newDemo()
	if err != nil {
		return err
	}
	defer func() {
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case err != nil && d.server != nil:
			err = fmt.Errorf("%w\nsee %s and %s", err, d.path("server.log"), d.path("agent.log"))
		}
		d.stop()
	}()
	say("Everything of this demo lies in %s.", d.dir)

	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return d.provide(ctx, recordings) },
		d.startServer,
		d.register,
		d.enroll,
		d.seal,
		d.changeSealed,
		d.killAgentInTheMiddle,
		d.goOn,
		d.compareFiles,
		d.verifyBothSides,
		d.verifyAlone,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	result, err := d.result(ctx)
	if err != nil {
		return err
	}
	d.stop()
	d.invite()
	return result.show(os.Stdout)
}

// say tells the person who watches what happens, and why.
func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }
