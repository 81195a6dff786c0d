package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// compareFiles compares, without the programs: what is at the destination with what the ledger calls confirmed, and with
// what is at the source.
func (d *demo) compareFiles(ctx context.Context) error {
	items, err := d.items(ctx)
	if err != nil {
		return err
	}
	confirmed := map[string]string{} // digests by path
	for _, i := range items {
		if i.State == "confirmed" {
			confirmed[filepath.FromSlash(i.Path)] = i.SHA256
		}
	}
	there, err := digests(ctx, d.path("destination"))
	if err != nil {
		return err
	}
	for path, digest := range confirmed {
		if there[path] != digest {
			return fmt.Errorf("%s is confirmed with SHA-256 %s; at the destination it is %q", path, digest, there[path])
		}
	}
	if len(there) != len(confirmed) {
		return fmt.Errorf("there are %d files at the destination, %d are confirmed", len(there), len(confirmed))
	}
	source, err := digests(ctx, d.path("source"))
	if err != nil {
		return err
	}
	if !maps.Equal(frequencies(source), frequencies(there)) {
		return errors.New("the files at the destination have other SHA-256 than those at the source")
	}
	say("The demo: %d files at the destination, each with the SHA-256 of its source.", len(there))
	return nil
}

// digests returns the SHA-256 of all files below dir by their paths.
func digests(ctx context.Context, dir string) (map[string]string, error) {
	found := map[string]string{}
	err := walkFiles(dir, func(path string, _ fs.FileInfo) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		below, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found[below], err = digest(path)
		return err
	})
	return found, err
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func frequencies(digests map[string]string) map[string]int {
	f := map[string]int{}
	for _, digest := range digests {
		f[digest]++
	}
	return f
}

// verifyBothSides has each side check its own ledger.
func (d *demo) verifyBothSides(ctx context.Context) error {
	server, err := d.verifyServer(ctx)
	if err != nil {
		return err
	}
	say("  $ wolkvox-server ledger verify %s %s\n  %d entries, %d recordings, no problems", tenantName, destinationName, server.Position.Size, server.ItemCount)
	agent, err := d.verifyAgent(ctx)
	if err != nil {
		return err
	}
	say("  $ wolkvox-agent ledger verify\n  %d entries, %d recordings, no problems", agent.Position.Size, agent.ItemCount)
	return nil
}

// verifyAlone has the stand-alone verifier, which shares no code with the programs, check what the agent exports.
func (d *demo) verifyAlone(ctx context.Context) error {
	say("  $ wolkvox-agent ledger export --to %s", d.path("evidence"))
	if _, err := d.ask(ctx, "ledger", "export", "--to", d.path("evidence")); err != nil {
		return err
	}
	node, err := nodeProgram(ctx)
	if err != nil {
		say("The stand-alone verifier did not run: %v.", err)
		return nil
	}
	if _, err := command(ctx, nil, node, d.verifier()...); err != nil {
		return err
	}
	say("  $ node test/verifier/verify.mjs ledger %s\n  The stand-alone verifier ran, and finds everything as it must be.", d.path("evidence"))
	return nil
}

// verifier is the command line of the stand-alone verifier.
func (d *demo) verifier() []string {
	return []string{
		filepath.Join("test", "verifier", "verify.mjs"), "ledger", d.path("evidence"),
		"--server-fingerprint", d.keys.ServerFingerprint, "--agent-fingerprint", d.keys.AgentFingerprint,
	}
}

// oldestNode is the first version of Node.js that the verifier works with.
const oldestNode = 18

func nodeProgram(ctx context.Context) (string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", errors.New("there is no node here")
	}
	out, err := command(ctx, nil, node, "--version")
	if err != nil {
		return "", err
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", fmt.Errorf("node is %s, it needs v%d", version, oldestNode)
	}
	return node, nil
}
