// Package config reads the agent's configuration: one strict YAML file in which an unknown key is an error. It
// holds no secrets; those lie in the identity below the state directory. It does not touch the destinations.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wolkvox/backup/agent/internal/fault"
	"github.com/wolkvox/backup/internal/ledger"
	"github.com/wolkvox/backup/internal/size"
)

// Config is the agent's configuration.
type Config struct {
	// StateDir holds the identity and the store. Absolute.
	StateDir string `yaml:"state_dir"`
	// Socket is the path of the control socket. Absolute.
	Socket string `yaml:"socket"`
	// SocketGroup names the group whose members may use the socket; empty for the process's own group. They must be able
	// to enter its directory, which is made for them where it is missing.
	SocketGroup string `yaml:"socket_group"`
	// Proxy is the HTTP proxy on the way to the server: a URL, "environment" (HTTPS_PROXY and NO_PROXY, the
	// default) or "none".
	Proxy string `yaml:"proxy"`
	// Language is what faults are told in, "en" (the default) or "es".
	Language fault.Language `yaml:"language"`
	// Heartbeat is how often the agent reports. 30 seconds where not set.
	Heartbeat Duration `yaml:"heartbeat"`
	// StateReserve is what must stay free on the volume of StateDir. 256 MiB where not set.
	StateReserve *size.Size `yaml:"state_reserve"`
	// Destinations are the places that this agent serves.
	Destinations []Destination `yaml:"destinations"`
}

// Destination is one place that recordings are copied to.
type Destination struct {
	// Name is the destination's name as wolkvox knows it.
	Name string `yaml:"name"`
	// Place is where it is.
	Place `yaml:",inline"`
	// Reserve is what must stay free at the destination. Where not set: 5 % of the volume, at most 20 GiB.
	Reserve *size.Size `yaml:"reserve"`
	// Streams is how many files are fetched at a time at most, 1 to 64; how many there are now follows what the line and the
	// place can take. 4 where not set. A server may serve fewer at once.
	Streams int `yaml:"streams"`
	// BytesPerSecond limits what is fetched; where not set the server's limit holds.
	BytesPerSecond *size.Size `yaml:"bytes_per_second"`
	// Bandwidth limits what is fetched at some hours by the tenant's clock; at all others the limit above holds.
	Bandwidth Bandwidth `yaml:"bandwidth"`
	// Window is when recordings are copied by themselves, "02:00-06:00" by the tenant's clock; where not set the
	// server's window holds.
	Window *Window `yaml:"window"`
	// Audit is how what is stored is read again, and repaired.
	Audit Audit `yaml:"audit"`
	// Retention is what the client itself removes from the destination.
	Retention Retention `yaml:"retention"`
}

// Defaults of values that are not set.
const (
	DefaultHeartbeat    = 30 * time.Second
	DefaultStreams      = 4
	DefaultStateReserve = 256 << 20
)

// maxDestinations is how many a heartbeat may report (proto/README.md, part 5).
const maxDestinations = 64

// maxStreams is the most that a server can be configured to serve to one agent.
const maxStreams = 64

// maxSocketPath is what every system's socket addresses hold.
const maxSocketPath = 103

// Load reads the file at path and checks it. An error names the file, the key and the remedy.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Parse reads a configuration and fills in what is not set.
func Parse(text []byte) (Config, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var c Config
	if err := decoder.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			return Config{}, errors.New("the file is empty; it needs at least state_dir and one destination")
		}
		return Config{}, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("the file holds a second document after ---; keep one")
	}
	c.setDefaults()
	return c, c.check()
}

func (c *Config) setDefaults() {
	if c.Socket == "" && c.StateDir != "" {
		c.Socket = filepath.Join(c.StateDir, "control.sock")
	}
	if c.Proxy == "" {
		c.Proxy = ProxyEnvironment
	}
	if c.Language == "" {
		c.Language = fault.English
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = Duration(DefaultHeartbeat)
	}
	if c.StateReserve == nil {
		reserve := size.Size(DefaultStateReserve)
		c.StateReserve = &reserve
	}
	for i := range c.Destinations {
		if c.Destinations[i].Streams == 0 {
			c.Destinations[i].Streams = DefaultStreams
		}
		if r := c.Destinations[i].Rsync; r != nil && r.Spool == "" && c.StateDir != "" {
			r.Spool = filepath.Join(c.StateDir, "spool")
		}
	}
}

func (c *Config) check() error {
	if !filepath.IsAbs(c.StateDir) {
		return fmt.Errorf("state_dir is %q; give an absolute path", c.StateDir)
	}
	if !filepath.IsAbs(c.Socket) {
		return fmt.Errorf("socket is %q; give an absolute path", c.Socket)
	}
	if len(c.Socket) > maxSocketPath {
		return fmt.Errorf("socket %s has %d characters; systems allow %d: set a shorter `socket`", c.Socket, len(c.Socket), maxSocketPath)
	}
	if err := checkProxy(c.Proxy); err != nil {
		return err
	}
	if !c.Language.Known() {
		return fmt.Errorf("language is %q; give %q or %q", c.Language, fault.English, fault.Spanish)
	}
	if h := time.Duration(c.Heartbeat); h < 100*time.Millisecond || h > 10*time.Minute {
		return fmt.Errorf("heartbeat is %s; give 100ms to 10m", h)
	}
	if len(c.Destinations) == 0 {
		return errors.New("destinations is empty; name at least one")
	}
	if len(c.Destinations) > maxDestinations {
		return fmt.Errorf("destinations has %d; an agent serves at most %d: install another agent for the rest", len(c.Destinations), maxDestinations)
	}
	names := make(map[string]bool)
	for i := range c.Destinations {
		d := &c.Destinations[i]
		if err := d.check(); err != nil {
			return fmt.Errorf("destination %d (%q): %w", i+1, d.Name, err)
		}
		if names[d.Name] {
			return fmt.Errorf("destination %d: the name %q is there twice", i+1, d.Name)
		}
		names[d.Name] = true
	}
	return nil
}

func (d *Destination) check() error {
	if err := ledger.CheckLabel(d.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := d.Place.check(); err != nil {
		return err
	}
	if d.Streams < 1 || d.Streams > maxStreams {
		return fmt.Errorf("streams is %d; give 1 to %d", d.Streams, maxStreams)
	}
	if d.BytesPerSecond != nil && *d.BytesPerSecond < minBytesPerSecond {
		return fmt.Errorf("bytes_per_second is %d; give at least 1KiB", *d.BytesPerSecond)
	}
	if err := d.Audit.check(); err != nil {
		return err
	}
	if err := d.Retention.check(); err != nil {
		return err
	}
	return d.Bandwidth.check()
}

// Destination returns the destination with the given name.
func (c *Config) Destination(name string) (Destination, bool) {
	for _, d := range c.Destinations {
		if d.Name == name {
			return d, true
		}
	}
	return Destination{}, false
}
