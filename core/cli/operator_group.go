package cli

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/server"
)

func raftPeers(a *app) *cobra.Command {
	var stale bool
	c := &cobra.Command{Use: "list-peers", Short: "List the servers that vote", Args: cobra.NoArgs}
	f := addFormat(c)
	c.Flags().BoolVar(&stale, "stale", false, "answer even without a leader")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out struct {
			Servers []struct {
				ID, Node, Address string
				Leader, Voter     bool
				RaftProtocol      any
			}
		}
		q := query{}
		if stale {
			q["stale"] = "true"
		}
		if _, err := cl.get(cmd.Context(), "/v1/operator/raft/configuration", q, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			rows := [][]string{{"Node", "ID", "Address", "State", "Voter", "RaftProtocol"}}
			for _, s := range out.Servers {
				state := map[bool]string{true: "leader", false: "follower"}[s.Leader]
				rows = append(rows, []string{s.Node, s.ID, s.Address, state, strconv.FormatBool(s.Voter), fmt.Sprint(s.RaftProtocol)})
			}
			printTable(w, rows...)
		})
	}
	return c
}

func raftRemovePeer(a *app) *cobra.Command {
	var id string
	c := &cobra.Command{Use: "remove-peer", Short: "Take a server out of the group", Args: cobra.NoArgs}
	c.Flags().StringVar(&id, "peer-id", "", "its ID, as list-peers shows it")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if id == "" {
			return errors.New("-peer-id is required; `drover operator raft list-peers` shows the IDs")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		if err := cl.delete(cmd.Context(), "/v1/operator/raft/peer", query{"id": id}, nil); err != nil {
			return err
		}
		fmt.Fprintf(a.Stdout, "Removed peer with id %q\n", id)
		return nil
	}
	return c
}

func raftTransfer(a *app) *cobra.Command {
	var id, addr string
	c := &cobra.Command{Use: "transfer-leadership", Short: "Hand leadership to another server", Args: cobra.NoArgs}
	c.Flags().StringVar(&id, "peer-id", "", "its ID")
	c.Flags().StringVar(&addr, "peer-address", "", "its RPC address")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if (id == "") == (addr == "") {
			return errors.New("give either -peer-id or -peer-address")
		}
		cl, err := a.api()
		if err != nil {
			return err
		}
		q := query{"id": id}
		if addr != "" {
			q = query{"address": addr}
		}
		var out struct {
			To   struct{ ID, Address string }
			Noop bool
		}
		if err := cl.put(cmd.Context(), "/v1/operator/raft/transfer-leadership", q, nil, &out); err != nil {
			return err
		}
		if out.Noop {
			fmt.Fprintln(a.Stdout, "That server leads already")
			return nil
		}
		fmt.Fprintf(a.Stdout, "Leadership goes to %s (%s)\n", out.To.Address, out.To.ID)
		return nil
	}
	return c
}

func autopilotGet(a *app) *cobra.Command {
	c := &cobra.Command{Use: "get-config", Short: "Show how the group is tended", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out model.AutopilotConfig
		if _, err := cl.get(cmd.Context(), "/v1/operator/autopilot/configuration", nil, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			printKeys(w, [2]string{"CleanupDeadServers", strconv.FormatBool(out.CleanupDeadServers)},
				[2]string{"LastContactThreshold", time.Duration(out.LastContactThreshold).String()},
				[2]string{"MaxTrailingLogs", fmt.Sprint(out.MaxTrailingLogs)},
				[2]string{"MinQuorum", fmt.Sprint(out.MinQuorum)},
				[2]string{"ServerStabilizationTime", time.Duration(out.ServerStabilizationTime).String()})
		})
	}
	return c
}

func autopilotSet(a *app) *cobra.Command {
	var cleanup, checkIndex string
	var contact, stable time.Duration
	var trailing, quorum int
	c := &cobra.Command{Use: "set-config", Short: "Change how the group is tended", Args: cobra.NoArgs}
	fl := c.Flags()
	fl.StringVar(&cleanup, "cleanup-dead-servers", "", "true or false")
	fl.DurationVar(&contact, "last-contact-threshold", 0, "a server that hears the leader less often is unhealthy")
	fl.DurationVar(&stable, "server-stabilization-time", 0, "a new server votes after being healthy for so long")
	fl.IntVar(&trailing, "max-trailing-logs", -1, "a server that is further behind is unhealthy, in log entries")
	fl.IntVar(&quorum, "min-quorum", -1, "dead servers are not removed below this many")
	fl.StringVar(&checkIndex, "check-index", "", "only if the configuration's modify index is this one")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var cur model.AutopilotConfig
		if _, err := cl.get(cmd.Context(), "/v1/operator/autopilot/configuration", nil, &cur); err != nil {
			return err
		}
		if cleanup != "" {
			if cur.CleanupDeadServers, err = strconv.ParseBool(cleanup); err != nil {
				return fmt.Errorf("-cleanup-dead-servers must be true or false, got %q", cleanup)
			}
		}
		if contact > 0 {
			cur.LastContactThreshold = model.Text(contact)
		}
		if stable > 0 {
			cur.ServerStabilizationTime = model.Text(stable)
		}
		if trailing >= 0 {
			cur.MaxTrailingLogs = uint64(trailing)
		}
		if quorum >= 0 {
			cur.MinQuorum = uint(quorum)
		}
		var updated bool
		if err := cl.put(cmd.Context(), "/v1/operator/autopilot/configuration", query{"cas": checkIndex}, cur, &updated); err != nil {
			return err
		}
		if !updated {
			return errors.New("the configuration was changed by somebody else: not updated")
		}
		fmt.Fprintln(a.Stdout, "Configuration updated!")
		return nil
	}
	return c
}

func autopilotHealth(a *app) *cobra.Command {
	c := &cobra.Command{Use: "health", Short: "Show how the servers are; fails while one is unhealthy", Args: cobra.NoArgs}
	f := addFormat(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out server.GroupHealth
		_, err = cl.get(cmd.Context(), "/v1/operator/autopilot/health", nil, &out)
		var unhealthy *apiError
		if errors.As(err, &unhealthy) && unhealthy.Code == http.StatusTooManyRequests { // with the same body
			err = json.Unmarshal([]byte(unhealthy.Body), &out)
		}
		if err != nil {
			return err
		}
		if err := f.print(a.Stdout, out, func(w io.Writer) {
			printKeys(w, [2]string{"Healthy", strconv.FormatBool(out.Healthy)}, [2]string{"FailureTolerance", strconv.Itoa(out.FailureTolerance)},
				[2]string{"Leader", out.Leader}, [2]string{"Voters", strings.Join(out.Voters, ",")})
			fmt.Fprintln(w)
			rows := [][]string{{"ID", "Name", "Address", "SerfStatus", "Version", "Leader", "Voter", "Healthy", "LastContact", "LastTerm", "LastIndex", "StableSince"}}
			for _, s := range out.Servers {
				rows = append(rows, []string{s.ID, s.Name, s.Address, s.SerfStatus, s.Version, strconv.FormatBool(s.Leader), strconv.FormatBool(s.Voter),
					strconv.FormatBool(s.Healthy), time.Duration(s.LastContact).String(), fmt.Sprint(s.LastTerm), fmt.Sprint(s.LastIndex),
					s.StableSince.Format(time.RFC3339)})
			}
			printTable(w, rows...)
		}); err != nil {
			return err
		}
		if !out.Healthy {
			return &exitError{code: 2}
		}
		return nil
	}
	return c
}

func gossipKeyring(a *app) *cobra.Command {
	generate := &cobra.Command{Use: "generate", Short: "Print a new key for server.encrypt", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		_, err := fmt.Fprintln(a.Stdout, base64.StdEncoding.EncodeToString(key))
		return err
	}}
	change := func(op, short string) *cobra.Command {
		return &cobra.Command{Use: op + " <key>", Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.api()
			if err != nil {
				return err
			}
			return cl.put(cmd.Context(), "/v1/agent/keyring/"+op, nil, map[string]string{"Key": args[0]}, nil)
		}}
	}
	list := &cobra.Command{Use: "list", Short: "List the keys and how many servers have each", Args: cobra.NoArgs}
	f := addFormat(list)
	list.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.api()
		if err != nil {
			return err
		}
		var out struct {
			Messages          map[string]string
			Keys, PrimaryKeys map[string]int
			NumNodes          int
		}
		if _, err := cl.get(cmd.Context(), "/v1/agent/keyring/list", nil, &out); err != nil {
			return err
		}
		return f.print(a.Stdout, out, func(w io.Writer) {
			rows := [][]string{{"Key", "Servers", "In Use"}}
			for _, k := range sortedKeys(out.Keys) {
				rows = append(rows, []string{k, fmt.Sprintf("%d of %d", out.Keys[k], out.NumNodes), fmt.Sprint(out.PrimaryKeys[k])})
			}
			printTable(w, rows...)
		})
	}
	return parent("keyring", "Keys that encrypt the gossip", generate, list,
		change("install", "Give a key to all servers, to be understood"), change("use", "Encrypt with a key that all servers have"),
		change("remove", "Take a key that is not in use from all servers"))
}
