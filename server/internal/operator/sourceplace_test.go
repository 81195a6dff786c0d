package operator

import (
	"testing"

	"google.golang.org/protobuf/proto"

	backupv1 "github.com/wolkvox/backup/gen/wolkvox/backup/v1"
)

func TestSourcePlace(t *testing.T) {
	t.Parallel()
	sftp := func(user, address, folder string) *backupv1.Source {
		return &backupv1.Source{Kind: &backupv1.Source_Sftp{Sftp: &backupv1.SFTPSource{User: user, Address: address, Folder: folder}}}
	}
	for text, c := range map[string]struct {
		flags sourcePlace
		want  *backupv1.Source // nil: refused
		place string
	}{
		"directory": {sourcePlace{directory: "/srv//calls/"}, &backupv1.Source{Directory: "/srv/calls"}, "/srv/calls"},
		"sftp":      {sourcePlace{sftp: "u@h:2222/a/b"}, sftp("u", "h:2222", "/a/b"), "u@h:2222/a/b"},
		"port":      {sourcePlace{sftp: "u@h/a/b/"}, sftp("u", "h:22", "/a/b"), "u@h:22/a/b"},
		"root":      {sourcePlace{sftp: "u@h/"}, sftp("u", "h:22", "/"), "u@h:22/"},
		"home":      {sourcePlace{sftp: "u@h/~/a"}, sftp("u", "h:22", "a"), "u@h:22/~/a"},
		"all home":  {sourcePlace{sftp: "u@h/~/"}, sftp("u", "h:22", "."), "u@h:22/~/."},
		"user":      {sourcePlace{sftp: "u@corp@h/a"}, sftp("u@corp", "h:22", "/a"), "u@corp@h:22/a"},
		"v6":        {sourcePlace{sftp: "u@[::1]/a"}, sftp("u", "[::1]:22", "/a"), "u@[::1]:22/a"},
		"s3": {sourcePlace{s3: "b/p/q/", region: "r"}, &backupv1.Source{Kind: &backupv1.Source_S3{S3: &backupv1.S3Source{Bucket: "b", Prefix: "p/q", Region: "r"}}},
			"b/p/q"},
		"store": {sourcePlace{s3: "b", endpoint: "https://h"}, &backupv1.Source{Kind: &backupv1.Source_S3{S3: &backupv1.S3Source{Bucket: "b", Endpoint: "https://h"}}},
			"b at https://h"},

		"nothing": {}, "two": {flags: sourcePlace{directory: "/d", s3: "b"}}, "no user": {flags: sourcePlace{sftp: "h/a"}},
		"no folder": {flags: sourcePlace{sftp: "u@h"}}, "no host": {flags: sourcePlace{sftp: "u@/a"}},
		"key of a directory": {flags: sourcePlace{directory: "/d", keyFile: "/k"}}, "region of sftp": {flags: sourcePlace{sftp: "u@h/a", region: "r"}},
	} {
		got, err := c.flags.source()
		if (err != nil) != (c.want == nil) || err == nil && !proto.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, c.want)
			continue
		}
		if _, place := sourceAt(got); err == nil && place != c.place {
			t.Errorf("%s is shown as %q, want %q", text, place, c.place)
		}
	}
}
