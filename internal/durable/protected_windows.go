package durable

import "os"

// Protected is false: the read-only attribute of Windows can be taken away by whoever may write.
func Protected(*os.Root, string) (bool, error) { return false, nil }
