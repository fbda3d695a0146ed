// Package rules finds and removes what CNI plugins leave in the packet filter and in their lease files: everything that
// carries the id of a container of ours. What carries none is somebody else's and stays.
package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Program is what the plugins and we change nftables with.
const Program = "nft"

// tables are where the CNI reference plugins keep their rules.
var tables = [][2]string{{"ip", "cni_hostport"}, {"ip6", "cni_hostport"}, {"inet", "cni_plugins_masquerade"}}

const patience = 20 * time.Second

// Rule is one rule of ours.
type Rule struct {
	Family, Table, Chain string
	Handle               int
	ContainerID          string
}

// Nft lists the rules whose comment ends with the id of a container that starts with prefix.
func Nft(ctx context.Context, prefix string) ([]Rule, error) {
	if _, err := exec.LookPath(Program); err != nil {
		return nil, nil // nobody could have made one
	}
	id := regexp.MustCompile(`(?:^|id: )(` + regexp.QuoteMeta(prefix) + `[a-zA-Z0-9_.-]+)$`)
	var rules []Rule
	for _, t := range tables {
		text, err := run(ctx, "-j", "list", "table", t[0], t[1])
		if err != nil && strings.Contains(err.Error(), "No such file or directory") {
			continue
		}
		if err != nil {
			return nil, err
		}
		var listed struct {
			Nftables []struct {
				Rule *struct {
					Family, Table, Chain, Comment string
					Handle                        int
				}
			}
		}
		if err := json.Unmarshal(text, &listed); err != nil {
			return nil, fmt.Errorf("list rules of table %s %s: %w", t[0], t[1], err)
		}
		for _, x := range listed.Nftables {
			if x.Rule == nil {
				continue
			}
			if len(x.Rule.Comment) >= maxComment {
				continue
			}
			if m := id.FindStringSubmatch(x.Rule.Comment); m != nil {
				rules = append(rules, Rule{x.Rule.Family, x.Rule.Table, x.Rule.Chain, x.Rule.Handle, m[1]})
			}
		}
	}
	return rules, nil
}

// maxComment is what nftables holds; the plugins cut off what is longer, and whose such a rule is cannot be told.
const maxComment = 128

// CutOff tells whether the masquerading rules of an attachment do not end with the container's id: their comment is two
// hashes of 16 digits, and the names.
func CutOff(network, ifname, containerID string) bool {
	const hashes = 16 + 1 + 16
	return hashes+len(", net: , if: , id: ")+len(network)+len(ifname)+len(containerID) >= maxComment
}

// DeleteNft deletes rules; one that is gone is fine.
func DeleteNft(ctx context.Context, rules []Rule) error {
	for _, r := range rules {
		_, err := run(ctx, "delete", "rule", r.Family, r.Table, r.Chain, "handle", fmt.Sprint(r.Handle))
		if err != nil && !strings.Contains(err.Error(), "No such file or directory") {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, Program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", Program, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
