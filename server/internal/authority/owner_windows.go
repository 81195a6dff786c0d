package authority

// checkOwner leaves the question to the access list of the state directory.
func checkOwner(string) error { return nil }
