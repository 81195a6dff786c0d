package s3source

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/wolkvox/backup/server/internal/source"
)

// answerError is what a store answered in place of what it was asked for.
type answerError struct {
	status  int
	code    string // of the S3 API; for an answer without a body what the SDK makes of the status
	message string
	means   error // what it means for a source, nil where it means nothing in particular
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the store answers %s (%d): %s", e.code, e.status, e.message)
}

func (e *answerError) Unwrap() error { return e.means }

// meaning is what codes mean: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. A bucket that does not
// exist is no file that does not exist.
func meaning(code string, status int) error {
	switch code {
	case "NoSuchKey", "NotFound":
		return fs.ErrNotExist
	case "PreconditionFailed":
		return source.ErrChanging
	case "AccessDenied", "Forbidden":
		return fs.ErrPermission
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AccountProblem",
		"AllAccessDisabled", "NotSignedUp", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "PermanentRedirect", "NoSuchBucket":
		return source.ErrRefused
	}
	if status == http.StatusPreconditionFailed {
		return source.ErrChanging
	}
	return nil
}

// judged returns an answer of the store as an answerError, without what only the SDK's authors can read, and any other error as
// it is.
func judged(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if request, ok := errors.AsType[*url.Error](err); ok {
			return request // without how often the SDK tried it
		}
		if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
			return operation.Err
		}
		return err
	}
	answer := &answerError{code: api.ErrorCode(), message: api.ErrorMessage()}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		answer.status = response.HTTPStatusCode()
	}
	if answer.message == "" {
		answer.message = http.StatusText(answer.status)
	}
	answer.means = meaning(answer.code, answer.status)
	return answer
}

// isBare reports whether an answer is nothing but a status, other than that there is no such object.
func isBare(err error) bool {
	answer, ok := errors.AsType[*answerError](err)
	return ok && answer.means != fs.ErrNotExist
}

// isTaken reports that there already is an object, or was put at the same moment.
func isTaken(err error) bool {
	answer, ok := errors.AsType[*answerError](err)
	return ok && (answer.status == http.StatusPreconditionFailed || answer.status == http.StatusConflict)
}
