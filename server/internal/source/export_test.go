package source

// OpenFolder opens the driver of a directory.
func OpenFolder(path string) (Driver, error) { return openFolder(path) }
