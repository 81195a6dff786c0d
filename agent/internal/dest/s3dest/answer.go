package s3dest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/wolkvox/backup/agent/internal/dest"
)

// Codes of the S3 API that decide what happens next (the API reference's list of error codes).
const (
	codeNoSuchKey           = "NoSuchKey"
	codePreconditionFailed  = "PreconditionFailed"
	codeConditionalConflict = "ConditionalRequestConflict"
	codeAccessDenied        = "AccessDenied"
	codeNotImplemented      = "NotImplemented"
)

// explain gives an error of the SDK the form of the contract: the service's code where it answered, the cause of ctx where that
// has ended, and otherwise unreachable. NoSuchKey is fs.ErrNotExist: the service says it only of a bucket that is there.
func (s *S3) explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	status, request := 0, ""
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode()
		if response.RequestID != "" {
			request = ", request " + response.RequestID
		}
	}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		cause := fmt.Errorf("%s: %s%s", what, answer.ErrorMessage(), request)
		if answer.ErrorCode() == codeNoSuchKey {
			cause = fmt.Errorf("%s: %w%s", what, fs.ErrNotExist, request)
		}
		return &dest.CodeError{Space: dest.SpaceS3, Number: int64(status), Name: answer.ErrorCode(), Cause: cause}
	}
	if status >= http.StatusMultipleChoices {
		return &dest.CodeError{Space: dest.SpaceS3, Number: int64(status), Cause: fmt.Errorf("%s: %s%s", what, http.StatusText(status), request)}
	}
	return &dest.UnreachableError{Place: s.place, Cause: fmt.Errorf("%s: %w", what, err)}
}

// codeOf returns the service's code in an error of explain, empty where there is none.
func codeOf(err error) string {
	if code, ok := errors.AsType[*dest.CodeError](err); ok && code.Space == dest.SpaceS3 {
		return code.Name
	}
	return ""
}

// bare returns the status of an answer to HEAD, which has no body and so no code.
func bare(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}
