package backup

import "strconv"

// Method says how what is stored was compared with the recorded digest, strongest first. Its text stands in receipts
// (proto/README.md, part 2). The zero value is no method.
type Method string

// The methods without a parameter. [ProviderSHA256Parts] makes the one that has one.
const (
	ReadbackUncached   Method = "readback-sha256 uncached" // read again past the operating system's cache
	ReadbackCached     Method = "readback-sha256 cached"   // read again, perhaps from the operating system's cache
	ProviderSHA256     Method = "provider-sha256"          // computed by the service over the whole object
	PeerReadbackSHA256 Method = "peer-readback-sha256"     // computed by the machine that stores it over what it stored
	PeerReadbackSHA512 Method = "peer-readback-sha512"
	PeerReadbackSHA1   Method = "peer-readback-sha1"
	PeerReadbackMD5    Method = "peer-readback-md5"
	ProviderMD5        Method = "provider-md5"
)

// ProviderSHA256Parts is the method of a service that computed SHA-256 over parts of partBytes bytes, at least 1.
func ProviderSHA256Parts(partBytes int64) Method {
	return Method("provider-sha256-parts " + strconv.FormatInt(partBytes, 10))
}
