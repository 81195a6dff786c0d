//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// azuriteProgram is where Azurite is below one of the folders of PATH.
const azuriteProgram = "npm/node_modules/azurite/dist/src/blob/main.js"

// The account of an emulator, with the key that Microsoft publishes for it; rclone has no other for one.
// https://learn.microsoft.com/en-us/azure/storage/common/storage-connect-azurite
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startAzure starts Azurite with an empty container. It keeps blobs in files of its own.
func startAzure(ctx context.Context, dir, root string, source tree) (*peer, error) {
	program, err := findBelowPath(azuriteProgram)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	const container = "recordings"
	keyFile, endpoint := filepath.Join(dir, "key"), fmt.Sprintf("http://127.0.0.1:%d/%s", port, emulatorAccount)
	if err := os.WriteFile(keyFile, []byte(emulatorKey), 0o600); err != nil {
		return nil, err
	}
	rclone := func(args ...string) []string {
		return append([]string{"RCLONE_AZUREBLOB_USE_EMULATOR=true", "RCLONE_AZUREBLOB_ENDPOINT=" + endpoint, "rclone"}, args...)
	}
	p := &peer{root: root}
	p.where = func(to string) string {
		return fmt.Sprintf("  azure_blob:\n    account: %s\n    container: %s\n    prefix: %s\n    endpoint: %s\n    key: {file: %q}\n", emulatorAccount, container, p.below(to), endpoint, keyFile)
	}
	p.holds = func(ctx context.Context, to string) (tree, error) {
		out, err := command(ctx, "env", rclone("size", "--config=/dev/null", "--json", "--exclude=/.wolkvox**", ":azureblob:"+container+"/"+p.below(to))...)
		if err != nil {
			return tree{}, err
		}
		var said struct {
			Count int
			Bytes int64
		}
		err = json.Unmarshal(out, &said)
		return tree{to, said.Count, said.Bytes}, err
	}
	p.copiers = []copier{&tool{"rclone copy", p, func(to string) (string, []string, error) {
		return "env", rclone(append(rcloneFlags(), source.dir, ":azureblob:"+container+"/"+p.below(to))...), nil
	}}}
	p.service, err = startService(filepath.Join(dir, "output"),
		"node", program, "--blobHost", "127.0.0.1", "--blobPort", fmt.Sprint(port), "--location", root, "--silent", "--disableTelemetry", "--skipApiVersionCheck")
	if err := p.answers(ctx, port, err); err != nil {
		return nil, err
	}
	if _, err := command(ctx, "env", rclone("mkdir", "--config=/dev/null", ":azureblob:"+container)...); err != nil {
		return nil, errors.Join(err, p.service.stop())
	}
	return p, nil
}

// findBelowPath returns the file with this name below one of the folders of PATH.
func findBelowPath(name string) (string, error) {
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if path := filepath.Join(folder, name); isFile(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("no folder of PATH has %s: make peers installs it", name)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
