package wire

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain is the domain of every google.rpc.ErrorInfo of this protocol.
const Domain = "backup.wolkvox.com"

// Error returns an error that crosses gRPC with its code, its reason (proto/README.md, part 5) and a message that
// reaches a person: it names the thing, the cause and the remedy, and holds no secret.
func Error(code codes.Code, reason, format string, args ...any) error {
	return withDetails(code, fmt.Sprintf(format, args...), &errdetails.ErrorInfo{Reason: reason, Domain: Domain})
}

// RetryError is [Error] with the word when to come back (google.rpc.RetryInfo).
func RetryError(code codes.Code, reason string, after time.Duration, format string, args ...any) error {
	return withDetails(code, fmt.Sprintf(format, args...),
		&errdetails.ErrorInfo{Reason: reason, Domain: Domain},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
}

func withDetails(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	s := status.New(code, message)
	if detailed, err := s.WithDetails(details...); err == nil {
		return detailed.Err()
	}
	// Only a code of OK takes no details. An error that says OK would be no error.
	return status.Error(codes.Internal, message)
}

// Reason returns the reason of a status made by [Error], however it was wrapped since, and "" for every other error.
func Reason(err error) string {
	for _, detail := range details(err) {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info.GetReason()
		}
	}
	return ""
}

// RetryAfter returns when the peer wants to be asked again; false where it did not say.
func RetryAfter(err error) (time.Duration, bool) {
	for _, detail := range details(err) {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().CheckValid() == nil {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

func details(err error) []any {
	s, ok := status.FromError(err)
	if !ok || s == nil {
		return nil
	}
	return s.Details()
}
