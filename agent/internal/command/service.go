package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/wolkvox/backup/agent/internal/config"
	"github.com/wolkvox/backup/agent/internal/control"
	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// withAgent asks the running service. Where none answers it opens the agent's state itself and is the service until use
// returns: with all parts at work where online, otherwise only to answer.
func (p *program) withAgent(ctx context.Context, online bool, use func(context.Context, backupv1.AgentServiceClient) error) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	conn, err := control.Dial(ctx, c.Socket)
	if errors.Is(err, control.ErrNoService) {
		return p.beAgent(ctx, c, online, use)
	}
	if err != nil {
		return err
	}
	return ask(ctx, conn, use)
}

func ask(ctx context.Context, conn *grpc.ClientConn, use func(context.Context, backupv1.AgentServiceClient) error) error {
	return both(use(ctx, backupv1.NewAgentServiceClient(conn)), conn.Close())
}

// both joins two errors, and leaves one alone as it is.
func both(err, other error) error {
	switch {
	case err == nil:
		return other
	case other == nil:
		return err
	}
	return errors.Join(err, other)
}

func (p *program) beAgent(ctx context.Context, c config.Config, online bool, use func(context.Context, backupv1.AgentServiceClient) error) (err error) {
	options := p.options(c, slog.LevelError)
	options.ForCommand = true
	a, err := p.open(options)
	if err != nil {
		return err
	}
	defer func() { err = both(err, a.Close()) }()
	listener, err := control.Listen(c.Socket, c.SocketGroup)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		var err error
		if online {
			err = a.Run(serving, listener)
		} else {
			err = a.Serve(serving, listener)
		}
		if err != nil {
			stop(err)
		}
		ended <- err
	}()
	defer func() {
		stop(nil)
		if served := <-ended; served != nil {
			err = served
		}
	}()
	conn, err := control.Dial(serving, c.Socket)
	if err != nil {
		return err
	}
	return ask(serving, conn, use)
}

// sentence is what a person reads of an error: of one that crossed gRPC only its message.
func sentence(err error) string {
	if s, ok := status.FromError(err); ok && err != nil {
		return s.Message()
	}
	return fmt.Sprint(err)
}
