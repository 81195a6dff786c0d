package config

import (
	"fmt"
	"net/url"
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
