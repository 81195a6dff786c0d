package lint

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "github.com/wolkvox/backup"

// Patterns in the tables below: "." is the root package, "./a/b" a package of this module, "./a/..." a package and
// all below it, "*" any part of one path element, "std" the standard library, "other" any other module.

// layers says which packages of this module the packages of each directory may import. It runs from the programs
// down to the vocabulary; nothing imports upwards, and agent and server do not know each other. The first line
// that fits a package counts. It binds test files too.
var layers = []struct {
	packages string
	may      []string
}{
	{"./agent/cmd/...", []string{"./agent/...", "./internal/...", "./gen/...", "."}},
	{"./server/cmd/...", []string{"./server/...", "./internal/...", "./gen/...", "."}},
	{"./witness/cmd/...", []string{"./witness/internal/..."}},
	{"./witness/internal/...", []string{"./witness/internal/...", "./internal/ledger", "./internal/durable"}},
	{"./agent", []string{"./agent/internal/...", "./internal/...", "./gen/...", "."}},
	{"./agent/agentsim", []string{"./agent/internal/...", "./internal/...", "./gen/...", "."}},
	{"./server/serversim", []string{"./server/internal/...", "./internal/...", "./gen/...", "."}},
	{"./server", []string{"./server/internal/...", "./internal/...", "./gen/...", "."}},
	{"./agent/internal/command", []string{"./agent/internal/...", "./internal/...", "./gen/...", ".", "./test/verifier"}}, // which the kit carries
	{"./agent/internal/...", []string{"./agent/internal/...", "./internal/...", "./gen/...", "."}},
	{"./server/internal/...", []string{"./server/internal/...", "./internal/...", "./gen/...", "."}},
	{"./internal/...", []string{"./internal/...", "./gen/...", "."}},
	{"./gen/...", []string{"./gen/..."}},
	{".", nil},
	{"./test/...", []string{"./..."}},
}

// confined says of some packages who alone may import them; test files are free to.
var confined = []struct {
	imported string
	by       []string
}{
	// Generated types stop at the packages that speak gRPC; all others use the types of the root package.
	{"./gen/...", []string{
		"./gen/...", "./internal/wire", "./internal/store", "./internal/download",
		"./agent/internal/enroll", "./agent/internal/uplink", "./agent/internal/control", "./agent/internal/dest/wolkvoxdest",
		"./agent/internal/*rpc", "./agent/internal/command", // the commands ask AgentService like anyone else
		"./server/internal/enroll", "./server/internal/operator", "./server/internal/*rpc",
		"./server/internal/authz", // for the names of methods
		"./agent/agentsim", "./server/serversim",
		"./test/...",
	}},
	// Simulated machines are for simulations; no program has them.
	{"./agent/agentsim", []string{"./test/..."}},
	{"./server/serversim", []string{"./test/..."}},
	{"./internal/simgate", []string{"./agent/agentsim", "./server/serversim", "./test/..."}},
	{"github.com/dgraph-io/badger/...", []string{"./internal/store", "./server/internal/registry"}},
	{"github.com/kardianos/service/...", []string{"./internal/daemon"}},
	{"golang.org/x/sys/windows/svc/...", []string{"./internal/daemon"}},
	{"github.com/aws/...", []string{"./agent/internal/dest/s3dest", "./server/internal/source/s3source"}},
	{"github.com/Azure/...", []string{"./agent/internal/dest/azblobdest"}},
	{"github.com/cloudsoda/go-smb2/...", []string{"./agent/internal/dest/smbdest"}},
	{"github.com/hirochachacha/go-smb2/...", []string{"./agent/internal/dest/smbdest"}},
	{"github.com/prometheus/...", []string{"./server", "./server/internal/metrics"}},
	{"google.golang.org/grpc/encoding/gzip", nil}, // whoever imports it has every peer's messages decompressed
}

// closed lists all that some packages may import at all; their test files are free to import more.
var closed = []struct {
	packages string
	may      []string
}{
	{".", []string{"std"}},
	{"./internal/ledger", []string{"std", ".", "golang.org/x/mod/..."}},
	{"./server/internal/source/*source", []string{"std", ".", "./internal/identity", "./server/internal/source", "other"}},
	// Generated types, and what they mean, are for the driver of wolkvox Storage (see confined).
	{"./agent/internal/dest/*dest", []string{"std", ".", "./agent/internal/dest", "./internal/durable", "./gen/...", "./internal/wire", "other"}},
}

func layersHold(tr tree) []string {
	var findings []string
	for _, f := range tr.written() {
		may, ok := mayImport(f.dir())
		if !ok {
			findings = append(findings, fmt.Sprintf("%s: the package %s stands in no layer: give it one in test/lint", f.path, f.dir()))
			continue
		}
		for _, imported := range f.imports() {
			if matches("./...", imported) && imported != f.dir() && !matchesAny(may, imported) {
				findings = append(findings, fmt.Sprintf("%s imports %s; of this module, %s may import only %q", f.path, imported, f.dir(), may))
			}
		}
	}
	return findings
}

// mayImport returns the layer of a package.
func mayImport(dir string) (may []string, ok bool) {
	for _, l := range layers {
		if matches(l.packages, dir) {
			return l.may, true
		}
	}
	return nil, false
}

func confinedStay(tr tree) []string {
	var findings []string
	for _, f := range tr.shipped() {
		for _, imported := range f.imports() {
			for _, c := range confined {
				if matches(c.imported, imported) && !matchesAny(c.by, f.dir()) {
					findings = append(findings, fmt.Sprintf("%s imports %s; only %q may", f.path, imported, c.by))
				}
			}
		}
	}
	return findings
}

func closedStayClosed(tr tree) []string {
	var findings []string
	for _, f := range tr.shipped() {
		for _, c := range closed {
			if !matches(c.packages, f.dir()) {
				continue
			}
			for _, imported := range f.imports() {
				if !matchesAny(c.may, imported) {
					findings = append(findings, fmt.Sprintf("%s imports %s; %s may import only %q", f.path, imported, f.dir(), c.may))
				}
			}
		}
	}
	return findings
}

// imports returns what the file imports: "." and "./a/b" for packages of this module, import paths for others.
func (f file) imports() []string {
	var imported []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has seen to it that this is a string
		}
		if p == module {
			p = "."
		} else if below, ok := strings.CutPrefix(p, module+"/"); ok {
			p = "./" + below
		}
		imported = append(imported, p)
	}
	return imported
}

func matchesAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if matches(p, pkg) {
			return true
		}
	}
	return false
}

// matches reports whether a package, or an imported path, is one that a pattern of the tables means.
func matches(pattern, pkg string) bool {
	own := pkg == "." || strings.HasPrefix(pkg, "./")
	first, _, _ := strings.Cut(pkg, "/")
	switch pattern {
	case "std":
		return !own && !strings.Contains(first, ".")
	case "other":
		return !own && strings.Contains(first, ".")
	}
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == top || strings.HasPrefix(pkg, top+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

// importing returns a Go source that imports paths.
func importing(paths ...string) string {
	var b strings.Builder
	b.WriteString("package p\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	return b.String()
}

func TestLayersRule(t *testing.T) {
	t.Parallel()
	check(t, layersHold, []example{
		{"downwards", map[string]string{
			"agent/cmd/wolkvox-agent/main.go": importing(module+"/agent", module+"/internal/daemon", "context"),
			"agent/agent.go":                  importing(module+"/agent/internal/night", module),
			"agent/internal/night/night.go":   importing(module+"/agent/internal/dest", module+"/internal/ledger", module),
			"internal/ledger/log.go":          importing(module),
			"test/demo/main.go":               importing(module + "/internal/ledger"),
			"path_test.go":                    importing(module, "testing"),
		}, nil},
		{"agent to server", map[string]string{"agent/agent.go": importing(module + "/server")}, []string{"agent/agent.go imports ./server;"}},
		{"server to agent, in a test", map[string]string{"server/server_test.go": importing(module + "/agent")}, []string{"imports ./agent;"}},
		{"server to the agent's own", map[string]string{"server/cmd/x/main.go": importing(module + "/agent/internal/night")}, []string{"imports ./agent/internal/night;"}},
		{"own internal to its program", map[string]string{"agent/internal/night/night.go": importing(module + "/agent")}, []string{"imports ./agent;"}},
		{"shared internal to a program", map[string]string{"internal/store/store.go": importing(module + "/server")}, []string{"imports ./server;"}},
		{"vocabulary to internal", map[string]string{"path.go": importing(module + "/internal/ledger")}, []string{"path.go imports ./internal/ledger;"}},
		{"generated to hand-written is not looked at", map[string]string{"gen/a/a.pb.go": importing(module)}, nil},
		{"for Windows only", map[string]string{"internal/daemon/x_windows.go": "//go:build windows\n\n" + importing(module+"/agent")}, []string{"imports ./agent;"}},
		{"a directory without a layer", map[string]string{"extra/a.go": importing("fmt")}, []string{"./extra stands in no layer"}},
	})
}

func TestConfinedRule(t *testing.T) {
	t.Parallel()
	const gen = module + "/gen/wolkvox/backup/v1"
	check(t, confinedStay, []example{
		{"where they belong", map[string]string{
			"internal/wire/item.go":                   importing(gen),
			"server/internal/ledgerrpc/ledger.go":     importing(gen),
			"server/internal/operator/seal.go":        importing(gen),
			"internal/store/badger.go":                importing(gen, "github.com/dgraph-io/badger/v4"),
			"server/internal/registry/registry.go":    importing("github.com/dgraph-io/badger/v4/options"),
			"internal/daemon/daemon.go":               importing("github.com/kardianos/service"),
			"agent/internal/dest/s3dest/s3dest.go":    importing("github.com/aws/aws-sdk-go-v2/service/s3"),
			"agent/internal/night/night_test.go":      importing(gen),
			"agent/internal/dest/wolkvoxdest/dest.go": importing(gen),
		}, nil},
		{"generated types in the journey", map[string]string{"agent/internal/night/night.go": importing(gen)}, []string{"night.go imports ./gen/wolkvox/backup/v1;"}},
		{"generated types in the server", map[string]string{"server/server.go": importing(gen)}, []string{"imports ./gen/"}},
		{"a second store", map[string]string{"agent/internal/outbox/outbox.go": importing("github.com/dgraph-io/badger/v4")}, []string{"imports github.com/dgraph-io/badger/v4;"}},
		{"a simulated machine in a program", map[string]string{"agent/agent.go": importing(module + "/agent/agentsim")}, []string{"imports ./agent/agentsim;"}},
		{"the service manager", map[string]string{"agent/run_windows.go": importing("golang.org/x/sys/windows/svc", "github.com/kardianos/service")}, []string{"windows/svc;", "kardianos/service;"}},
		{"an SDK outside its driver", map[string]string{"agent/internal/fault/s3.go": importing("github.com/aws/smithy-go")}, []string{"smithy-go;"}},
		{"an SDK of another driver", map[string]string{"agent/internal/dest/s3dest/a.go": importing("github.com/Azure/azure-sdk-for-go/sdk/azcore")}, []string{"azcore;"}},
	})
}

func TestClosedRule(t *testing.T) {
	t.Parallel()
	check(t, closedStayClosed, []example{
		{"on the list", map[string]string{
			"path.go":                           importing("strings", "unicode/utf8"),
			"path_test.go":                      importing("github.com/google/go-cmp/cmp"),
			"internal/ledger/tree.go":           importing("crypto/sha256", module, "golang.org/x/mod/sumdb/tlog"),
			"agent/internal/dest/sftpdest/a.go": importing("io", module, module+"/agent/internal/dest", "github.com/pkg/sftp"),
			"agent/internal/dest/desttest/a.go": importing(module + "/internal/ledger"),
		}, nil},
		{"the vocabulary", map[string]string{"path.go": importing("golang.org/x/text/cases")}, []string{"path.go imports golang.org/x/text/cases;"}},
		{"the ledger, a module", map[string]string{"internal/ledger/set.go": importing("github.com/RoaringBitmap/roaring/v2")}, []string{"roaring/v2;"}},
		{"the ledger, a package", map[string]string{"internal/ledger/set.go": importing(module + "/internal/durable")}, []string{"./internal/durable;"}},
		{"a driver", map[string]string{"agent/internal/dest/memdest/a.go": importing(module + "/agent/internal/fault")}, []string{"./agent/internal/fault;"}},
		{"a driver, to another", map[string]string{"agent/internal/dest/smbdest/a.go": importing(module + "/agent/internal/dest/localdest")}, []string{"./agent/internal/dest/localdest;"}},
	})
}
