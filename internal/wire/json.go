package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The JSON of both programs is made for scripts, where protobuf's own mapping gets in the way: it writes 64-bit numbers as
// strings and digests in base64. Here keys are the field names of the contract, all of them and in its order; numbers are
// numbers (the contract's are below 2^53); digests and hashes are hexadecimal; instants are RFC 3339, durations seconds;
// enum values are their short names in lower case; what is unset is null.

// IndentedJSON returns a message as JSON for scripts, over several lines.
func IndentedJSON(m proto.Message) ([]byte, error) {
	text, err := CompactJSON(m)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	return b.Bytes(), err
}

// CompactJSON returns a message as JSON for scripts, on one line.
func CompactJSON(m proto.Message) ([]byte, error) { return appendMessage(nil, m.ProtoReflect()) }

func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	switch known := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return appendJSON(b, known.AsTime().Format(time.RFC3339Nano))
	case *durationpb.Duration:
		return appendJSON(b, known.AsDuration().Seconds())
	}
	b = append(b, '{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, field.Name()...)
		b = append(b, `":`...)
		var err error
		if b, err = appendField(b, m, field); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, m protoreflect.Message, field protoreflect.FieldDescriptor) ([]byte, error) {
	if field.HasPresence() && !m.Has(field) {
		return append(b, "null"...), nil
	}
	if !field.IsList() {
		return appendValue(b, m.Get(field), field)
	}
	b = append(b, '[')
	list := m.Get(field).List()
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, list.Get(i), field); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, v protoreflect.Value, field protoreflect.FieldDescriptor) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(b, v.Message())
	case protoreflect.EnumKind:
		return appendJSON(b, shortName(field.Enum(), v.Enum()))
	case protoreflect.BytesKind:
		if field.Name() == "source_path" {
			return appendJSON(b, strings.ToValidUTF8(string(v.Bytes()), "\uFFFD"))
		}
		return appendJSON(b, hex.EncodeToString(v.Bytes()))
	case protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.StringKind:
		return appendJSON(b, v.Interface())
	}
	return nil, fmt.Errorf("no JSON for the field %s", field.FullName())
}

// shortName returns "pending" for ITEM_STATE_PENDING.
func shortName(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := enum.Values().ByNumber(number)
	if value == nil {
		return fmt.Sprint(number)
	}
	prefix := strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix)), "_", "-")
}

func appendJSON(b []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(b, text...), err
}
