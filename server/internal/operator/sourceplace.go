package operator

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

// sourcePlace is what the flags say about where recordings lie.
type sourcePlace struct {
	directory, sftp, s3, proofFile string

	hostKey, keyFile, passphraseFile, passwordFile string // of SFTP

	region, endpoint, credentialsFile string // of S3
	pathStyle                         bool
}

func (p *sourcePlace) flags(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&p.directory, "directory", "", "the absolute path of the `DIR` on the server's machine")
	f.StringVar(&p.proofFile, "proof-file", "", "a `FILE` there that proves that it is the place, instead of a marker")
	f.StringVar(&p.sftp, "sftp", "", "`USER@HOST[:PORT]/FOLDER`; /~/FOLDER is below the folder of the login")
	f.StringVar(&p.hostKey, "host-key", "", "the only `KEY` of the SFTP server that is taken, or its fingerprint (SHA256:…)")
	f.StringVar(&p.keyFile, "key-file", "", "the `FILE` with the private key for SFTP")
	f.StringVar(&p.passphraseFile, "passphrase-file", "", "the `FILE` with the private key's passphrase")
	f.StringVar(&p.passwordFile, "password-file", "", "the `FILE` with the password for SFTP")
	f.StringVar(&p.s3, "s3", "", "`BUCKET[/PREFIX]`")
	f.StringVar(&p.region, "region", "", "the bucket's `REGION`")
	f.StringVar(&p.endpoint, "endpoint", "", "the `URL` of a store that is not AWS")
	f.BoolVar(&p.pathStyle, "path-style", false, "name the bucket in the path, as most stores that are not AWS want it")
	f.StringVar(&p.credentialsFile, "credentials-file", "", "the `FILE` with credentials for S3, as ~/.aws/credentials; without it, what the server's environment has")
}

// source returns the source without tenant and name. What else is wrong the server says.
func (p *sourcePlace) source() (*backupv1.Source, error) {
	ofSFTP := p.hostKey != "" || p.keyFile != "" || p.passphraseFile != "" || p.passwordFile != ""
	ofS3 := p.region != "" || p.endpoint != "" || p.credentialsFile != "" || p.pathStyle
	given := 0
	for _, place := range []string{p.directory, p.sftp, p.s3} {
		if place != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, usage("one of --directory, --sftp and --s3 is wanted: name where the recordings lie")
	case ofSFTP && p.sftp == "":
		return nil, usage("--host-key, --key-file, --passphrase-file and --password-file go with --sftp")
	case ofS3 && p.s3 == "":
		return nil, usage("--region, --endpoint, --path-style and --credentials-file go with --s3")
	}
	s := &backupv1.Source{ProofFile: p.proofFile}
	switch {
	case p.directory != "":
		s.Directory = filepath.Clean(p.directory)
	case p.sftp != "":
		at, err := parseSFTP(p.sftp)
		if err != nil {
			return nil, err
		}
		at.HostKey, at.KeyFile, at.PassphraseFile, at.PasswordFile = p.hostKey, p.keyFile, p.passphraseFile, p.passwordFile
		s.Kind = &backupv1.Source_Sftp{Sftp: at}
	default:
		bucket, prefix, _ := strings.Cut(p.s3, "/")
		s.Kind = &backupv1.Source_S3{S3: &backupv1.S3Source{
			Bucket: bucket, Prefix: strings.Trim(prefix, "/"), Region: p.region, Endpoint: p.endpoint,
			PathStyle: p.pathStyle, CredentialsFile: p.credentialsFile,
		}}
	}
	return s, nil
}

// homeFolder stands before folders that are below that of the login.
const homeFolder = "/~/"

// parseSFTP takes USER@HOST[:PORT]/FOLDER apart.
func parseSFTP(text string) (*backupv1.SFTPSource, error) {
	login, folder, ok := strings.Cut(text, "/")
	at := strings.LastIndex(login, "@") // names of users may have one
	if !ok || at <= 0 || at == len(login)-1 {
		return nil, usage("--sftp %q is not of the form USER@HOST:PORT/FOLDER", text)
	}
	user, address, folder := login[:at], login[at+1:], "/"+folder
	if !strings.Contains(address, ":") || strings.HasSuffix(address, "]") {
		address += ":22"
	}
	if below, ok := strings.CutPrefix(folder, homeFolder); ok {
		folder = path.Clean(below)
	}
	return &backupv1.SFTPSource{Address: address, User: user, Folder: path.Clean(folder)}, nil
}

// sourceAt says what a source is and where it lies.
func sourceAt(s *backupv1.Source) (kind, place string) {
	if k := s.GetSftp(); k != nil {
		folder := k.GetFolder()
		if !path.IsAbs(folder) {
			folder = homeFolder + folder
		}
		return "sftp", k.GetUser() + "@" + k.GetAddress() + folder
	}
	if k := s.GetS3(); k != nil {
		place := path.Join(k.GetBucket(), k.GetPrefix())
		if k.GetEndpoint() != "" {
			place += " at " + k.GetEndpoint()
		}
		return "s3", place
	}
	return "directory", s.GetDirectory()
}
