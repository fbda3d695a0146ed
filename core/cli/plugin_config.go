package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/config"
)

// pluginBlock is how a plugin is run without an agent: what an operator would write into the agent's configuration.
type pluginBlock struct {
	configFile string
	args       []string
}

func (p *pluginBlock) add(c *cobra.Command) {
	c.Flags().StringVar(&p.configFile, "config", "", "agent configuration file whose plugin block is this plugin's")
	c.Flags().StringArrayVar(&p.args, "arg", nil, "argument for the plugin's process (repeatable); wins over the plugin block's")
}

// read returns the plugin's arguments and configuration. A block is found as agents find it, by the file's name; a file
// with a single block needs no matching name.
func (p *pluginBlock) read(_ context.Context, path string) (args []string, block map[string]any, err error) {
	if p.configFile == "" {
		return p.args, nil, nil
	}
	src, err := os.ReadFile(p.configFile)
	if err != nil {
		return nil, nil, fmt.Errorf("-config: %w", err)
	}
	c, err := config.Parse(config.Default(), p.configFile, src)
	if err != nil {
		return nil, nil, err
	}
	found, err := findBlock(c.Plugins, strings.TrimSuffix(filepath.Base(path), ".exe"))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.configFile, err)
	}
	if args = found.Args; p.args != nil {
		args = p.args
	}
	return args, found.Config, nil
}

func findBlock(blocks []config.Plugin, name string) (config.Plugin, error) {
	var names []string
	for _, b := range blocks {
		if b.Name == name {
			return b, nil
		}
		names = append(names, fmt.Sprintf("%q", b.Name))
	}
	switch len(blocks) {
	case 0:
		return config.Plugin{}, fmt.Errorf("there is no plugin block: write plugin %q { config { ... } }", name)
	case 1:
		return blocks[0], nil
	}
	return config.Plugin{}, fmt.Errorf("none of its plugin blocks (%s) is named %q, like the file", strings.Join(names, ", "), name)
}
