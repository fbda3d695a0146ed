package taskfiles

import "os"

func chown(*os.Root, string, Owner) error { return nil }
