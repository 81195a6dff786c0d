//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// The access key of the part s3, which ends with it.
const keyID, secretKey = "AKIAWOLKVOXBENCH0000", "a-secret-of-this-benchmark-alone"

// startS3 starts versitygw, which serves the folder root as a bucket.
func startS3(ctx context.Context, dir, root string, source tree) (*peer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	key, bucket, endpoint := filepath.Join(dir, "key"), filepath.Base(root), fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := os.WriteFile(key, []byte(keyID+"\n"+secretKey+"\n"), 0o600); err != nil {
		return nil, err
	}
	p := &peer{root: root}
	p.where = func(to string) string {
		return fmt.Sprintf("  s3:\n    bucket: %s\n    prefix: %s\n    endpoint: %s\n    path_style: true\n    key: {file: %q}\n", bucket, p.below(to), endpoint, key)
	}
	with := func(program string, args ...string) (string, []string, error) {
		return "env", append([]string{"-u", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_REGION=us-east-1", program}, args...), nil
	}
	p.copiers = []copier{
		&tool{"rclone copy", p, func(to string) (string, []string, error) {
			return with("rclone", append(rcloneFlags(), "--s3-provider=Other", "--s3-env-auth", "--s3-region=us-east-1", "--s3-force-path-style", "--s3-no-check-bucket",
				"--s3-endpoint="+endpoint, source.dir, ":s3:"+bucket+"/"+p.below(to))...)
		}},
		&tool{"s5cmd cp", p, func(to string) (string, []string, error) {
			return with("s5cmd", "--log=error", "--endpoint-url="+endpoint, "cp", source.dir+"/", "s3://"+bucket+"/"+p.below(to)+"/")
		}},
	}
	p.service, err = startService(filepath.Join(dir, "output"), "env", "ROOT_ACCESS_KEY="+keyID, "ROOT_SECRET_KEY="+secretKey,
		"versitygw", "--port", fmt.Sprintf("127.0.0.1:%d", port), "posix", filepath.Dir(root))
	return p, p.answers(ctx, port, err)
}
