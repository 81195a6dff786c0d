package config

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The words that may stand for a proxy URL.
const (
	ProxyEnvironment = "environment" // what HTTPS_PROXY and NO_PROXY say
	ProxyNone        = "none"        // a direct connection
)

// Duration is a time.Duration in the form that time.ParseDuration reads.
type Duration time.Duration

// UnmarshalYAML reads a duration such as "30s".
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	v, err := time.ParseDuration(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no duration; write it like 30s or 5m", node.Line, node.Value)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes.
type Size int64

// UnmarshalYAML reads a size such as 1048576, "512KiB", "20GiB" or "1TB".
func (s *Size) UnmarshalYAML(node *yaml.Node) error {
	v, err := ParseSize(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*s = v
	return nil
}

// ParseSize reads a whole number of bytes, or one followed by KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB,
// TiB (powers of 1024).
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	unit, known := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[text[len(digits):]]
	if err != nil || !known || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no size; write it like 512MiB or 20GiB", text)
	}
	return Size(n * unit), nil
}

// Window is a span of every local day, as two times of day.
type Window struct {
	Start, End time.Duration // after local midnight, below 24 hours; End at or before Start is on the following day
}

// UnmarshalYAML reads a window such as "02:00-06:00".
func (w *Window) UnmarshalYAML(node *yaml.Node) error {
	v, err := ParseWindow(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*w = v
	return nil
}

// ParseWindow reads two times of day, "22:30-06:00".
func ParseWindow(text string) (Window, error) {
	from, until, ok := strings.Cut(text, "-")
	start, err1 := time.Parse("15:04", strings.TrimSpace(from))
	end, err2 := time.Parse("15:04", strings.TrimSpace(until))
	if !ok || err1 != nil || err2 != nil {
		return Window{}, fmt.Errorf("%q is no window; write it like 02:00-06:00", text)
	}
	return Window{timeOfDay(start), timeOfDay(end)}, nil
}

func timeOfDay(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

func checkProxy(proxy string) error {
	if proxy == ProxyEnvironment || proxy == ProxyNone {
		return nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("proxy is no URL of the form http://HOST:PORT, and neither %q nor %q", ProxyEnvironment, ProxyNone)
	}
	return nil
}
