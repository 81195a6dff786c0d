package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// example is the configuration that the administrator's page shows.
const example = "../../../docs/examples/agent.yaml"

// TestExample reads the example of the administrator's page, which has every key.
func TestExample(t *testing.T) {
	t.Parallel()
	if !filepath.IsAbs("/var") {
		t.Skip("the example's paths are those of Linux")
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%s): %v", example, err)
	}
	for _, value := range []reflect.Value{reflect.ValueOf(c), reflect.ValueOf(c.Destinations[0])} {
		for field, v := range value.Fields() {
			if v.IsZero() {
				t.Errorf("%s lacks the key %s", example, field.Tag.Get("yaml"))
			}
		}
	}
}

// TestExampleOnPage keeps the page and the example equal.
func TestExampleOnPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/administrator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "```yaml\n")
	shown, _, _ = strings.Cut(shown, "```\n")
	if diff := cmp.Diff(string(text), shown); diff != "" {
		t.Errorf("docs/administrator.md does not show %s (-example +page):\n%s", example, diff)
	}
}
