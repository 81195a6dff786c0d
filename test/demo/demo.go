package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What the demo calls things.
const (
	tenantName      = "demo"
	sourceName      = "calls"
	destinationName = "nas"
)

// demo is one run of the demo.
type demo struct {
	dir                       string // everything that the demo writes
	serverBinary, agentBinary string
	server, agent             *service // those that run; nil otherwise

	chosen     bool     // the recordings are those of the person who watches
	count      int      // recordings at the source
	totalBytes int64    // of them
	keys       enrolled // what the agent's administrator writes down
}

func newDemo() (*demo, error) {
	var d demo
	for binary, name := range map[*string]string{&d.serverBinary: "wolkvox-server", &d.agentBinary: "wolkvox-agent"} {
		path, err := filepath.Abs(filepath.Join("bin", name))
		if err == nil {
			path, err = exec.LookPath(path)
		}
		if err != nil {
			return nil, fmt.Errorf("find bin/%s: %w; run `make demo` at the top of the repository", name, err)
		}
		*binary = path
	}
	dir, err := os.MkdirTemp("", "wolkvox-demo-")
	d.dir = dir
	return &d, err
}

// path is a path in the directory of the demo.
func (d *demo) path(elements ...string) string {
	return filepath.Join(append([]string{d.dir}, elements...)...)
}

// stop ends the programs that run.
func (d *demo) stop() {
	for _, s := range []*service{d.agent, d.server} {
		if s != nil {
			s.stop()
		}
	}
	d.agent, d.server = nil, nil
}

// startServer makes a server that listens on the loopback, and runs it.
func (d *demo) startServer(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	config := fmt.Sprintf("state_dir: %q\nlisten: 127.0.0.1:%d\nnames: [127.0.0.1]\n", d.path("server"), port)
	if err := os.WriteFile(d.path("server.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	if _, err := command(ctx, nil, d.serverBinary, "init", "--config", d.path("server.yaml")); err != nil {
		return err
	}
	if d.server, err = startService(ctx, d.path("server.log"), d.serverBinary, "serve", "--config", d.path("server.yaml")); err != nil {
		return err
	}
	say("wolkvox: the server listens at 127.0.0.1:%d.", port)
	return d.server.await(ctx, "the server to listen", func() bool { return answers(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port)) })
}

// freePort returns a port of the loopback that nobody listens at. It stands in the server's configuration, so that the
// server can be started again for a look around.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

func answers(ctx context.Context, network, address string) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	return err == nil && conn.Close() == nil
}

// quiet is how long a file has to be unchanged before it is sealed.
const quiet = time.Second

// transferTime is how long the slowed transfer takes: long enough to be killed in the middle, short enough to watch.
const transferTime = 12 * time.Second

// register tells the server of the tenant, where its recordings lie, and where they go. What is copied per second is
// limited, so that the transfer takes a while.
func (d *demo) register(ctx context.Context) error {
	rate := max(d.totalBytes/int64(transferTime/time.Second), 4<<10)
	say("wolkvox: a tenant, its recordings, and a NAS as the place to copy them to; the transfer is slowed to %s per second.", bytesText(rate))
	for _, args := range [][]string{
		{"tenant", "add", tenantName, "--time-zone", timeZone, "--quiet", quiet.String(), "--bytes-per-second", fmt.Sprint(rate)},
		{"source", "add", tenantName, sourceName, "--directory", d.path("source")},
		{"destination", "add", tenantName, destinationName, "--kind", "rsync"},
	} {
		say("  $ wolkvox-server %s", strings.Join(args, " "))
		if _, err := d.operate(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// enrolled is what enroll prints.
type enrolled struct {
	ServerFingerprint string `json:"server_fingerprint"`
	AgentFingerprint  string `json:"agent_fingerprint"`
}

// enroll makes this machine the agent of the destination, with a join string from the server.
func (d *demo) enroll(ctx context.Context) error {
	config := fmt.Sprintf("state_dir: %q\nproxy: none\nheartbeat: 1s\nstate_reserve: 1MiB\n"+
		"destinations:\n  - name: %s\n    directory: %q\n    reserve: 1MiB\n", d.path("agent"), destinationName, d.path("destination"))
	if err := os.WriteFile(d.path("agent.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(d.path("destination"), 0o755); err != nil {
		return err
	}
	say("The client: an agent, let in by a join string that can be used once.")
	say("  $ wolkvox-server token create %s %s", tenantName, destinationName)
	var token struct {
		Join string `json:"join"`
	}
	if err := d.operateJSON(ctx, &token, "token", "create", tenantName, destinationName); err != nil {
		return err
	}
	say("  $ wolkvox-agent enroll - < join.txt")
	out, err := command(ctx, strings.NewReader(token.Join), d.agentBinary, "enroll", "-", "--output", "json", "--config", d.path("agent.yaml"))
	if err != nil {
		return err
	}
	if err := decode(out, &d.keys); err != nil {
		return err
	}
	say("  server's key %s\n  agent's key  %s", d.keys.ServerFingerprint, d.keys.AgentFingerprint)
	say("  $ wolkvox-agent destination init %s", destinationName)
	_, err = d.ask(ctx, "destination", "init", destinationName)
	return err
}

// seal has the server look for finished recordings and announce them.
func (d *demo) seal(ctx context.Context) error {
	say("wolkvox: seals what was recorded; from here on both sides know what has to arrive.")
	say("  $ wolkvox-server seal %s --wait", tenantName)
	var sealed struct {
		Results []struct {
			Nights []struct {
				ItemCount int64 `json:"item_count"`
			} `json:"nights"`
			UnsettledCount int64    `json:"unsettled_count"`
			Problems       []string `json:"problems"`
		} `json:"results"`
	}
	if err := d.operateJSON(ctx, &sealed, "seal", tenantName, "--wait"); err != nil {
		return err
	}
	var items, nights int64
	for _, r := range sealed.Results {
		for _, n := range r.Nights {
			items += n.ItemCount
			nights++
		}
		if r.UnsettledCount > 0 || len(r.Problems) > 0 {
			return fmt.Errorf("seal: %d files are still being written; problems: %q", r.UnsettledCount, r.Problems)
		}
	}
	if items != int64(d.count) {
		return fmt.Errorf("seal: %d recordings were sealed, at the source there are %d", items, d.count)
	}
	say("  %d recordings in %d manifests", items, nights)
	return nil
}
