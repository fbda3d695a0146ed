package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/moby/moby/api/types/registry"

	"github.com/droverhq/drover/drivers-docker/config"
)

// hubKey is the name of Docker's own registry in client configurations.
const hubKey = "https://index.docker.io/v1/"

// helperTimeout bounds a credential helper, which may ask a slow service.
const helperTimeout = 30 * time.Second

// Keyring finds registry credentials: those of the job, then the operator's file, then the operator's helper.
type Keyring struct {
	Config config.Auth
	// ReadFile and Helper are the outside world; NewKeyring sets the real one.
	ReadFile func(path string) ([]byte, error)
	Helper   func(ctx context.Context, program, server string) ([]byte, error)
}

// NewKeyring returns a keyring on real files and helpers.
func NewKeyring(c config.Auth) *Keyring {
	return &Keyring{Config: c, ReadFile: os.ReadFile, Helper: runHelper}
}

// Lookup returns what to send to the registry, nil for nothing. Secrets appear in no error.
func (k *Keyring) Lookup(ctx context.Context, ref Reference, job config.TaskAuth) (*registry.AuthConfig, error) {
	if job.Username != "" || job.Password != "" {
		return &registry.AuthConfig{Username: job.Username, Password: job.Password, ServerAddress: job.ServerAddress}, nil
	}
	if k.Config.Config != "" {
		found, err := k.fromFile(ctx, ref)
		if found != nil || err != nil {
			return found, err
		}
	}
	if k.Config.Helper != "" {
		return k.fromHelper(ctx, k.Config.Helper, serverName(ref.Host))
	}
	return nil, nil
}

// clientConfig is the part of a docker client's config.json that is about credentials.
type clientConfig struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

func (k *Keyring) fromFile(ctx context.Context, ref Reference) (*registry.AuthConfig, error) {
	data, err := k.ReadFile(k.Config.Config)
	if err != nil {
		return nil, fmt.Errorf("auth.config of the docker plugin: %w", err)
	}
	var c clientConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("auth.config of the docker plugin: %s is not a docker client's config.json", k.Config.Config)
	}
	for name, entry := range c.Auths {
		if registryName(name) != ref.Host || entry.Auth+entry.Username+entry.IdentityToken+entry.RegistryToken == "" {
			continue
		}
		found := &registry.AuthConfig{
			Username: entry.Username, Password: entry.Password, ServerAddress: name,
			IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
		}
		if entry.Auth != "" {
			if found.Username, found.Password, err = decodePair(entry.Auth); err != nil {
				return nil, fmt.Errorf("auth.config of the docker plugin: %s: entry of %s: %w", k.Config.Config, name, err)
			}
		}
		return found, nil
	}
	for name, helper := range c.CredHelpers {
		if registryName(name) == ref.Host {
			return k.fromHelper(ctx, helper, serverName(ref.Host))
		}
	}
	if c.CredsStore != "" {
		return k.fromHelper(ctx, c.CredsStore, serverName(ref.Host))
	}
	return nil, nil
}

// decodePair reads base64 of user:password.
func decodePair(text string) (user, password string, err error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", "", errors.New("auth is not base64")
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(data), "\x00"), ":")
	if !ok {
		return "", "", errors.New("auth is not user:password")
	}
	return user, password, nil
}

// registryName reduces an entry's name, which may be an address, to the registry's name.
func registryName(entry string) string {
	entry = strings.TrimPrefix(strings.TrimPrefix(entry, "https://"), "http://")
	host, _, _ := strings.Cut(entry, "/")
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return "docker.io"
	}
	return host
}

func serverName(host string) string {
	if host == "docker.io" {
		return hubKey
	}
	return host
}

// helperName keeps a helper a name: it becomes part of a program's name.
var helperName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// nothingFound is what helpers print when they have no entry.
const nothingFound = "credentials not found"

func (k *Keyring) fromHelper(ctx context.Context, helper, server string) (*registry.AuthConfig, error) {
	if !helperName.MatchString(helper) {
		return nil, fmt.Errorf("credential helper %q is not a plain name", helper)
	}
	program := "docker-credential-" + helper
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	out, err := k.Helper(ctx, program, server)
	if err != nil {
		if strings.Contains(strings.ToLower(string(out)), nothingFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s get for %s: %w", program, server, err)
	}
	var reply struct{ Username, Secret string }
	if err := json.Unmarshal(out, &reply); err != nil {
		return nil, fmt.Errorf("%s get for %s: its answer is not the expected JSON", program, server)
	}
	found := &registry.AuthConfig{Username: reply.Username, Password: reply.Secret, ServerAddress: server}
	if reply.Username == "<token>" {
		found.Username, found.Password, found.IdentityToken = "", "", reply.Secret
	}
	return found, nil
}

// runHelper speaks the protocol of docker's credential helpers: the server on stdin, JSON on stdout.
func runHelper(ctx context.Context, program, server string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second
	return cmd.Output()
}
