//go:build !windows

package cli

type noWindows struct{}

func thisWindows() windowsService { return noWindows{} }

func (noWindows) install(string, string, string, string, []string) error { return errNotWindows }
func (noWindows) uninstall(string) error                                 { return errNotWindows }
func (noWindows) run(*app, string, []string) error                       { return errNotWindows }
