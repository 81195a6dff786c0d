// Package config reads the server's configuration: one strict YAML file in which an unknown key is an error. It
// holds no secrets; those lie below the state directory. It opens nothing but that file.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wolkvox/backup/internal/join"
	"github.com/wolkvox/backup/internal/size"
)

// Config is the server's configuration.
type Config struct {
	// StateDir holds the authority, the registry and the ledgers. Absolute.
	StateDir string `yaml:"state_dir"`
	// Listen is the address to listen at, HOST:PORT or :PORT; port 0 takes a free one. ":443" where not set.
	Listen string `yaml:"listen"`
	// Names are the DNS names and IP addresses by which agents and operators call the server: those of its certificate.
	Names []string `yaml:"names"`
	// Address is what join strings tell agents to call, HOST:PORT with a host among Names. Where not set: the first
	// of Names, with the port that the server listens at.
	Address string `yaml:"address"`
	// LogLevel is debug, info, warn or error. info where not set.
	LogLevel slog.Level `yaml:"log_level"`
	// MetricsListen is the address at which metrics are served over plain HTTP, HOST:PORT; off where not set.
	MetricsListen string `yaml:"metrics_listen"`
	// StorageDir holds wolkvox Storage. Absolute; the folder "storage" of StateDir where not set.
	StorageDir string `yaml:"storage_dir"`
	// Limits bound what is served at once.
	Limits Limits `yaml:"limits"`
	// Door is where people read recordings over SFTP.
	Door Door `yaml:"door"`
	// Witnesses are third parties that are asked to cosign the agreed heads of all ledgers; none where not set.
	Witnesses []Witness `yaml:"witnesses"`
	// Alerts say who is told what people have to do something about.
	Alerts Alerts `yaml:"alerts"`
	// StateReserve is what must stay free on the volume of StateDir: below it nothing is changed; and on that of StorageDir.
	// 256 MiB where not set.
	StateReserve *size.Size `yaml:"state_reserve"`
	// Recover is not in the file: every ledger is recovered from the agents before anything is sealed or closed again.
	Recover bool `yaml:"-"`
}

// Door is where people read the recordings of their own tenant over SFTP.
type Door struct {
	// Listen is the address to listen at, HOST:PORT or :PORT; port 0 takes a free one. There is no door where not set.
	Listen string `yaml:"listen"`
}

// Limits bound what is served at once.
type Limits struct {
	// Streams is how many streams of contents are served at once. 64 where not set.
	Streams int `yaml:"streams"`
	// StreamsPerAgent is how many of them one agent may have. 8 where not set.
	StreamsPerAgent int `yaml:"streams_per_agent"`
	// BytesPerSecond limits the contents that are served, over all agents; no limit where not set.
	BytesPerSecond *size.Size `yaml:"bytes_per_second"`
	// TimesPerNight is how many times over an agent may fetch the contents of a manifest within a day. 8 where not set.
	TimesPerNight int `yaml:"times_per_night"`
	// Connections is how many connections are open at once. 16384 where not set.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress is how many of them one IP address may have. 1024 where not set.
	ConnectionsPerAddress int `yaml:"connections_per_address"`
}

// Defaults of values that are not set.
const (
	DefaultListen          = ":443"
	DefaultStreams         = 64
	DefaultStreamsPerAgent = 8
	DefaultStateReserve    = 256 << 20

	DefaultTimesPerNight         = 8
	DefaultConnections           = 16384
	DefaultConnectionsPerAddress = 1024
)

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
			return Config{}, errors.New("the file is empty; it needs at least state_dir and names")
		}
		return Config{}, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("the file holds a second document after ---; keep one")
	}
	c.setDefaults()
	return c, c.check()
}

// ServerAddress returns the address, HOST:PORT, by which agents call the server when it listens at port.
func (c *Config) ServerAddress(port int) string {
	if c.Address != "" {
		return c.Address
	}
	return net.JoinHostPort(c.Names[0], strconv.Itoa(port))
}

func (c *Config) setDefaults() {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.StorageDir == "" {
		c.StorageDir = filepath.Join(c.StateDir, "storage")
	}
	c.Limits.setDefaults()
	if c.StateReserve == nil {
		reserve := size.Size(DefaultStateReserve)
		c.StateReserve = &reserve
	}
}

func (l *Limits) setDefaults() {
	for value, otherwise := range map[*int]int{
		&l.Streams: DefaultStreams, &l.StreamsPerAgent: DefaultStreamsPerAgent, &l.TimesPerNight: DefaultTimesPerNight,
		&l.Connections: DefaultConnections, &l.ConnectionsPerAddress: DefaultConnectionsPerAddress,
	} {
		if *value == 0 {
			*value = otherwise
		}
	}
}

func (c *Config) check() error {
	if !filepath.IsAbs(c.StateDir) {
		return fmt.Errorf("state_dir is %q; give an absolute path", c.StateDir)
	}
	if !filepath.IsAbs(c.StorageDir) {
		return fmt.Errorf("storage_dir is %q; give an absolute path", c.StorageDir)
	}
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || !isPort(port) {
		return fmt.Errorf("listen is %q; write it like :443 or 192.0.2.1:443", c.Listen)
	}
	if _, port, err := net.SplitHostPort(c.MetricsListen); c.MetricsListen != "" && (err != nil || !isPort(port)) {
		return fmt.Errorf("metrics_listen is %q; write it like 127.0.0.1:9464", c.MetricsListen)
	}
	if _, port, err := net.SplitHostPort(c.Door.Listen); c.Door.Listen != "" && (err != nil || !isPort(port)) {
		return fmt.Errorf("door: listen is %q; write it like :2022 or 192.0.2.1:2022", c.Door.Listen)
	}
	if len(c.Names) == 0 {
		return errors.New("names is empty; give the DNS names or IP addresses by which agents call this server")
	}
	for _, name := range c.Names {
		if err := join.CheckAddress(net.JoinHostPort(name, "443")); err != nil || strings.Contains(name, ":") && net.ParseIP(name) == nil {
			return fmt.Errorf("names has %q, which is neither a DNS name nor an IP address; write it without port", name)
		}
	}
	if c.Address != "" {
		if err := join.CheckAddress(c.Address); err != nil {
			return fmt.Errorf("address: %w", err)
		}
		if host, _, _ := net.SplitHostPort(c.Address); !slices.Contains(c.Names, host) {
			return fmt.Errorf("address is %q, but names has no %q; add it, so that the server's certificate is good for it", c.Address, host)
		}
	}
	if err := checkWitnesses(c.Witnesses); err != nil {
		return err
	}
	if err := c.Alerts.check(); err != nil {
		return err
	}
	return c.Limits.check()
}

func (l *Limits) check() error {
	if l.Streams < 1 || l.Streams > 10000 {
		return fmt.Errorf("limits: streams is %d; give 1 to 10000", l.Streams)
	}
	if l.StreamsPerAgent < 1 || l.StreamsPerAgent > 64 {
		return fmt.Errorf("limits: streams_per_agent is %d; give 1 to 64", l.StreamsPerAgent)
	}
	if l.TimesPerNight < 2 || l.TimesPerNight > 1000 {
		return fmt.Errorf("limits: times_per_night is %d; give 2 to 1000", l.TimesPerNight)
	}
	if l.Connections < 16 || l.Connections > 1e6 {
		return fmt.Errorf("limits: connections is %d; give 16 to 1000000", l.Connections)
	}
	if l.ConnectionsPerAddress < 4 || l.ConnectionsPerAddress > l.Connections {
		return fmt.Errorf("limits: connections_per_address is %d; give 4 to connections, which is %d", l.ConnectionsPerAddress, l.Connections)
	}
	if l.BytesPerSecond != nil && *l.BytesPerSecond < 1<<10 {
		return fmt.Errorf("limits: bytes_per_second is %d; give at least 1KiB", *l.BytesPerSecond)
	}
	return nil
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}
