package fault

import (
	"fmt"
	"net/http"
)

// statusRows are what HTTP statuses say where a provider's code is missing or not known. Any code that is there says more.
func statusRows() map[int64]row {
	return map[int64]row{
		http.StatusBadRequest:          {class: ClassClientBug, vague: true},
		http.StatusUnauthorized:        {class: ClassCredential, vague: true},
		http.StatusForbidden:           {class: ClassPermission, vague: true},
		http.StatusNotFound:            {class: ClassDestConfig, topic: topicNotFound, vague: true},
		http.StatusMethodNotAllowed:    {class: ClassDestConfig, topic: topicUnsupported, vague: true},
		http.StatusRequestTimeout:      {class: ClassNetwork, topic: topicTimeout, vague: true},
		http.StatusConflict:            {class: ClassTransient, party: PartyCloudProvider, vague: true},
		http.StatusPreconditionFailed:  {class: ClassIntegrity, topic: topicConflict, item: true, vague: true},
		http.StatusTooManyRequests:     {class: ClassThrottle, party: PartyCloudProvider, vague: true},
		http.StatusInternalServerError: {class: ClassTransient, party: PartyCloudProvider, vague: true},
		http.StatusNotImplemented:      {class: ClassDestConfig, topic: topicUnsupported, vague: true},
		http.StatusBadGateway:          {class: ClassTransient, party: PartyCloudProvider, vague: true},
		http.StatusServiceUnavailable:  {class: ClassThrottle, party: PartyCloudProvider, vague: true},
		http.StatusGatewayTimeout:      {class: ClassTransient, party: PartyCloudProvider, vague: true},
		http.StatusInsufficientStorage: {class: ClassCapacity},
	}
}

// ofHTTPStatus returns what a status says, false where it says nothing. The provider's code is told where there is one.
func ofHTTPStatus(code string, status int64) (row, bool) {
	r, known := statusRows()[status]
	if r.code = code; code == "" {
		r.code = fmt.Sprintf("HTTP %d", status)
	}
	return r, known
}
