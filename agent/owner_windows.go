package agent

// checkOwner leaves the question to the access list of the state directory, which the installer sets.
func checkOwner(string) error { return nil }
