package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
)

func nodeIntroCreate(a *app) *cobra.Command {
	var ttl time.Duration
	var uses int
	var name, pool string
	c := &cobra.Command{Use: "create", Short: "Make a token that a new node joins with", Args: cobra.NoArgs,
		Long: "The token is shown once. Give it to the new node's agent: -client-intro-token, DROVER_CLIENT_INTRO_TOKEN or the file\nintro_token.jwt in its state directory. Servers with client_introduction { enforcement = \"strict\" } refuse nodes without one."}
	f := addFormat(c)
	fl := c.Flags()
	fl.DurationVar(&ttl, "ttl", 0, "how long it is valid (default server.client_introduction.default_identity_ttl)")
	fl.IntVar(&uses, "uses", 1, "how many nodes may join with it")
	fl.StringVar(&name, "node-name", "", "only for a node of this name")
	fl.StringVar(&pool, "node-pool", "", "only for nodes of this pool")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out struct {
			JWT string
			model.IntroToken
		}
		in := map[string]any{"TTL": ttl.String(), "Uses": uses, "NodeName": name, "NodePool": pool}
		if err := cl.put(cmd.Context(), "/v1/acl/identity/client-introduction-token", nil, in, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			printKeys(w, [2]string{"ID", out.ID}, [2]string{"Token", out.JWT}, [2]string{"Expires", stamp(out.ExpireTime)}, [2]string{"Uses", strconv.Itoa(out.Uses)})
		})
	}
	return c
}

func nodeIntroList(a *app) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the tokens that new nodes join with", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out []*model.IntroToken
		if _, err := cl.get(cmd.Context(), "/v1/node/introductions", nil, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			rows := [][]string{{"ID", "Uses left", "Expires", "Node", "Pool"}}
			for _, t := range out {
				rows = append(rows, []string{t.ID, strconv.Itoa(t.Uses), stamp(t.ExpireTime), first(t.NodeName, "any"), first(t.NodePool, "any")})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func nodeIntroRevoke(a *app) *cobra.Command {
	return &cobra.Command{Use: "revoke <id>", Short: "Make a token useless; nodes that joined with it stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			if err := cl.delete(cmd.Context(), "/v1/node/introduction/"+seg(args[0]), nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(a.Stdout, "Token %s revoked\n", args[0])
			return nil
		}}
}
