package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// windowsService is what the commands below need of the service manager. It exists on Windows only.
type windowsService interface {
	// install registers this program to be started with Windows, as `drover windows service run` with args.
	install(name, display, account, password string, args []string) error
	uninstall(name string) error
	// run lets the service manager start and stop f, whose context ends with the stop.
	run(a *app, name string, args []string) error
}

// errNotWindows is what the commands say elsewhere.
var errNotWindows = errors.New("there is no Windows service manager here; on Linux run the agent as a systemd unit")

func windowsCommands(a *app) []*cobra.Command {
	root := &cobra.Command{Use: "windows", Short: "Run the agent as a Windows service"}
	service := &cobra.Command{Use: "service", Short: "Install, uninstall and run the service"}
	root.AddCommand(service)
	var name string
	service.PersistentFlags().StringVar(&name, "name", "drover", "the service's name")

	var display, account, password string
	install := &cobra.Command{Use: "install [agent flags]", Short: "Install the agent as a service that starts with Windows", Args: cobra.ArbitraryArgs,
		Long:    "Install the agent as a service that starts with Windows and is started again when it fails. What follows -- are the flags of `drover agent`.",
		Example: `  drover windows service install -- -config C:\drover\agent.hcl`}
	install.Flags().StringVar(&display, "display-name", "Drover agent", "name shown to people")
	install.Flags().StringVar(&account, "account", "", "account the service runs as (default: LocalSystem)")
	install.Flags().StringVar(&password, "password", "", "the account's password")
	install.RunE = func(_ *cobra.Command, args []string) error {
		if err := thisWindows().install(name, display, account, password, args); err != nil {
			return fmt.Errorf("install service %s: %w", name, err)
		}
		fmt.Fprintf(a.Stdout, "Service %s is installed. Start it with: net start %s\n", name, name)
		return nil
	}
	uninstall := &cobra.Command{Use: "uninstall", Short: "Stop and remove the service; tasks run on", Args: cobra.NoArgs}
	uninstall.RunE = func(*cobra.Command, []string) error {
		if err := thisWindows().uninstall(name); err != nil {
			return fmt.Errorf("uninstall service %s: %w", name, err)
		}
		fmt.Fprintf(a.Stdout, "Service %s is uninstalled.\n", name)
		return nil
	}
	run := &cobra.Command{Use: "run [agent flags]", Short: "What the service manager starts", Hidden: true, Args: cobra.ArbitraryArgs}
	run.RunE = func(_ *cobra.Command, args []string) error { return thisWindows().run(a, name, args) }
	service.AddCommand(install, uninstall, run)
	return []*cobra.Command{root}
}
