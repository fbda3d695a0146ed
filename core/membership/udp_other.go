//go:build !windows

package membership

import "errors"

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
