package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/droverhq/drover/sdk/host/onenode"
	"github.com/droverhq/drover/sdk/plugin"
)

func baseChecks() []check {
	return []check{
		{name: "base/info", run: checkInfo,
			reason: "type and name are what jobs and operators call the plugin; hosts refuse versions they cannot compare"},
		{name: "base/api-version", run: checkAPIVersion,
			reason: "hosts load a plugin only if it lists a version of the contract that they speak"},
		{name: "base/config-schema", run: checkConfigSchema,
			reason: "the operator's plugin block is checked and encoded with it"},
		{name: "base/set-config-without-node", run: checkSetConfigWithoutNode,
			reason: "hosts validate the configuration, twice, before there is a node to tell about"},
		{name: "base/set-config-repeatable", run: checkSetConfigRepeatable,
			reason: "a changed configuration is set on the running plugin"},
		{name: "base/extensions", run: checkExtensions,
			reason: "what a plugin offers beyond the public contract is negotiated by name; none is fine"},
	}
}

// versionText is what hosts can compare: numbers with dots, then perhaps a pre-release and build information.
var versionText = regexp.MustCompile(`^v?\d+(\.\d+)*(-[0-9A-Za-z.~-]+)?(\+[0-9A-Za-z.~-]+)?$`)

func checkInfo(ctx context.Context, s *session) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	info, err := p.Client.Info(ctx)
	switch {
	case err != nil:
		return err
	case info.Type == 0:
		return errors.New("the type is unknown")
	case info.Name == "":
		return errors.New("the name is empty")
	case !versionText.MatchString(info.Version):
		return fmt.Errorf("the plugin's version %q is not a version such as 0.1.0", info.Version)
	}
	return nil
}

func checkAPIVersion(ctx context.Context, s *session) error {
	if err := s.identify(ctx); err != nil {
		return err
	}
	if len(s.info.APIVersions) == 0 {
		return errors.New("it lists no version of the contract")
	}
	spoken := plugin.APIVersion
	if s.info.Type == plugin.TypeNetwork {
		spoken = plugin.NetworkAPIVersion
	}
	want := strings.TrimPrefix(spoken, "v")
	if !slices.ContainsFunc(s.info.APIVersions, func(v string) bool { return strings.TrimPrefix(v, "v") == want }) {
		return fmt.Errorf("it lists %s, hosts speak %s", strings.Join(s.info.APIVersions, ", "), spoken)
	}
	return nil
}

func checkConfigSchema(ctx context.Context, s *session) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	spec, err := p.Client.ConfigSchema(ctx)
	if err != nil {
		return err
	}
	if spec == nil {
		return skip("the plugin takes no configuration")
	}
	if err := spec.Check(); err != nil {
		return err
	}
	if !spec.Validate(map[string]any{"no_plugin_has_this_key": true}).HasErrors() {
		return warn(errors.New("the schema accepts any key, so misspelt ones are not found"))
	}
	return nil
}

func checkSetConfigWithoutNode(ctx context.Context, s *session) error {
	p, err := s.plugin.Launch(ctx)
	if err != nil {
		return err
	}
	defer p.Kill(ctx)
	for range 2 {
		if err := s.plugin.Configure(ctx, p.Client, nil); err != nil {
			return err
		}
	}
	_, err = p.Client.Info(ctx)
	return err
}

func checkSetConfigRepeatable(ctx context.Context, s *session) error {
	p, err := s.plugin.Start(ctx)
	if err != nil {
		return err
	}
	defer p.Kill(ctx)
	for range 2 {
		if err := s.plugin.Configure(ctx, p.Client, onenode.Node()); err != nil {
			return err
		}
	}
	_, err = p.Client.Info(ctx)
	return err
}

func checkExtensions(ctx context.Context, s *session) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	ext, err := p.Client.Negotiate(ctx, s.plugin.Host)
	if err != nil {
		return err
	}
	if ext.SDKVersion == "" && len(ext.Names) == 0 {
		return skip("the plugin has no extensions")
	}
	known := []string{plugin.ExtensionConfigCheck, plugin.ExtensionHandOver, plugin.ExtensionDeviceRelease}
	for _, name := range ext.Names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("it serves extension %q, which the host did not offer", name)
		}
	}
	return nil
}
