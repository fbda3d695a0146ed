package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/pluginhost/trust"
)

func pluginKeygen(a *app) *cobra.Command {
	return &cobra.Command{Use: "keygen <name>", Short: "Make a key pair for signing plugin binaries", Args: cobra.ExactArgs(1),
		Long: "Writes <name>.key, the private key (PKCS #8, mode 0600: keep it away from the machines that run plugins), and <name>.pub, and\n" +
			"prints the lines for the agents' configuration. Files that exist are not overwritten.",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := trust.Generate()
			if err != nil {
				return err
			}
			secret, err := trust.EncodePrivate(key)
			if err != nil {
				return err
			}
			public := key.Public().(ed25519.PublicKey)
			block, line, err := trust.EncodePublic(public)
			if err != nil {
				return err
			}
			secretFile, publicFile := args[0]+".key", args[0]+".pub"
			if err := writeNew(secretFile, secret, 0o600); err != nil {
				return err
			}
			if err := writeNew(publicFile, block, 0o644); err != nil {
				return errors.Join(err, os.Remove(secretFile))
			}
			fmt.Fprintf(a.Stdout, "Private key: %s\nPublic key:  %s\nKey ID:      %s\n\nFor the agents' configuration:\n\n"+
				"plugin_trust {\n  require      = \"signature\"\n  trusted_keys = { %q = %q }\n}\n",
				secretFile, publicFile, trust.ID(public), filepath.Base(args[0]), line)
			return nil
		}}
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func pluginSign(a *app) *cobra.Command {
	var keyFile, out string
	var add, check bool
	c := &cobra.Command{Use: "sign <binary>", Short: "Sign a plugin binary, or check its signature", Args: cobra.ExactArgs(1),
		Long: "Writes the detached Ed25519 signature <binary>" + trust.SignatureSuffix + ", which belongs beside the binary in plugin_dir. -key takes what\n" +
			"`drover plugin keygen` or `openssl genpkey -algorithm ed25519` wrote; with -check, the public key."}
	c.Flags().StringVar(&keyFile, "key", "", "file of the private key; with -check, of the public one")
	c.Flags().StringVar(&out, "out", "", "signature file; default: <binary>"+trust.SignatureSuffix)
	c.Flags().BoolVar(&add, "add", false, "keep the signatures of other keys that are in the file already")
	c.Flags().BoolVar(&check, "check", false, "check the signature that is there and write nothing")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if keyFile == "" {
			return errors.New("-key is missing; make a key with `drover plugin keygen`")
		}
		binary, file := args[0], first(out, args[0]+trust.SignatureSuffix)
		digest, err := fileDigest(binary)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return err
		}
		if check {
			return a.checkSignature(binary, file, digest, keyFile, string(text))
		}
		key, err := trust.ParsePrivate(text)
		if err != nil {
			return fmt.Errorf("%s: %w", keyFile, err)
		}
		var before []byte
		if add {
			if before, err = os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		signed, err := trust.Sign(key, digest, before)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, signed, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Signature: %s\nSHA-256:   %s\nKey ID:    %s\n", file, digest, trust.ID(key.Public().(ed25519.PublicKey)))
		return nil
	}
	return c
}

func (a *app) checkSignature(binary, file, digest, keyFile, keyText string) error {
	key, err := trust.ParsePublic(keyText)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	signatures, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := trust.Verify(trust.Keys{keyFile: key}, digest, signatures); err != nil {
		return fmt.Errorf("%s: %w", binary, err)
	}
	fmt.Fprintf(a.Stdout, "%s is signed by key %s\nSHA-256: %s\n", binary, trust.ID(key), digest)
	return nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	return trust.Digest(f)
}
