package s3dest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// How often the SDK tries a request, and how long it waits between tries at most.
const (
	maxAttempts = 3
	maxBackoff  = 2 * time.Second
)

// client returns a client with the credentials as they are now.
func (s *S3) client(ctx context.Context) (*s3.Client, error) {
	cfg, err := s.config(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.As(err, new(smithy.APIError)) { // of the service that hands them out
			return nil, s.explain(ctx, "get credentials", err)
		}
		return nil, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("find credentials for %s: %w", s.place, err)}
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.BaseEndpoint = optional(s.o.Endpoint)
		o.UsePathStyle = s.o.PathStyle
		// Checksums are given with each put, as a header; what is read is hashed here.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
	}), nil
}

func (s *S3) config(ctx context.Context) (aws.Config, error) {
	if s.o.Keys != nil {
		text, err := s.o.Keys()
		if err != nil {
			return aws.Config{}, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeSecret, Cause: fmt.Errorf("read the access key for %s: %w", s.place, err)}
		}
		keys, err := parseKeys(text)
		if err != nil {
			return aws.Config{}, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("the access key for %s: %w", s.place, err)}
		}
		return aws.Config{Region: s.o.Region, Credentials: keys, HTTPClient: s.transport, Retryer: newRetryer}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.o.Region), config.WithHTTPClient(s.transport), config.WithRetryer(newRetryer),
		config.WithSharedConfigProfile(s.o.Profile))
	if err != nil {
		return aws.Config{}, &dest.CodeError{Space: dest.SpaceDriver, Name: dest.CodeAuth, Cause: fmt.Errorf("load the AWS configuration for %s: %w", s.place, err)}
	}
	return cfg, nil
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = maxAttempts, maxBackoff, ratelimit.None
	})
}

// parseKeys reads an access key id, its secret and perhaps a session token, a line for each. An error does not hold them.
func parseKeys(text string) (credentials.StaticCredentialsProvider, error) {
	words := strings.Fields(text)
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")), "\n")
	if len(lines) < 2 || len(lines) > 3 {
		return credentials.StaticCredentialsProvider{}, fmt.Errorf("it has %d lines (%d words): give the access key id on the first line and the secret on the second", len(lines), len(words))
	}
	for i := range lines {
		if lines[i] = strings.TrimSpace(lines[i]); lines[i] == "" {
			return credentials.StaticCredentialsProvider{}, fmt.Errorf("its line %d is empty: give the access key id on the first line and the secret on the second", i+1)
		}
	}
	return credentials.NewStaticCredentialsProvider(lines[0], lines[1], strings.Join(lines[2:], "")), nil
}
