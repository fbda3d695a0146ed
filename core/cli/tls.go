package cli

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/certs"
)

func tlsCommands(a *app) []*cobra.Command {
	return []*cobra.Command{parent("tls", "Make the certificates that agents show each other",
		parent("ca", "The authority that makes certificates", tlsCACreate(a), tlsInfo(a, "Show an authority's certificate")),
		parent("cert", "Certificates of servers, nodes and users", tlsCertCreate(a), tlsInfo(a, "Show a certificate")),
	)}
}

const day = 24 * time.Hour

// maxDays keeps a certificate's end within what X.509 can say.
const maxDays = 365 * 100

func tlsCACreate(a *app) *cobra.Command {
	var subject struct{ name, country, province, locality, organization, unit string }
	var domain string
	var additional []string
	var constrain bool
	var days int
	c := &cobra.Command{Use: "create", Short: "Make an authority: its certificate and its key", Args: cobra.NoArgs,
		Long: "Writes <domain>-agent-ca.pem, which every agent needs (tls.ca_file), and <domain>-agent-ca-key.pem (mode 0600), which no agent\n" +
			"needs: keep it away from them. Files that exist are not overwritten."}
	c.Flags().StringVar(&subject.name, "common-name", "", "name of the authority (default Drover Agent CA <random>)")
	c.Flags().StringVar(&subject.country, "country", "", "country in its name")
	c.Flags().StringVar(&subject.province, "province", "", "province in its name")
	c.Flags().StringVar(&subject.locality, "locality", "", "locality in its name")
	c.Flags().StringVar(&subject.organization, "organization", "", "organization in its name")
	c.Flags().StringVar(&subject.unit, "organizational-unit", "", "organizational unit in its name")
	c.Flags().IntVar(&days, "days", 1825, "days it is valid")
	c.Flags().StringVar(&domain, "domain", certs.Domains[0], "domain of the agents' names")
	c.Flags().StringArrayVar(&additional, "additional-domain", nil, "with -name-constraint, another domain it may make names in (repeatable)")
	c.Flags().BoolVar(&constrain, "name-constraint", false, "let it make names only in its domains and localhost")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkDays(days); err != nil {
			return err
		}
		if err := checkFileName("domain", domain); err != nil {
			return err
		}
		if len(additional) > 0 && !constrain {
			return errors.New("-additional-domain is of use only with -name-constraint: without it, the authority may make every name")
		}
		q := certs.CARequest{Valid: time.Duration(days) * day, Subject: pkix.Name{
			CommonName: first(subject.name, fmt.Sprintf("Drover Agent CA %d", time.Now().UnixNano())), Country: some(subject.country),
			Province: some(subject.province), Locality: some(subject.locality), Organization: some(subject.organization), OrganizationalUnit: some(subject.unit),
		}}
		if constrain {
			q.Domains = append(append(certs.Domains[:], "localhost", domain), additional...)
		}
		pair, err := certs.NewCA(q)
		if err != nil {
			return err
		}
		return a.writePair(domain+"-agent-ca", "authority", pair)
	}
	return c
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func tlsCertCreate(a *app) *cobra.Command {
	var server, client, cli bool
	var caFile, keyFile, domain string
	var names, ips []string
	var days int
	c := &cobra.Command{Use: "create -server|-client|-cli", Short: "Make a certificate for a server, a node or a user", Args: cobra.NoArgs,
		Long: "Writes <region>-<kind>-<domain>.pem and <region>-<kind>-<domain>-key.pem (mode 0600). Its name says what its holder may do:\n" +
			"server.<region>.drover is a server, client.<region>.drover a node, cli.<region>.drover a user of the HTTP API. Files that\n" +
			"exist are not overwritten; those of a renewed certificate go to another directory first."}
	c.Flags().BoolVar(&server, "server", false, "for a server, which may also be a node")
	c.Flags().BoolVar(&client, "client", false, "for a node")
	c.Flags().BoolVar(&cli, "cli", false, "for a user of the command line or the HTTP API")
	c.Flags().StringVar(&caFile, "ca", "", "the authority's certificate (default <domain>-agent-ca.pem)")
	c.Flags().StringVar(&keyFile, "key", "", "the authority's key (default <domain>-agent-ca-key.pem)")
	c.Flags().IntVar(&days, "days", 365, "days it is valid; not longer than the authority")
	c.Flags().StringVar(&domain, "domain", certs.Domains[0], "domain of the files' names and of one more name; the names with .drover and .nomad are always there")
	c.Flags().StringArrayVar(&names, "additional-dnsname", nil, "another DNS name, such as the host's (repeatable); localhost is always there")
	c.Flags().StringArrayVar(&ips, "additional-ipaddress", nil, "an IP address, such as the host's (repeatable); 127.0.0.1 is always there")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var kinds []certs.Role
		for _, k := range []struct {
			on   bool
			role certs.Role
		}{{server, certs.Server}, {client, certs.Client}, {cli, certs.CLI}} {
			if k.on {
				kinds = append(kinds, k.role)
			}
		}
		if len(kinds) != 1 {
			return errors.New("exactly one of -server, -client and -cli is needed")
		}
		if err := checkDays(days); err != nil {
			return err
		}
		region := first(a.client.region, a.env("REGION"), "global")
		for name, v := range map[string]string{"domain": domain, "region": region} {
			if err := checkFileName(name, v); err != nil {
				return err
			}
		}
		q := certs.Request{Role: kinds[0], Valid: time.Duration(days) * day, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}
		q.Names = []string{certs.Name(kinds[0], region)}
		for _, d := range append(certs.Domains[1:], domain) {
			if d != certs.Domains[0] {
				q.Names = append(q.Names, fmt.Sprintf("%s.%s.%s", kinds[0], region, d))
			}
		}
		q.Names = append(append(q.Names, "localhost"), names...)
		for _, text := range ips {
			ip := net.ParseIP(text)
			if ip == nil {
				return fmt.Errorf("-additional-ipaddress %q is no IP address", text)
			}
			q.IPs = append(q.IPs, ip)
		}
		ca, err := openCA(first(caFile, domain+"-agent-ca.pem"), first(keyFile, domain+"-agent-ca-key.pem"))
		if err != nil {
			return err
		}
		pair, err := ca.Issue(q)
		if err != nil {
			return err
		}
		return a.writePair(fmt.Sprintf("%s-%s-%s", region, kinds[0], domain), "certificate", pair)
	}
	return c
}

func openCA(certFile, keyFile string) (*certs.CA, error) {
	var p certs.Pair
	var err error
	if p.Cert, err = os.ReadFile(certFile); err != nil {
		return nil, fmt.Errorf("the authority's certificate (-ca; `drover tls ca create` makes one): %w", err)
	}
	if p.Key, err = os.ReadFile(keyFile); err != nil {
		return nil, fmt.Errorf("the authority's key (-key): %w", err)
	}
	ca, err := certs.OpenCA(p)
	if err != nil {
		return nil, fmt.Errorf("authority %s with key %s: %w", certFile, keyFile, err)
	}
	return ca, nil
}

// writePair writes neither file when one of them exists.
func (a *app) writePair(name, what string, p certs.Pair) error {
	cert, key := name+".pem", name+"-key.pem"
	if err := writeNew(key, p.Key, 0o600); err != nil {
		return err
	}
	if err := writeNew(cert, p.Cert, 0o644); err != nil {
		return errors.Join(err, os.Remove(key))
	}
	fmt.Fprintf(a.Stdout, "%-13s %s\nKey:          %s\n", strings.ToUpper(what[:1])+what[1:]+":", cert, key)
	return nil
}

func tlsInfo(a *app, short string) *cobra.Command {
	c := &cobra.Command{Use: "info <file>", Short: short, Args: cobra.ExactArgs(1)}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("%s does not begin with a certificate in PEM", args[0])
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		var roles, ips []string
		for _, id := range certs.Identities(cert) {
			roles = append(roles, fmt.Sprintf("%s of region %s", id.Role, id.Region))
		}
		for _, ip := range cert.IPAddresses {
			ips = append(ips, ip.String())
		}
		for _, row := range [][2]string{
			{"Name", cert.Subject.CommonName}, {"Serial", cert.SerialNumber.String()}, {"Made by", cert.Issuer.CommonName},
			{"Authority", fmt.Sprint(cert.IsCA)}, {"Valid from", cert.NotBefore.UTC().Format(time.RFC3339)},
			{"Valid until", cert.NotAfter.UTC().Format(time.RFC3339)}, {"DNS names", strings.Join(cert.DNSNames, ", ")},
			{"Addresses", strings.Join(ips, ", ")}, {"Roles", strings.Join(roles, ", ")},
		} {
			if row[1] != "" {
				fmt.Fprintf(a.Stdout, "%-12s = %s\n", row[0], row[1])
			}
		}
		if now := time.Now(); now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
			return &exitError{code: 1, text: "This certificate is not valid now."}
		}
		return nil
	}
	return c
}

func checkDays(days int) error {
	if days < 1 || days > maxDays {
		return fmt.Errorf("-days must be between 1 and %d, got %d", maxDays, days)
	}
	return nil
}

// checkFileName refuses what is no DNS name either: the names of files and certificates contain it.
func checkFileName(flag, v string) error {
	for _, label := range strings.Split(v, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
		}) >= 0
		if bad || label == "" || len(label) > 63 {
			return fmt.Errorf("-%s %q must be words of letters, digits, \"-\" and \"_\" with dots between them", flag, v)
		}
	}
	return nil
}
