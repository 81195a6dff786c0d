package durable

// Space is what a volume can still take, from the caller.
type Space struct {
	FreeBytes  int64 // available to this user: reserved blocks left out, on Windows quotas counted
	FreeInodes int64 // -1 where the file system has no fixed number of them
	TotalBytes int64
}
