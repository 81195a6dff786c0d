// Package s3source reads recordings that lie in a bucket of S3, or of a store that is compatible with it. An object is a
// file whose path is its key below the prefix. It reads objects as they were when they were opened, and not another that
// took the place of one meanwhile.
//
// It writes nothing but the marker, looks at no earlier versions of objects, and judges nothing: see [source.Driver].
package s3source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wolkvox/backup/internal/identity"
	"github.com/wolkvox/backup/server/internal/source"
)

// Config says where recordings lie and how to get there. It is comparable.
type Config struct {
	Bucket    string
	Prefix    string // what the keys begin with, before a slash; empty for the whole bucket
	Region    string
	Endpoint  string // a URL; empty for AWS
	PathStyle bool   // the bucket stands in the path, not in the host's name
	// CredentialsFile has the form of ~/.aws/credentials; its profile default counts. Only the server's own user may read it.
	// It is read whenever the source is opened. Empty for what the environment or the machine has.
	CredentialsFile string
}

const (
	dialTimeout   = 20 * time.Second
	answerTimeout = 30 * time.Second // for the first bytes of an answer
	connections   = 64               // at once

	attempts   = 3 // of a request that fails for no lasting reason
	maxBackoff = 2 * time.Second
)

// Bucket opens one source. Its connections are kept, for as many requests as are made at once. Its methods may be called
// concurrently.
type Bucket struct {
	config Config
	http   *awshttp.BuildableClient
}

// New returns a bucket, and asks nobody. The error says what is wrong with the configuration.
func New(c Config) (*Bucket, error) {
	switch {
	case c.Bucket == "":
		return nil, errors.New("the bucket is missing")
	case c.Region == "":
		return nil, errors.New("the region is missing")
	case strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/"):
		return nil, fmt.Errorf("the prefix %q has a slash at an end", c.Prefix)
	}
	if c.Endpoint != "" {
		if at, err := url.Parse(c.Endpoint); err != nil || at.Host == "" {
			return nil, fmt.Errorf("the endpoint %q is no URL", c.Endpoint)
		}
	}
	client := awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = answerTimeout
			t.MaxConnsPerHost, t.MaxIdleConnsPerHost = connections, connections
		})
	return &Bucket{config: c, http: client}, nil
}

// Name says where the source lies: s3://bucket/prefix, and the endpoint that is not AWS's.
func (b *Bucket) Name() string {
	name := "s3://" + b.config.Bucket
	if b.config.Prefix != "" {
		name += "/" + b.config.Prefix
	}
	if b.config.Endpoint != "" {
		name += " at " + b.config.Endpoint
	}
	return name
}

// Remedy says what people can do where the bucket cannot be reached.
const Remedy = "see that the bucket and its endpoint are the right ones, and that the credentials may list it and read its objects"

// Open returns the source for one piece of work, with the credentials as they are now. The error wraps
// [source.ErrUnreachable] and [source.ErrRefused] where there are none, or is the context's.
func (b *Bucket) Open(ctx context.Context) (source.Driver, error) {
	cfg, err := b.aws(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open source %q: %w", b.Name(), context.Cause(ctx))
		}
		return nil, source.Unreachable(b.Name(), Remedy, fmt.Errorf("%w: %w", source.ErrRefused, err))
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if b.config.Endpoint != "" {
			o.BaseEndpoint = &b.config.Endpoint
		}
		o.UsePathStyle = b.config.PathStyle
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff, r.RateLimiter = attempts, maxBackoff, ratelimit.None
		})
		// What is read is hashed here; compatible stores do not all know the SDK's own checksums.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return &driver{bucket: b, client: client}, nil
}

// aws finds the credentials. What a file says counts before everything in the environment.
func (b *Bucket) aws(ctx context.Context) (aws.Config, error) {
	if b.config.CredentialsFile == "" {
		return config.LoadDefaultConfig(ctx, config.WithRegion(b.config.Region), config.WithHTTPClient(b.http))
	}
	if _, err := identity.ReadPrivate(b.config.CredentialsFile); err != nil {
		return aws.Config{}, err
	}
	profile, err := config.LoadSharedConfigProfile(ctx, config.DefaultSharedConfigProfile, func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{b.config.CredentialsFile}, []string{}
	})
	if err != nil || !profile.Credentials.HasKeys() {
		return aws.Config{}, fmt.Errorf("the secret file %s has no profile [%s] with aws_access_key_id and aws_secret_access_key",
			b.config.CredentialsFile, config.DefaultSharedConfigProfile)
	}
	return aws.Config{Region: b.config.Region, HTTPClient: b.http, Credentials: credentials.StaticCredentialsProvider{Value: profile.Credentials}}, nil
}

// Close closes the connections that nobody uses.
func (b *Bucket) Close() error {
	b.http.GetTransport().CloseIdleConnections()
	return nil
}
