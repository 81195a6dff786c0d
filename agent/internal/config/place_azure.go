package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/wolkvox/backup"
	"github.com/wolkvox/backup/agent/internal/secret"
	"github.com/wolkvox/backup/internal/size"
)

// AzureBlob is a container of Azure Blob Storage. Exactly one of Key, SAS and Identity is set.
type AzureBlob struct {
	// Account is the storage account. Its endpoint is https://ACCOUNT.blob.core.windows.net where Endpoint is not set.
	Account string `yaml:"account"`
	// Endpoint is the URL of the account's blob service in another cloud, or behind a private endpoint.
	Endpoint  string `yaml:"endpoint"`
	Container string `yaml:"container"`
	Prefix    string `yaml:"prefix"` // before every name, with slashes; empty for the container itself

	Key *secret.Source `yaml:"key"` // one of the account's keys
	SAS *secret.Source `yaml:"sas"` // a shared access signature of the account or the container
	// Identity is "entra" for an identity of Microsoft Entra that this machine has: workload identity, managed identity, or a
	// service principal in the environment.
	Identity string `yaml:"identity"`

	Tier string     `yaml:"tier"` // of recordings: hot, cool or cold; the account's own where not set
	Part *size.Size `yaml:"part"` // of files that are larger; 8 MiB where not set
	// Check is how what is stored is compared: "provider" (the default: the service checks the MD5 of files up to Part, and is seen
	// to refuse a wrong one; larger ones are read back) or "readback" (everything is read back).
	Check string `yaml:"check"`
}

// IdentityEntra is the value of [AzureBlob.Identity].
const IdentityEntra = "entra"

// Bounds of [AzureBlob.Part], in bytes.
const (
	minPartBytes = 1 << 20
	maxPartBytes = 24 << 20
)

// tiers are those from which a blob can be read at once.
func tiers() []string { return []string{"hot", "cool", "cold"} }

func (a *AzureBlob) location() string {
	at := a.Endpoint + "/" + a.Container
	if a.Prefix != "" {
		at += "/" + a.Prefix
	}
	return at
}

func (a *AzureBlob) check() error {
	if len(a.Account) < 3 || len(a.Account) > 24 || strings.Trim(a.Account, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("account is %q; give the storage account's name alone, 3 to 24 lower-case letters and digits", a.Account)
	}
	if err := a.checkEndpoint(); err != nil {
		return err
	}
	if len(a.Container) < 3 || len(a.Container) > 63 || strings.Trim(a.Container, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("container is %q; give the container's name alone, and what is below it as prefix", a.Container)
	}
	if a.Prefix != "" {
		if err := backup.CheckPath(a.Prefix); err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
	}
	if err := a.checkLogin(); err != nil {
		return err
	}
	if a.Tier == "archive" {
		return errors.New("tier is archive, from which nothing can be read back at once; give cold, or let a lifecycle rule of the account archive recordings later")
	}
	if a.Tier != "" && !slices.Contains(tiers(), a.Tier) {
		return fmt.Errorf("tier is %q; give one of %s", a.Tier, strings.Join(tiers(), ", "))
	}
	if a.Part != nil && (*a.Part < minPartBytes || *a.Part > maxPartBytes) {
		return fmt.Errorf("part is %d bytes; give %d to %d MiB", *a.Part, minPartBytes>>20, maxPartBytes>>20)
	}
	if a.Check == "" {
		a.Check = CheckProvider
	}
	if a.Check != CheckProvider && a.Check != CheckReadback {
		return fmt.Errorf("check is %q; give %s or %s", a.Check, CheckProvider, CheckReadback)
	}
	return nil
}

// checkEndpoint fills in the endpoint. A credential goes over a line that is not encrypted only within this machine.
func (a *AzureBlob) checkEndpoint() error {
	if a.Endpoint == "" {
		a.Endpoint = "https://" + a.Account + ".blob.core.windows.net"
		return nil
	}
	u, err := url.Parse(a.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("endpoint is no URL such as https://example.blob.core.windows.net; a signature does not belong there, but into sas")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("endpoint is %s; give https, so that nobody on the line reads recordings", a.Endpoint)
	}
	a.Endpoint = strings.TrimSuffix(a.Endpoint, "/")
	return nil
}

func (a *AzureBlob) checkLogin() error {
	set := 0
	for _, is := range []bool{a.Key != nil, a.SAS != nil, a.Identity != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("give exactly one of key, sas and identity")
	case a.Key != nil:
		return inKey("key", a.Key.Check())
	case a.SAS != nil:
		return inKey("sas", a.SAS.Check())
	case a.Identity != IdentityEntra:
		return fmt.Errorf("identity is %q; give %s", a.Identity, IdentityEntra)
	case !strings.HasPrefix(a.Endpoint, "https://"):
		return errors.New("identity needs an endpoint with https")
	}
	return nil
}
