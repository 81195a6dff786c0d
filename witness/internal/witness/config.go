package witness

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/sumdb/note"
)

// Config is the witness's configuration: one strict YAML file.
type Config struct {
	// Name is the name of the witness's key, by custom a URL without its scheme, such as "witness.example/w1".
	Name string `yaml:"name"`
	// StateDir holds the key and what was cosigned. Absolute.
	StateDir string `yaml:"state_dir"`
	// Listen is the address to serve plain HTTP at, HOST:PORT. "127.0.0.1:8053" where not set: what faces the world is a
	// proxy with a certificate.
	Listen string `yaml:"listen"`
	// Logs are the logs that are watched.
	Logs []WatchedLog `yaml:"logs"`
}

// WatchedLog is a log that is watched.
type WatchedLog struct {
	// Origin is the first line of its checkpoints.
	Origin string `yaml:"origin"`
	// Keys are verifiers, NAME+ID+KEY, any of which signs them: after a rekey the old one and the new one.
	Keys []string `yaml:"keys"`
}

const defaultListen = "127.0.0.1:8053"

// LoadConfig reads the file at path and checks it. An error names the key and the remedy.
func LoadConfig(path string) (Config, []Log, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration: %w", err)
	}
	c := Config{Listen: defaultListen}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return Config{}, nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	logs, err := c.check()
	if err != nil {
		return Config{}, nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, logs, nil
}

func (c *Config) check() (logs []Log, err error) {
	if c.Name == "" {
		return nil, errors.New("name is missing; give the key's name, such as witness.example/w1")
	}
	if !filepath.IsAbs(c.StateDir) {
		return nil, fmt.Errorf("state_dir is %q; give an absolute path", c.StateDir)
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return nil, fmt.Errorf("listen is %q; give HOST:PORT", c.Listen)
	}
	seen := make(map[string]bool)
	for _, l := range c.Logs {
		if l.Origin == "" || seen[l.Origin] || len(l.Keys) == 0 {
			return nil, fmt.Errorf("logs: %q has no keys, or stands there twice, or is empty", l.Origin)
		}
		seen[l.Origin] = true
		log := Log{Origin: l.Origin}
		for _, key := range l.Keys {
			verifier, err := note.NewVerifier(key)
			if err != nil {
				return nil, fmt.Errorf("logs: %s: the key %.200q is no verifier NAME+ID+KEY: %w", l.Origin, key, err)
			}
			log.Keys = append(log.Keys, verifier)
		}
		logs = append(logs, log)
	}
	return logs, nil
}
