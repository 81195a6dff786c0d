package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wolkvox/backup"
)

// appendedBytes is a whole number of frames of the sounds that the demo makes, GSM and MP3.
const appendedBytes = 33 * 144 * 4

// changeSealed changes a recording that is sealed and not copied yet: its beginning is appended to it. What was sealed
// cannot be served any more. The server has to notice, withdraw it, and seal what is there now in its place.
func (d *demo) changeSealed(ctx context.Context) error {
	items, err := d.items(ctx)
	if err != nil {
		return err
	}
	for i := len(items) - 1; i >= 0; i-- { // from the last night, which is copied last
		below := strings.TrimPrefix(items[i].sourcePath(), sourceName+"/")
		path := d.path("source", filepath.FromSlash(below))
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			say("wolkvox: %s is changed after it was sealed.", below)
			if err := appendBeginning(path); err != nil {
				return err
			}
			return sleep(ctx, quiet+quiet/2) // what was changed just now would count as still being written
		}
	}
	return errors.New("no file that was sealed can be changed")
}

func appendBeginning(path string) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	beginning, err := io.ReadAll(io.LimitReader(file, appendedBytes))
	if err != nil {
		return err
	}
	_, err = file.Write(beginning)
	return err
}

// startAgent runs the agent as a service does.
func (d *demo) startAgent(ctx context.Context) (err error) {
	d.agent, err = startService(ctx, d.path("agent.log"), d.agentBinary, "run", "--config", d.path("agent.yaml"))
	if err != nil {
		return err
	}
	return d.agent.await(ctx, "the agent to answer", func() bool { return answers(ctx, "unix", d.path("agent", "control.sock")) })
}

// killAgentInTheMiddle starts the transfer, and kills the agent when some recordings are at the destination and others on
// their way.
func (d *demo) killAgentInTheMiddle(ctx context.Context) error {
	say("The client: the agent starts, and copies what is pending.")
	say("  $ wolkvox-agent run &")
	if err := d.startAgent(ctx); err != nil {
		return err
	}
	say("  $ wolkvox-agent run --once")
	copying := make(chan error, 1)
	go func() {
		_, err := d.ask(ctx, "run", "--once")
		copying <- err
	}()
	var there, coming int
	for coming == 0 || 5*(there+coming) < 2*d.count {
		select {
		case err := <-copying:
			if err != nil || !d.chosen {
				return errors.Join(errors.New("the transfer ended before the agent could be killed in the middle"), err)
			}
			say("  The recordings are so few that they arrived before the agent could be killed in the middle.")
			return nil
		case <-d.agent.ended:
			return fmt.Errorf("the agent ended by itself: %w", errors.Join(d.agent.err, <-copying))
		case <-time.After(betweenLooks):
		}
		var err error
		if there, coming, err = d.arrived(); err != nil {
			return err
		}
	}
	if err := d.agent.kill(); err != nil {
		return err
	}
	if err := <-copying; err == nil {
		return errors.New("the transfer succeeded although the agent was killed")
	}
	there, coming, err := d.arrived()
	if err != nil {
		return err
	}
	nights, err := d.nights(ctx)
	if err != nil {
		return err
	}
	say("  Killed the agent (SIGKILL) after %d of %d recordings, with %d more on their way. The ledger says: %d confirmed.",
		there, d.count, coming, sum(nights).Confirmed)
	return nil
}

// arrived counts the files that are at the destination under their names, and those that are being written there.
func (d *demo) arrived() (there, coming int, err error) {
	count := func(n *int) func(string, fs.FileInfo) error {
		return func(string, fs.FileInfo) error { *n++; return nil }
	}
	if err := walkFiles(d.path("destination"), count(&there)); err != nil {
		return 0, 0, err
	}
	err = walkFiles(d.path("destination", backup.OwnPrefix, "staging"), count(&coming))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return there, coming, err
}

// goOn starts the agent again. It knows what it has, and copies the rest.
func (d *demo) goOn(ctx context.Context) error {
	select {
	case <-d.agent.ended:
	default:
		return nil // it was not killed
	}
	say("The client: the agent is started again, and goes on where it was.")
	say("  $ wolkvox-agent run &")
	if err := d.startAgent(ctx); err != nil {
		return err
	}
	say("  $ wolkvox-agent run --once")
	out, err := d.ask(ctx, "run", "--once")
	say("  %s", strings.TrimSpace(string(out)))
	return err
}
