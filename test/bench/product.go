//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// product is a running wolkvox-server with one tenant and one source, to be copied by a new wolkvox-agent each time.
type product struct {
	bin      string
	dir      string // of all state
	sockets  string // a short path: those of sockets are bounded
	source   tree
	server   *service
	operator []string // the flags of operator's commands
	copies   int
	peer     *peer // where it copies to; nil for a folder
}

const tenantName, sourceName = "acme", "calls"

// startProduct sets up and starts a server that serves source.
func startProduct(ctx context.Context, bin, dir string, source tree) (p *product, err error) {
	sockets, err := os.MkdirTemp("", "wolkvox-bench-")
	if err != nil {
		return nil, err
	}
	p = &product{bin: bin, dir: dir, sockets: sockets, source: source}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	state, config := filepath.Join(dir, "server"), filepath.Join(dir, "server.yaml")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return p, err
	}
	text := fmt.Sprintf("state_dir: %q\nlisten: 127.0.0.1:0\nnames: [127.0.0.1]\nlog_level: warn\n", state)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return p, err
	}
	program := filepath.Join(bin, "wolkvox-server")
	if _, err := command(ctx, program, "init", "--config", config); err != nil {
		return p, err
	}
	if p.server, err = startService(filepath.Join(dir, "server.log"), program, "serve", "--config", config); err != nil {
		return p, err
	}
	address, err := waitForFile(ctx, filepath.Join(state, "address"))
	if err != nil {
		return p, fmt.Errorf("the server does not start, see %s: %w", p.server.log, err)
	}
	p.operator = []string{"--credential", filepath.Join(state, "operator.pem"), "--server", strings.TrimSpace(address)}
	if _, err := p.operate(ctx, "tenant", "add", tenantName, "--time-zone", "UTC", "--quiet", "1s"); err != nil {
		return p, err
	}
	_, err = p.operate(ctx, "source", "add", tenantName, sourceName, "--directory", source.dir)
	return p, err
}

// waitForFile returns the contents of a file once there are any.
func waitForFile(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		text, err := os.ReadFile(path)
		if err == nil && len(text) > 0 {
			return string(text), nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return "", errors.Join(context.Cause(ctx), err)
		}
	}
}

func (p *product) stop() error {
	err := os.RemoveAll(p.sockets)
	if p.server != nil {
		err = errors.Join(err, p.server.stop())
	}
	return err
}

func (p *product) operate(ctx context.Context, args ...string) ([]byte, error) {
	return command(ctx, filepath.Join(p.bin, "wolkvox-server"), append(args, p.operator...)...)
}

// name is what this program is called in tables.
func (p *product) name() string { return "wolkvox" }

// prepare makes a new destination, seals the source for it, and enrols a new agent. What it returns runs the night.
func (p *product) prepare(ctx context.Context, to string) (copying func(context.Context) (used, error), err error) {
	p.copies++
	name := fmt.Sprintf("nas-%d", p.copies)
	state, config := filepath.Join(p.dir, name), filepath.Join(p.dir, name+".yaml")
	where := fmt.Sprintf("  directory: %q\n", to)
	if p.peer != nil {
		where = p.peer.where(to)
	}
	text := fmt.Sprintf("state_dir: %q\nsocket: %q\nproxy: none\ndestinations:\n- name: %s\n%s  reserve: 0\n",
		state, filepath.Join(p.sockets, name), name, where)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if _, err := p.operate(ctx, "destination", "add", tenantName, name, "--kind", "rsync"); err != nil {
		return nil, err
	}
	if _, err := p.operate(ctx, "seal", tenantName, name, "--wait"); err != nil {
		return nil, err
	}
	made, err := p.operate(ctx, "token", "create", tenantName, name, "--output", "json")
	if err != nil {
		return nil, err
	}
	var token struct{ Join string }
	if err := json.Unmarshal(made, &token); err != nil {
		return nil, err
	}
	agent := filepath.Join(p.bin, "wolkvox-agent")
	for _, args := range [][]string{{"enroll", token.Join}, {"destination", "init", name}} {
		if _, err := command(ctx, agent, append(args, "--config", config)...); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (used, error) { return p.night(ctx, agent, config) }, nil
}

// cpu returns what the server has used, and what it copies to.
func (p *product) cpu() (time.Duration, error) {
	all, err := p.server.cpu()
	if err != nil || p.peer == nil {
		return all, err
	}
	atPeer, err := p.peer.service.treeCPU()
	return all + atPeer, err
}

// night runs `run --once`, which succeeds only if everything is confirmed and both sides agree.
func (p *product) night(ctx context.Context, agent, config string) (used, error) {
	before, err := p.cpu()
	if err != nil {
		return used{}, err
	}
	u, out, err := measure(ctx, true, agent, "run", "--once", "--config", config, "--output", "json")
	if err != nil {
		return used{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return used{}, err
	}
	u.cpu += after - before
	var said struct {
		Confirmed int `json:"confirmed_count"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return used{}, err
	}
	if said.Confirmed != p.source.files {
		return used{}, fmt.Errorf("%d of %d files were confirmed", said.Confirmed, p.source.files)
	}
	return u, nil
}
