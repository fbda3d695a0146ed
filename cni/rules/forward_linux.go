package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
)

// forwardChain is where the firewall plugin accepts an address each.
const forwardChain = "CNI-FORWARD"

// Forward is a rule of the firewall plugin about one address. It carries no id: the address must do.
type Forward struct {
	program string
	spec    []string
	IP      netip.Addr
}

// Forwards lists the firewall plugin's rules. No chain, or no such program, holds none.
func Forwards(ctx context.Context) ([]Forward, error) {
	var all []Forward
	for _, program := range []string{"iptables", "ip6tables"} {
		text, err := iptables(ctx, program, "-S", forwardChain)
		if err != nil && holdsNone(err) {
			continue // the chain is made with the first allocation
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if f, ok := forward(program, line); ok {
				all = append(all, f)
			}
		}
	}
	return all, nil
}

// holdsNone tells whether a list could not be had because there is nothing: no program, no chain, or a family that the
// kernel does not have.
func holdsNone(err error) bool {
	return errors.Is(err, exec.ErrNotFound) || slices.ContainsFunc([]string{
		"No chain/target/match by that name",    // of both backends
		"chain `" + forwardChain + "' in table", // iptables-nft 1.8: it "is incompatible", which is what a missing one is called
		"does not exist",                        // the table
		"Address family not supported",          // IPv6 is off
	}, func(text string) bool { return strings.Contains(err.Error(), text) })
}

// forward reads a line such as `-A CNI-FORWARD -s 172.26.64.5/32 -j ACCEPT`.
func forward(program, line string) (Forward, bool) {
	words := strings.Fields(line)
	if len(words) < 4 || words[0] != "-A" || words[1] != forwardChain {
		return Forward{}, false
	}
	for i, w := range words[:len(words)-1] {
		if w != "-s" && w != "-d" {
			continue
		}
		if p, err := netip.ParsePrefix(words[i+1]); err == nil && p.IsSingleIP() {
			return Forward{program, words[2:], p.Addr()}, true
		}
	}
	return Forward{}, false
}

// DeleteForwards deletes rules; one that is gone is fine.
func DeleteForwards(ctx context.Context, rules []Forward) error {
	var errs []error
	for _, r := range rules {
		if _, err := iptables(ctx, r.program, append([]string{"-D", forwardChain}, r.spec...)...); err != nil &&
			!strings.Contains(err.Error(), "does a matching rule exist") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func iptables(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append([]string{"-w", "5"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
