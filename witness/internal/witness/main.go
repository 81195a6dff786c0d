package witness

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/wolkvox/backup/internal/durable"
	"github.com/wolkvox/backup/internal/ledger"
)

const usageText = `usage: wolkvox-witness [-config FILE] COMMAND

  init   make the key, once, and print the public key
  key    print the public key, which those who ask for cosignatures and those who check them need
  run    serve add-checkpoint (https://c2sp.org/tlog-witness) until it is told to stop
`

const (
	statusGood  = 0
	statusBad   = 1
	statusUsage = 2

	defaultConfig = "/etc/wolkvox-witness/witness.yaml"
	keyFile       = "key.pem"
	keyType       = "WOLKVOX WITNESS ED25519 SEED"
)

// Main runs one command and returns the exit status.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("wolkvox-witness", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usageText) }
	config := flags.String("config", defaultConfig, "the configuration file")
	if err := flags.Parse(args); err != nil {
		return statusUsage
	}
	commands := map[string]func(context.Context, Config, []Log, io.Writer, io.Writer) error{"init": initialise, "key": printKey, "run": run}
	command, ok := commands[flags.Arg(0)]
	if !ok || flags.NArg() != 1 {
		flags.Usage()
		return statusUsage
	}
	c, logs, err := LoadConfig(*config)
	if err == nil {
		err = command(ctx, c, logs, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wolkvox-witness: %v\n", err)
		return statusBad
	}
	return statusGood
}

// initialise makes the key where there is none. A state without its key is not used again: see [Open].
func initialise(_ context.Context, c Config, _ []Log, stdout, _ io.Writer) error {
	if err := durable.CreateDir(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", c.StateDir, err)
	}
	entries, err := os.ReadDir(c.StateDir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: the witness has a key already, or the directory is another's", c.StateDir)
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	key, err := ledger.NewSigningKey(c.Name, private)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyType, Headers: map[string]string{"Name": c.Name}, Bytes: private.Seed()})
	if err := durable.WriteFile(filepath.Join(c.StateDir, keyFile), text, 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, key.WitnessKey())
	return err
}

func loadKey(c Config) (*ledger.SigningKey, error) {
	path := filepath.Join(c.StateDir, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: run `wolkvox-witness init` first; a witness that lost its state needs another name", path)
	}
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyType || len(block.Bytes) != ed25519.SeedSize || len(rest) != 0 {
		return nil, fmt.Errorf("%s is not the key of a witness", path)
	}
	if name := block.Headers["Name"]; name != c.Name {
		return nil, fmt.Errorf("%s is the key of %q, and the configuration names %q", path, name, c.Name)
	}
	return ledger.NewSigningKey(c.Name, ed25519.NewKeyFromSeed(block.Bytes))
}

func printKey(_ context.Context, c Config, _ []Log, stdout, _ io.Writer) error {
	key, err := loadKey(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, key.WitnessKey())
	return err
}

func run(ctx context.Context, c Config, logs []Log, stdout, stderr io.Writer) error {
	key, err := loadKey(c)
	if err != nil {
		return err
	}
	w, err := Open(c.StateDir, key, logs)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s watches %d logs at http://%s\n", c.Name, len(logs), listener.Addr())
	return w.Serve(ctx, listener, slog.New(slog.NewTextHandler(stderr, nil)))
}
