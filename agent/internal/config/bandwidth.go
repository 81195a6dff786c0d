package config

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wolkvox/backup/internal/size"
)

// Bandwidth are limits for spans of every local day, which do not overlap.
type Bandwidth []BandwidthSpan

// BandwidthSpan limits what is fetched between two times of day.
type BandwidthSpan struct {
	From, To       time.Duration // after local midnight, below 24 hours; To before From is on the following day
	BytesPerSecond size.Size
	Line           int // where it stands in the file
}

// minBytesPerSecond is the lowest limit that makes sense.
const minBytesPerSecond = 1 << 10

// UnmarshalYAML reads a list of spans such as {from: "07:00", to: "20:00", limit: 1MB}.
func (b *Bandwidth) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf(`line %d: bandwidth is no list; write each span like - {from: "07:00", to: "20:00", limit: 1MB}`, node.Line)
	}
	for _, element := range node.Content {
		span, err := parseBandwidthSpan(element)
		if err != nil {
			return fmt.Errorf("line %d: %w", element.Line, err)
		}
		*b = append(*b, span)
	}
	return nil
}

// parseBandwidthSpan reads the keys itself: where values are decoded one by one, unknown keys would pass.
func parseBandwidthSpan(node *yaml.Node) (BandwidthSpan, error) {
	span := BandwidthSpan{Line: node.Line}
	if node.Kind != yaml.MappingNode {
		return span, fmt.Errorf(`%q is no span; write it like {from: "07:00", to: "20:00", limit: 1MB}`, node.Value)
	}
	given := make(map[string]bool)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1].Value
		if given[key] {
			return span, fmt.Errorf("%s is there twice", key)
		}
		given[key] = true
		var err error
		switch key {
		case "from":
			span.From, err = parseTimeOfDay(value)
		case "to":
			span.To, err = parseTimeOfDay(value)
		case "limit":
			span.BytesPerSecond, err = size.Parse(value)
		default:
			return span, fmt.Errorf("a span of bandwidth has no key %q; it has from, to and limit", key)
		}
		if err != nil {
			return span, fmt.Errorf("%s: %w", key, err)
		}
	}
	for _, key := range []string{"from", "to", "limit"} {
		if !given[key] {
			return span, fmt.Errorf("%s is missing; a span of bandwidth has from, to and limit", key)
		}
	}
	return span, nil
}

func parseTimeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day; write it like 07:00", text)
	}
	return timeOfDay(t), nil
}

const minutesOfDay = 24 * 60

func (b Bandwidth) check() error {
	var taken [minutesOfDay]*BandwidthSpan
	for i := range b {
		span := &b[i]
		if span.BytesPerSecond < minBytesPerSecond {
			return fmt.Errorf("line %d: bandwidth: the limit is %d; give at least 1KiB", span.Line, span.BytesPerSecond)
		}
		if span.From == span.To {
			return fmt.Errorf("line %d: bandwidth: the span begins and ends at %s; a limit for the whole day is bytes_per_second", span.Line, clockText(span.From))
		}
		for minute := minuteOf(span.From); minute != minuteOf(span.To); minute = (minute + 1) % minutesOfDay {
			if other := taken[minute]; other != nil {
				return fmt.Errorf("line %d: bandwidth: %s overlaps %s of line %d; give spans that do not overlap", span.Line, span, other, other.Line)
			}
			taken[minute] = span
		}
	}
	return nil
}

// String returns the span's two times of day.
func (s *BandwidthSpan) String() string { return clockText(s.From) + "-" + clockText(s.To) }

func minuteOf(timeOfDay time.Duration) int { return int(timeOfDay / time.Minute) }

func clockText(timeOfDay time.Duration) string {
	return time.Time{}.Add(timeOfDay).Format("15:04")
}
