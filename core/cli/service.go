package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func serviceCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("service", "Look into the service catalog", serviceList(a), serviceInfo(a), serviceDelete(a))}
}

func serviceList(a *app) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List services", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out []struct {
			Namespace string
			Services  []struct {
				ServiceName string
				Tags        []string
			}
		}
		if _, err := cl.get(cmd.Context(), "/v1/services", nil, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			rows := [][]string{{"Service Name", "Tags"}}
			for _, ns := range out {
				for _, s := range ns.Services {
					rows = append(rows, []string{s.ServiceName, "[" + strings.Join(s.Tags, ",") + "]"})
				}
			}
			if len(rows) == 1 {
				fmt.Fprintln(w, "No services found")
				return
			}
			printTable(w, rows...)
		})
	}
	return c
}

func serviceInfo(a *app) *cobra.Command {
	var verbose bool
	var filter string
	c := &cobra.Command{Use: "info <name>", Short: "List the instances of a service", Args: cobra.ExactArgs(1)}
	f := addFormat(c)
	c.Flags().BoolVar(&verbose, "verbose", false, "full IDs")
	c.Flags().StringVar(&filter, "filter", "", "only those an expression holds for")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var regs []*model.ServiceRegistration
		if _, err := cl.get(cmd.Context(), "/v1/service/"+seg(args[0]), query{"filter": filter}, &regs); err != nil {
			return err
		}
		return f.print(a.Stdout, regs, func(w io.Writer) {
			if len(regs) == 0 {
				fmt.Fprintln(w, "No service registrations found")
				return
			}
			rows := [][]string{{"Job ID", "Address", "Tags", "Node ID", "Alloc ID"}}
			for _, r := range regs {
				rows = append(rows, []string{r.JobID, fmt.Sprintf("%s:%d", r.Address, r.Port), "[" + strings.Join(r.Tags, ",") + "]", short(r.NodeID, verbose), short(r.AllocID, verbose)})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func serviceDelete(a *app) *cobra.Command {
	return &cobra.Command{Use: "delete <name> <id>", Short: "Remove one registration", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			if err := cl.delete(cmd.Context(), "/v1/service/"+seg(args[0])+"/"+seg(args[1]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(a.Stdout, "Successfully deleted service registration")
			return nil
		}}
}
