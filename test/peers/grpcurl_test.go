//go:build peers

package peers_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// operated is a built server that runs, and what its operator needs.
type operated struct {
	program, dir, address string
}

// startServer builds the server, has init work, and runs it until the test ends.
func startServer(t *testing.T) operated {
	t.Helper()
	dir := t.TempDir()
	o := operated{program: filepath.Join(dir, "wolkvox-server"), dir: dir}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", o.program, "github.com/wolkvox/backup/server/cmd/wolkvox-server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, out)
	}
	config := fmt.Sprintf("state_dir: %s\nlisten: 127.0.0.1:0\nnames: [127.0.0.1]\n", o.path("state"))
	if err := os.WriteFile(o.path("server.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	o.must(t, o.program, "init", "--config", o.path("server.yaml"))

	var log bytes.Buffer
	serve := exec.CommandContext(t.Context(), o.program, "serve", "--config", o.path("server.yaml"))
	serve.Stderr = &log
	serve.Cancel = func() error { return serve.Process.Signal(os.Interrupt) }
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() {
		if err := serve.Process.Signal(os.Interrupt); err != nil && !strings.Contains(err.Error(), "finished") {
			t.Error(err)
		}
		<-ended
		if t.Failed() {
			t.Logf("the server's log:\n%s", &log)
		}
	})
	for {
		if text, err := os.ReadFile(o.path("state", "address")); err == nil {
			o.address = strings.TrimSpace(string(text))
			return o
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended: %v\n%s", err, &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (o operated) path(below ...string) string {
	return filepath.Join(append([]string{o.dir}, below...)...)
}

// must runs a program that has to succeed and returns what it wrote.
func (o operated) must(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return out
}

func command(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// TestGrpcurl runs the fleet with grpcurl alone: it knows nothing of the contract but what reflection shows.
func TestGrpcurl(t *testing.T) {
	t.Parallel()
	grpcurl, err := exec.LookPath("grpcurl")
	if err != nil {
		t.Fatalf("%v: run make peers, and put bin/peers on the PATH", err)
	}
	o := startServer(t)
	bundle := o.path("state", "operator.pem")
	o.must(t, o.program, "credential", "export", "--credential", bundle, "--to", o.path("pem"))
	for name, files := range map[string][]string{
		"the credential file": {"-cacert", bundle, "-cert", bundle, "-key", bundle},
		"plain PEM files": {
			"-cacert", o.path("pem", "ca.pem"), "-cert", o.path("pem", "operator.pem"), "-key", o.path("pem", "operator-key.pem"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			call := func(args ...string) string {
				t.Helper()
				return o.must(t, grpcurl, append(files, args...)...)
			}
			for _, service := range []string{"wolkvox.backup.v1.AdminService", "wolkvox.backup.v1.LedgerService", "grpc.health.v1.Health"} {
				if out := call(o.address, "list"); !strings.Contains(out, service) {
					t.Errorf("list does not show %s:\n%s", service, out)
				}
			}
			if out := call(o.address, "describe", "wolkvox.backup.v1.AdminService.CreateTenant"); !strings.Contains(out, "wolkvox.backup.v1.CreateTenantRequest") {
				t.Errorf("describe of a method:\n%s", out)
			}
			if out := call(o.address, "describe", "wolkvox.backup.v1.Tenant"); !strings.Contains(out, "cut_off") {
				t.Errorf("describe of a message:\n%s", out)
			}
			tenant := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			call("-d", `{"tenant": {"name": "`+tenant+`", "window": {"time_zone": "America/Bogota", "start": "79200s", "end": "21600s"}}}`,
				o.address, "wolkvox.backup.v1.AdminService/CreateTenant")
			if out := call(o.address, "wolkvox.backup.v1.AdminService/ListTenants"); !strings.Contains(out, `"`+tenant+`"`) {
				t.Errorf("ListTenants does not show %s:\n%s", tenant, out)
			}
			call("-d", `{"tenant": "`+tenant+`", "name": "nas", "kind": "STORAGE_KIND_RSYNC"}`,
				o.address, "wolkvox.backup.v1.AdminService/CreateDestination")
			out := call("-d", `{"tenant": "`+tenant+`", "destination": "nas"}`, o.address, "wolkvox.backup.v1.AdminService/ExportLedger")
			if !strings.Contains(out, "ledger.txt") || !strings.Contains(out, "head.txt") {
				t.Errorf("ExportLedger:\n%s", out)
			}
			if out, err := command(t.Context(), grpcurl, append(files, "-d", `{"tenant": {"name": "`+tenant+`"}}`,
				o.address, "wolkvox.backup.v1.AdminService/CreateTenant")...); err == nil || !strings.Contains(out, "BAD_TIME_ZONE") {
				t.Errorf("a tenant without zone: %v\n%s", err, out)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		for _, call := range [][]string{{"list"}, {"describe"}} {
			out, err := command(t.Context(), grpcurl, append([]string{"-cacert", o.path("pem", "ca.pem"), o.address}, call...)...)
			if err == nil {
				t.Errorf("%q succeeded without a certificate:\n%s", call, out)
			}
		}
	})
}
