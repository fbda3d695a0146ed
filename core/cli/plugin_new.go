package cli

import (
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/sdk/templates"
)

// releaseVersion is a version that can be required in a go.mod: a tag without anything behind it.
var releaseVersion = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)$`)

func pluginNew(a *app) *cobra.Command {
	var dir, module string
	c := &cobra.Command{Use: "new <driver|device|network> <name>", Short: "Write the beginnings of a plugin", Args: cobra.ExactArgs(2),
		Long: "Writes a Go module that compiles, with a test that passes and a README that says how to go on."}
	c.Flags().StringVar(&dir, "dir", "", "where to write it; default: the binary's name")
	c.Flags().StringVar(&module, "module", "", "module path; default: the binary's name")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o := templates.Options{Kind: args[0], Name: args[1], Module: module}
		if m := releaseVersion.FindStringSubmatch(a.Version); m != nil {
			o.SDKVersion = "v" + m[1]
		}
		if dir == "" {
			dir = o.Binary()
		}
		files, err := templates.Write(dir, o)
		if err != nil {
			return err
		}
		for _, f := range files {
			fmt.Fprintln(a.Stdout, filepath.Join(dir, f))
		}
		get := "go mod tidy"
		if o.SDKVersion == "" {
			get = "go get " + templates.SDK + "@latest && " + get
		}
		fmt.Fprintf(a.Stdout, "\nGo on with:\n  cd %s\n  %s\n  go test ./...\n  go build && drover plugin verify ./%s\n", dir, get, o.Binary())
		return nil
	}
	return c
}
