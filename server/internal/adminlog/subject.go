package adminlog

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxSubjectBytes bounds what one record says of a request.
const maxSubjectBytes = 4 << 10

// secretFields are the names of fields that hold secrets. Fields of bytes are left out too, whatever they are called:
// what an administrator names is text, and the rest is keys and signatures. A public key is left out because a private one is
// soon pasted in its place.
var secretFields = map[protoreflect.Name]bool{"secret": true, "join": true, "password": true, "private_key": true, "public_key": true}

// describe returns what a request says, as JSON without secrets, and the tenant that it names.
func describe(request any) (subject, tenant string, err error) {
	m, ok := request.(proto.Message)
	if !ok {
		return "", "", fmt.Errorf("describe a request: it is a %T", request)
	}
	m = proto.Clone(m)
	redact(m.ProtoReflect())
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return "", "", fmt.Errorf("describe a request: %w", err)
	}
	var compact bytes.Buffer // protojson puts spaces where it likes
	if err := json.Compact(&compact, text); err != nil {
		return "", "", fmt.Errorf("describe a request: %w", err)
	}
	subject = compact.String()
	if len(subject) > maxSubjectBytes {
		beginning, err := json.Marshal(map[string]string{"beginning": subject[:maxSubjectBytes/2]})
		if err != nil {
			return "", "", fmt.Errorf("describe a request: %w", err)
		}
		subject = string(beginning)
	}
	return subject, tenantOf(m.ProtoReflect()), nil
}

func redact(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Kind() == protoreflect.BytesKind || secretFields[field.Name()] || field.IsMap():
			m.Clear(field)
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			for i := range value.List().Len() {
				redact(value.List().Get(i).Message())
			}
		case field.Kind() == protoreflect.MessageKind:
			redact(value.Message())
		}
		return true
	})
}

// tenantOf returns the tenant that a request names: in its field `tenant`, in the `name` of the tenant that it describes,
// or in the `tenant` of what else it describes.
func tenantOf(m protoreflect.Message) string {
	fields := m.Descriptor().Fields()
	if field := fields.ByName("tenant"); field != nil {
		if field.Kind() == protoreflect.StringKind {
			return m.Get(field).String()
		}
		if name := field.Message().Fields().ByName("name"); name != nil {
			return m.Get(field).Message().Get(name).String()
		}
	}
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Kind() != protoreflect.MessageKind || field.IsList() {
			continue
		}
		if inner := field.Message().Fields().ByName("tenant"); inner != nil && inner.Kind() == protoreflect.StringKind {
			return m.Get(field).Message().Get(inner).String()
		}
	}
	return ""
}

// isDryRun reports whether a request only asks what would be done.
func isDryRun(request any) bool {
	m, ok := request.(proto.Message)
	if !ok {
		return false
	}
	field := m.ProtoReflect().Descriptor().Fields().ByName("dry_run")
	return field != nil && field.Kind() == protoreflect.BoolKind && m.ProtoReflect().Get(field).Bool()
}
